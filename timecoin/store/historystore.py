"""The rows of blocks that are added below the first body, after a fast start."""

from __future__ import annotations

from collections.abc import Sequence

from timecoin.chain.addresses import AddressChanges, address_changes
from timecoin.chain.history import OldBlock
from timecoin.chain.ports import Archived, ChainStore
from timecoin.codec import encode
from timecoin.ledger.block import Block
from timecoin.ledger.connect import UtxoDiff
from timecoin.ledger.transaction import Transaction
from timecoin.store import keys
from timecoin.store.addressindex import AddressIndex
from timecoin.store.chainstore import UndoRow, transaction_rows
from timecoin.store.engine import Engine, Row
from timecoin.store.keys import height_key, undo_mark


class EngineHistoryStore:
    """Implements :class:`timecoin.chain.history.HistoryStore`."""

    def __init__(self, engine: Engine, store: ChainStore, address_index: bool = True) -> None:
        """``store`` is the chain's, on the same engine."""
        self._engine = engine
        self._store = store
        self._addresses = AddressIndex(engine) if address_index else None

    def first_body(self) -> int:
        """See the port."""
        return self._store.first_body()

    def lacks_undo(self) -> range:
        """See the port."""
        return self._store.lacks_undo()

    def block(self, height: int) -> Block | None:
        """See the port."""
        return self._store.block(height)

    def archived(self, txid: bytes) -> Archived | None:
        """See the port."""
        return self._store.archived(txid)

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """See the port."""
        return self._store.transaction(wtxid)

    def add_bodies(self, blocks: Sequence[OldBlock]) -> None:
        """See the port."""
        first = blocks[0].block.height
        begun = self.lacks_undo().stop or self.first_body()
        rows: list[Row] = [
            (keys.META, keys.META_FIRST_BODY, height_key(first) if first > 1 else None),
            (keys.META, keys.META_LACKS_UNDO, undo_mark(range(1, begun))),
        ]
        for old in blocks:
            body = old.block.body
            rows.append((keys.BODIES, height_key(old.block.height), encode(body)))
            rows += transaction_rows(old.block.height, (*old.transactions, body.reward))
        self._engine.write(rows, sync=False)

    def add_undo(self, changes: Sequence[tuple[OldBlock, UtxoDiff]]) -> None:
        """See the port."""
        rest = self.lacks_undo()[len(changes) :]
        rows: list[Row] = [(keys.META, keys.META_LACKS_UNDO, undo_mark(rest) if rest else None)]
        for old, diff in changes:
            height, archived = old.block.height, (*old.transactions, old.block.body.reward)
            rows.append((keys.UNDO, height_key(height), encode(UndoRow(diff.spent, diff.created))))
            if self._addresses is not None:
                history = address_changes(archived, diff).history
                rows += self._addresses.rows(height, AddressChanges((), (), history))
        self._engine.write(rows, sync=False)
