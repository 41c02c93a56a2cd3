"""The chain's store on an engine: a block and all that it changes go into one synced batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TypeVar

from timecoin.chain.addresses import address_changes
from timecoin.chain.ports import Archived, ChainUpdate, FinalHeader, GenesisState, Place
from timecoin.codec import U32, U64, Bytes32, Wire, decode, encode
from timecoin.ledger.block import Block, Body, Header
from timecoin.ledger.connect import UtxoDiff
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BlockCertificate
from timecoin.store import keys
from timecoin.store.addressindex import AddressIndex, settle_address_index
from timecoin.store.engine import Engine, Row, StoreError
from timecoin.store.keys import height_key, height_of_key, undo_mark

T = TypeVar("T", bound=Wire)

_KEPT_SETS = 16


class ArchivedRow(Wire, frozen=True):
    """Value of the transaction index."""

    height: U64
    position: U32
    wtxid: Bytes32


class UndoRow(Wire, frozen=True):
    """What a block spent and created."""

    spent: tuple[tuple[bytes, Utxo], ...]
    created: tuple[tuple[bytes, Utxo], ...]


class ForkRow(Wire, frozen=True):
    """Two certificates of one height for different blocks."""

    first: BlockCertificate
    second: BlockCertificate


def transaction_rows(height: int, transactions: Sequence[Transaction]) -> list[Row]:
    """The rows of what a block archives, ``transactions`` in their order, the reward last."""
    rows: list[Row] = []
    for position, tx in enumerate(transactions):
        where = ArchivedRow(height, position, tx.wtxid)
        rows.append((keys.TX, tx.wtxid, tx.encoded))
        rows.append((keys.TXINDEX, tx.txid, encode(where)))
    return rows


class EngineChainStore:
    """Implements :class:`timecoin.chain.ports.ChainStore` and ``AddressStore``."""

    def __init__(self, engine: Engine, address_index: bool = True) -> None:
        """``engine`` has been claimed for its genesis (``schema.claim_store``).

        With ``address_index``, one that is missing is built before this returns.
        """
        self._engine = engine
        self._sets: OrderedDict[bytes, ActiveSet] = OrderedDict()
        """Sets by root: what snapshots share is one object, with its derived values."""
        settle_address_index(engine, self, address_index)
        self._addresses = AddressIndex(engine) if address_index else None

    # reading

    def tip(self) -> tuple[int, bytes] | None:
        """See the port."""
        row = self._engine.get(keys.META, keys.META_TIP)
        return None if row is None else (height_of_key(row[:8]), row[8:])

    def lthash(self) -> bytes:
        """See the port."""
        return self._meta(keys.META_LTHASH)

    def supply(self) -> int:
        """See the port."""
        return int.from_bytes(self._meta(keys.META_SUPPLY), "big")

    def header(self, height: int) -> Header | None:
        """See the port."""
        return self._row(keys.HEADERS, height_key(height), Header)

    def block(self, height: int) -> Block | None:
        """See the port."""
        header = self.header(height)
        body = self._row(keys.BODIES, height_key(height), Body)
        return None if header is None or body is None else Block(header, body)

    def certificate(self, height: int) -> BlockCertificate | None:
        """See the port."""
        return self._row(keys.BLOCK_CERTIFICATES, height_key(height), BlockCertificate)

    def first_body(self) -> int:
        """See the port."""
        row = self._engine.get(keys.META, keys.META_FIRST_BODY)
        return 1 if row is None else height_of_key(row)

    def first_undo(self) -> int:
        """See the port."""
        lacking = self.lacks_undo()
        return lacking.stop if lacking else self.first_body()

    def lacks_undo(self) -> range:
        """See ``HistoryStore``."""
        row = self._engine.get(keys.META, keys.META_LACKS_UNDO)
        if row is None:
            return range(0)
        return range(height_of_key(row[:8]), height_of_key(row[8:]) + 1)

    def height_of(self, block_hash: bytes) -> int | None:
        """See the port."""
        row = self._engine.get(keys.HEIGHTS, block_hash)
        return None if row is None else height_of_key(row)

    def active_set(self, height: int) -> ActiveSet | None:
        """See the port."""
        root = self._engine.get(keys.AVS, height_key(height))
        if root is None:
            return None
        found = self._sets.get(root)
        if found is None:
            found = self._row(keys.AVS, root, ActiveSet)
            if found is not None:
                self._sets[root] = found
                if len(self._sets) > _KEPT_SETS:
                    self._sets.popitem(last=False)
        return found

    def utxo(self, point: Outpoint) -> Utxo | None:
        """See the port."""
        return self._row(keys.UTXO, point, Utxo)

    def utxos(self, after: Outpoint = b"") -> Iterator[tuple[Outpoint, Utxo]]:
        """See the port."""
        start = after + b"\0" if after else b""
        for point, row in self._engine.scan(keys.UTXO, start=start):
            yield point, decode(row, Utxo, len(row))

    def archived(self, txid: bytes) -> Archived | None:
        """See the port."""
        row = self._row(keys.TXINDEX, txid, ArchivedRow)
        return None if row is None else Archived(row.height, row.position, row.wtxid)

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """See the port."""
        return self._row(keys.TX, wtxid, Transaction)

    def undo(self, height: int) -> UtxoDiff | None:
        """See the port."""
        row = self._row(keys.UNDO, height_key(height), UndoRow)
        return None if row is None else UtxoDiff(row.spent, row.created)

    def fork(self, height: int) -> tuple[BlockCertificate, BlockCertificate] | None:
        """See the port."""
        row = self._row(keys.FORKS, height_key(height), ForkRow)
        return None if row is None else (row.first, row.second)

    def fork_height(self) -> int | None:
        """See the port."""
        return next((height_of_key(key) for key, _ in self._engine.scan(keys.FORKS)), None)

    @property
    def indexes_addresses(self) -> bool:
        """See the port."""
        return self._addresses is not None

    def address_unspent(self, script: bytes, after: Outpoint | None, limit: int) -> list[Outpoint]:
        """See the port."""
        return [] if self._addresses is None else self._addresses.unspent(script, after, limit)

    def address_history(
        self, script: bytes, before: Place | None, limit: int
    ) -> list[tuple[Place, bytes]]:
        """See the port."""
        return [] if self._addresses is None else self._addresses.history(script, before, limit)

    # writing

    def initialize(self, genesis: GenesisState) -> None:
        """See the port."""
        rows = self._state_rows(0, genesis.hash, genesis.active_set, genesis.lthash, genesis.supply)
        rows += [(keys.UTXO, point, encode(utxo)) for point, utxo in genesis.created]
        if self._addresses is not None:
            rows += self._addresses.genesis_rows(genesis.created)
        self._engine.write(rows, sync=True)

    def apply(self, update: ChainUpdate, durable: bool) -> None:
        """See the port."""
        block, diff = update.block, update.diff
        height = height_key(block.height)
        rows = self._state_rows(
            block.height, block.hash, update.active_set, update.lthash, update.supply
        )
        rows += [
            (keys.HEADERS, height, encode(block.header)),
            (keys.BODIES, height, encode(block.body)),
            (keys.BLOCK_CERTIFICATES, height, encode(update.certificate)),
            (keys.UNDO, height, encode(UndoRow(diff.spent, diff.created))),
        ]
        transactions = (*update.transactions, block.body.reward)
        rows += transaction_rows(block.height, transactions)
        rows += [(keys.UTXO, point, None) for point, _ in diff.spent]
        rows += [(keys.UTXO, point, encode(utxo)) for point, utxo in diff.created]
        if self._addresses is not None:
            rows += self._addresses.rows(block.height, address_changes(transactions, diff))
        self._engine.write(rows, durable)

    def header_top(self) -> int:
        """See ``HeaderStore``."""
        row = self._engine.get(keys.META, keys.META_HEADERS)
        return 0 if row is None else height_of_key(row)

    def add_headers(self, items: Sequence[FinalHeader]) -> None:
        """See ``HeaderStore``."""
        rows: list[Row] = []
        for item in items:
            height = height_key(item.header.height)
            rows += [
                (keys.HEADERS, height, encode(item.header)),
                (keys.BLOCK_CERTIFICATES, height, encode(item.certificate)),
                (keys.AVS, height, item.header.avs_root),
                (keys.HEIGHTS, item.header.hash, height),
            ]
            if item.members is not None:
                rows.append((keys.AVS, item.header.avs_root, encode(item.members)))
        rows.append((keys.META, keys.META_HEADERS, height_key(items[-1].header.height)))
        self._engine.write(rows, sync=False)

    def forget_bodies(self, first: int, last: int) -> None:
        """See ``PrunedStore``."""
        rows: list[Row] = [(keys.META, keys.META_FIRST_BODY, height_key(last + 1))]
        for height in range(first, last + 1):
            number = height_key(height)
            body = self._row(keys.BODIES, number, Body)
            if body is not None:
                wtxids = (*(entry.wtxid for entry in body.entries), body.reward.wtxid)
                rows += [(keys.TX, wtxid, None) for wtxid in wtxids]
            rows += [(keys.BODIES, number, None), (keys.UNDO, number, None)]
        lacking = self.lacks_undo()
        if lacking:
            # What the rest of them spent was in the blocks that go; it can be found when those are
            # back, if they ever are.
            row = None if lacking.stop <= last + 1 else undo_mark(range(1, lacking.stop))
            rows.append((keys.META, keys.META_LACKS_UNDO, row))
        self._engine.write(rows, sync=False)

    def record_fork(self, first: BlockCertificate, second: BlockCertificate) -> None:
        """See the port."""
        row = encode(ForkRow(first, second))
        self._engine.write([(keys.FORKS, height_key(first.height), row)], sync=True)

    def _state_rows(
        self, height: int, block_hash: bytes, active_set: ActiveSet, lthash: bytes, supply: int
    ) -> list[Row]:
        number = height_key(height)
        rows: list[Row] = [
            (keys.META, keys.META_TIP, number + block_hash),
            (keys.META, keys.META_LTHASH, lthash),
            (keys.META, keys.META_SUPPLY, supply.to_bytes(16, "big")),
            (keys.HEIGHTS, block_hash, number),
            (keys.AVS, number, active_set.root),
        ]
        # Most blocks change nothing in the set: the set itself is written once.
        if self._engine.get(keys.AVS, active_set.root) is None:
            rows.append((keys.AVS, active_set.root, encode(active_set)))
        return rows

    def _meta(self, key: bytes) -> bytes:
        row = self._engine.get(keys.META, key)
        if row is None:
            raise StoreError(f"the store has no {key.decode()}: it was never initialized")
        return row

    def _row(self, table: str, key: bytes, kind: type[T]) -> T | None:
        row = self._engine.get(table, key)
        return None if row is None else decode(row, kind, len(row))
