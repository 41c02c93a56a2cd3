"""History behind the first body: what a fast start left out, added afterwards (PROTOCOL 8).

Bodies come from the first one that is here downwards, each the one that its certified header
names; the first body moves down with them. When block 1 is here, what every block spent is found in
the blocks before it, from the first one upwards: that gives undo data and the history of addresses.
The store always says how far both are. No rule depends on any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from timecoin.chain.ports import Archived
from timecoin.ledger.block import Block
from timecoin.ledger.check import NULL_TXID
from timecoin.ledger.connect import UtxoDiff, connect
from timecoin.ledger.genesis import Genesis, genesis_utxos
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Outpoint, Transaction, split_outpoint
from timecoin.ledger.utxo import Utxo

TURN_BLOCKS = 50
TURN_TRANSACTIONS = 500
"""Undo data is found of so many blocks, or of blocks with so many transactions, in one go: the node
has other work between."""


@dataclass(frozen=True, slots=True)
class OldBlock:
    """A block below the first body, with the transactions of its entries in their order."""

    block: Block
    transactions: tuple[Transaction, ...]


class HistoryStore(Protocol):
    """Port: a store whose oldest blocks are being added."""

    def first_body(self) -> int:
        """The lowest height from which on every body is here."""

    def lacks_undo(self) -> range:
        """The heights whose bodies may be here already, but not what their blocks spent."""

    def block(self, height: int) -> Block | None:
        """The block at ``height``."""

    def archived(self, txid: bytes) -> Archived | None:
        """Where ``txid`` is archived."""

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """The archived transaction ``wtxid``."""

    def add_bodies(self, blocks: Sequence[OldBlock]) -> None:
        """Add the blocks just below the first body, in ascending order, in one batch, not synced:
        they can be fetched again."""

    def add_undo(self, changes: Sequence[tuple[OldBlock, UtxoDiff]]) -> None:
        """Note what the next blocks of :meth:`lacks_undo` changed, in one batch, not synced."""


class History:
    """The single writer of what lies behind the first body."""

    def __init__(self, genesis: Genesis, store: HistoryStore) -> None:
        self._store = store
        self._outputs = _ArchivedOutputs(genesis, store)

    @property
    def first_body(self) -> int:
        """The lowest height from which on every body is here."""
        return self._store.first_body()

    @property
    def lacks_undo(self) -> range:
        """The heights of blocks of which it is still to be found what they spent."""
        return self._store.lacks_undo()

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be added."""
        return self.first_body == 1 and not self.lacks_undo

    def add(self, blocks: Sequence[OldBlock]) -> None:
        """Keep blocks that were compared with their certified headers, in ascending order.

        Nothing happens unless they end just below the first body.
        """
        heights = [old.block.height for old in blocks]
        end = self.first_body
        if heights and heights == list(range(end - len(heights), end)):
            self._store.add_bodies(blocks)

    def index(self) -> None:
        """Find what the next few blocks spent, once all bodies are here.

        ``LookupError`` when the store has lost a block.
        """
        changes: list[tuple[OldBlock, UtxoDiff]] = []
        transactions = 0
        for height in self.lacks_undo[:TURN_BLOCKS]:
            old = self._read(height)
            try:
                diff = connect(old.transactions, old.block.body.reward, self._outputs, height)
            except RuleBroken as error:
                raise LookupError(f"block {height} spends what is not here: {error}") from error
            changes.append((old, diff))
            transactions += len(old.transactions)
            if transactions >= TURN_TRANSACTIONS:
                break
        self._store.add_undo(changes)

    def _read(self, height: int) -> OldBlock:
        block = self._store.block(height)
        if block is None:
            raise LookupError(f"the store has no block {height}: it is damaged")
        found = [self._store.transaction(entry.wtxid) for entry in block.body.entries]
        transactions = tuple(tx for tx in found if tx is not None)
        if len(transactions) < len(found):
            raise LookupError(f"the store lacks transactions of block {height}: it is damaged")
        return OldBlock(block, transactions)


class _ArchivedOutputs:
    """Every output that was ever archived: whoever spent one, it is still in its transaction."""

    def __init__(self, genesis: Genesis, store: HistoryStore) -> None:
        self._allocations = dict(genesis_utxos(genesis))
        self._store = store

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The output ``point`` as it was before it was spent."""
        txid, index = split_outpoint(point)
        where = self._store.archived(txid)
        tx = None if where is None else self._store.transaction(where.wtxid)
        if where is None or tx is None:
            return self._allocations.get(point)
        if index >= len(tx.outputs):
            return None
        output = tx.outputs[index]
        coinbase = tx.inputs[0].prev_txid == NULL_TXID
        return Utxo(output.value, output.lock_script, where.height, coinbase)
