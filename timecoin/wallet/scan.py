"""Reading blocks for what concerns the wallet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from timecoin.ledger.connect import Coin
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput, outpoint, split_outpoint
from timecoin.wallet.book import BookRow, HistoryBook
from timecoin.wallet.coins import OwnKeys
from timecoin.wallet.history import effect_of
from timecoin.wallet.ports import WalletChain

CLOCK_SLACK_MS = 2 * 3600 * 1000
"""How far the clock of who made the wallet may have been ahead (Bitcoin Core's figure)."""


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """A walk over the blocks ``first`` to ``last`` that has just read ``height``."""

    first: int
    last: int
    height: int

    @property
    def read(self) -> int:
        """Blocks read."""
        return self.height - self.first + 1

    @property
    def total(self) -> int:
        """Blocks to be read."""
        return self.last - self.first + 1


class BlockReader:
    """Enters into a wallet's history what the blocks hold for it."""

    def __init__(
        self,
        chain: WalletChain,
        keys: OwnKeys,
        book: HistoryBook,
        on_new_keys: Callable[[], None],
    ) -> None:
        """``on_new_keys``: a walk has made further keys known, which may own coins."""
        self._chain = chain
        self._keys = keys
        self._book = book
        self._on_new_keys = on_new_keys

    def connect(self, content: BlockContent) -> None:
        """A block was archived; it is left for :meth:`catch_up` if one before it was not read."""
        if content.height == self._book.next_height:
            self._book.add(content.height, read_block(content, self._keys))

    def catch_up(self) -> Iterator[ScanProgress]:
        """Read all blocks that have not been read, one at each step; the tip may move meanwhile.

        A walk that makes further keys known is done again from its start: they may have been in use
        before, by another holder of the same words. ``LookupError`` for a damaged store.
        """
        # What a node that began with a later block, or prunes, does not have cannot be read.
        self._book.skip_to(self._chain.first_undo)
        while True:
            first, grown = self._book.next_height, False
            while (height := self._book.next_height) <= self._chain.tip_height:
                grown = self._read(height) or grown
                yield ScanProgress(first, self._chain.tip_height, height)
            if not grown:
                return
            self._book.rewind(first)
            self._on_new_keys()

    def rescan(self, first: int, last: int | None = None) -> Iterator[ScanProgress]:
        """Read the blocks from ``first`` to ``last`` (None: to the tip) once more.

        Otherwise as :meth:`catch_up`. ``ValueError`` unless 1 <= first <= last <= tip.
        """
        tip_height = self._chain.tip_height
        if not 1 <= first <= (tip_height if last is None else last) <= tip_height:
            raise ValueError(f"blocks {first} to {last} are not within 1 .. {tip_height}")
        if first < self._chain.first_undo:
            raise ValueError(f"the blocks below {self._chain.first_undo} are not here")
        if last is None:
            self._book.rewind(first)
            return self.catch_up()
        return self._reread(first, last)

    def _reread(self, first: int, last: int) -> Iterator[ScanProgress]:
        grown = True
        while grown:
            grown = False
            for height in range(first, last + 1):
                grown = self._read(height) or grown
                yield ScanProgress(first, last, height)
            if grown:
                self._on_new_keys()

    def _read(self, height: int) -> bool:
        """Whether the block at ``height`` made further keys known."""
        known = self._keys.known
        self._book.add(height, read_block(stored_block(self._chain, height), self._keys))
        return self._keys.known != known


@dataclass(frozen=True, slots=True)
class BlockContent:
    """A block as the wallet reads it."""

    height: int
    time_ms: int
    """Its slot_time."""
    transactions: tuple[Transaction, ...]
    """In block order, the reward last."""
    spent: tuple[Coin, ...]


def stored_block(chain: WalletChain, height: int) -> BlockContent:
    """The archived block at ``height``; ``LookupError`` when the store has lost a part of it."""
    block, undo = chain.block(height), chain.undo(height)
    if block is None or undo is None:
        raise LookupError(f"the store has no block {height}")
    transactions = []
    for entry in block.body.entries:
        tx = chain.transaction(entry.wtxid)
        if tx is None:
            raise LookupError(f"the store has lost transaction {entry.txid.hex()}")
        transactions.append(tx)
    return BlockContent(
        height, block.header.slot_time, (*transactions, block.body.reward), undo.spent
    )


def read_block(content: BlockContent, keys: OwnKeys) -> list[tuple[int, BookRow]]:
    """The rows of the transactions that concern ``keys``, with their positions.

    Keys that it pays to are marked as used; it is read again when that makes further ones known.
    """
    while True:
        known = keys.known
        found = _read(content, keys)
        if keys.known == known:
            return found


def _read(content: BlockContent, keys: OwnKeys) -> list[tuple[int, BookRow]]:
    own_points = {point for point, utxo in content.spent if keys.owner(utxo.script) is not None}
    paying = set()
    for position, tx in enumerate(content.transactions):
        for index, output in enumerate(tx.outputs):
            path = keys.owner(output.lock_script)
            if path is not None:
                keys.mark_used(path)
                own_points.add(outpoint(tx.txid, index))
                paying.add(position)
    if not own_points:
        return []
    find = _FindOutput(content.transactions, content.spent)
    return [
        (position, BookRow.of(tx.txid, content.time_ms, effect_of(tx, find, keys.owner)))
        for position, tx in enumerate(content.transactions)
        if position in paying or not own_points.isdisjoint(tx.outpoints)
    ]


class _FindOutput:
    """What the inputs of a block spend: of earlier blocks, or of the block itself."""

    def __init__(self, transactions: Sequence[Transaction], spent: Sequence[Coin]) -> None:
        self._transactions = {tx.txid: tx for tx in transactions}
        self._spent = dict(spent)

    def __call__(self, point: Outpoint) -> TxOutput | None:
        utxo = self._spent.get(point)
        if utxo is not None:
            return TxOutput(utxo.value, utxo.script)
        txid, index = split_outpoint(point)
        tx = self._transactions.get(txid)
        return None if tx is None else tx.outputs[index]


def first_height_since(chain: WalletChain, time_ms: int) -> int:
    """The first block whose slot_time may be ``time_ms`` or later; above the tip if none is."""
    low, high = 1, chain.tip_height + 1
    while low < high:
        middle = (low + high) // 2
        header = chain.header(middle)
        if header is None:
            raise LookupError(f"the store has no header {middle}")
        if header.slot_time + CLOCK_SLACK_MS < time_ms:
            low = middle + 1
        else:
            high = middle
    return low
