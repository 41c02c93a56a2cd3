"""The index of addresses on an engine: rows that are written in the same batch as their block."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from twisted.logger import Logger

from timecoin.chain.addresses import AddressChanges, address_changes, owned
from timecoin.chain.ports import ChainStore, Place
from timecoin.crypto.hashing import HASH_BYTES, blake3_256
from timecoin.ledger.connect import Coin
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.store import keys
from timecoin.store.engine import Engine, Row, StoreError
from timecoin.store.keys import undo_mark

_TOP_HEIGHT = 2**64 - 1
_TOP_POSITION = 2**32 - 1
_BATCH_ROWS = 10_000
_MARK: Row = (keys.META, keys.META_ADDRESS_INDEX, b"")
"""Stands while the index is whole."""

_log = Logger("timecoin.store")


class AddressIndex:
    """Two tables under the hash of a script: unspent outputs, and history with newest first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def genesis_rows(self, created: Sequence[Coin]) -> list[Row]:
        """The rows of block 0, and the mark that the index is whole."""
        return [_MARK, *self.rows(0, AddressChanges((), owned(created), ()))]

    def rows(self, height: int, changes: AddressChanges) -> list[Row]:
        """The rows that a block at ``height`` writes and deletes."""
        hashes: dict[bytes, bytes] = {}  # most scripts occur in several rows of a block

        def hash_of(script: bytes) -> bytes:
            found = hashes.get(script)
            if found is None:
                found = hashes[script] = blake3_256(script)
            return found

        rows: list[Row] = [
            (keys.ADDRESS_UNSPENT, hash_of(script) + point, None) for script, point in changes.spent
        ]
        rows += [
            (keys.ADDRESS_UNSPENT, hash_of(script) + point, b"")
            for script, point in changes.created
        ]
        rows += [
            (keys.ADDRESS_HISTORY, hash_of(script) + _place_key((height, position)), txid)
            for script, position, txid in changes.history
        ]
        return rows

    def unspent(self, script: bytes, after: Outpoint | None, limit: int) -> list[Outpoint]:
        """See ``AddressStore.address_unspent``."""
        prefix = blake3_256(script)
        start = prefix if after is None else prefix + after + b"\0"
        rows = self._engine.scan(keys.ADDRESS_UNSPENT, prefix, start)
        return [key[HASH_BYTES:] for key, _ in islice(rows, limit)]

    def history(self, script: bytes, before: Place | None, limit: int) -> list[tuple[Place, bytes]]:
        """See ``AddressStore.address_history``."""
        prefix = blake3_256(script)
        start = prefix if before is None else prefix + _place_key(before) + b"\0"
        rows = self._engine.scan(keys.ADDRESS_HISTORY, prefix, start)
        return [(_place_of_key(key[HASH_BYTES:]), txid) for key, txid in islice(rows, limit)]


def settle_address_index(engine: Engine, store: ChainStore, wanted: bool) -> None:
    """Before the chain is opened: build a missing index, or forget one that is not ``wanted``.

    A forgotten one is no longer kept up; it is built anew when wanted again. An interrupted
    build begins again.
    """
    tip = store.tip()
    whole = engine.get(keys.META, keys.META_ADDRESS_INDEX) is not None
    if tip is None or whole == wanted:
        return
    if not wanted:
        engine.write([(keys.META, keys.META_ADDRESS_INDEX, None)], sync=True)
        return
    height, _ = tip
    _log.info("building the index of addresses up to block {height}", height=height)
    for table in (keys.ADDRESS_UNSPENT, keys.ADDRESS_HISTORY):
        engine.clear(table)
    _build(engine, store, height)
    _log.info("the index of addresses is built")


def _build(engine: Engine, store: ChainStore, tip_height: int) -> None:
    """Unspent outputs from the set, history from the blocks; the mark comes last."""
    index = AddressIndex(engine)
    lacking = store.lacks_undo()
    if lacking:
        # Whatever of them had been entered is gone: they are gone through again from the first one.
        mark = undo_mark(range(1, lacking.stop))
        engine.write([(keys.META, keys.META_LACKS_UNDO, mark)], sync=False)
    for height in range(store.first_undo(), tip_height + 1):
        block, diff = store.block(height), store.undo(height)
        if block is None or diff is None:
            raise StoreError(f"the store has no block {height}: it is damaged")
        wtxids = [*(entry.wtxid for entry in block.body.entries), block.body.reward.wtxid]
        changes = address_changes([_body(store, wtxid) for wtxid in wtxids], diff)
        history = AddressChanges((), (), changes.history)
        engine.write(index.rows(height, history), sync=False)
    utxos = store.utxos()
    while chunk := list(islice(utxos, _BATCH_ROWS)):
        engine.write(index.rows(tip_height, AddressChanges((), owned(chunk), ())), sync=False)
    engine.write([_MARK], sync=True)


def _body(store: ChainStore, wtxid: bytes) -> Transaction:
    found = store.transaction(wtxid)
    if found is None:
        raise StoreError(f"the store has no transaction {wtxid.hex()}: it is damaged")
    return found


def _place_key(place: Place) -> bytes:
    height, position = place
    return (_TOP_HEIGHT - height).to_bytes(8, "big") + (_TOP_POSITION - position).to_bytes(4, "big")


def _place_of_key(key: bytes) -> Place:
    return (
        _TOP_HEIGHT - int.from_bytes(key[:8], "big"),
        _TOP_POSITION - int.from_bytes(key[8:], "big"),
    )
