"""Transactions whose inputs are not known yet: a bounded, least-recently-used set."""

from __future__ import annotations

from collections import OrderedDict

from timecoin.ledger.transaction import Transaction


class Orphans:
    """Orphans by wtxid, found again by the txid of the parent they wait for."""

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._by_wtxid: OrderedDict[bytes, Transaction] = OrderedDict()
        self._by_parent: dict[bytes, dict[bytes, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_wtxid)

    def get(self, wtxid: bytes) -> Transaction | None:
        """The orphan called ``wtxid``."""
        return self._by_wtxid.get(wtxid)

    def has_txid(self, txid: bytes) -> bool:
        """Whether an orphan of this txid waits (linear: for status reports only)."""
        return any(tx.txid == txid for tx in self._by_wtxid.values())

    def add(self, tx: Transaction) -> None:
        """Keep ``tx``; the least recently added go when a bound is passed."""
        if tx.wtxid in self._by_wtxid:
            self._by_wtxid.move_to_end(tx.wtxid)
            return
        self._by_wtxid[tx.wtxid] = tx
        self._bytes += len(tx.encoded)
        for item in tx.inputs:
            self._by_parent.setdefault(item.prev_txid, {})[tx.wtxid] = None
        while len(self._by_wtxid) > self._max_count or self._bytes > self._max_bytes:
            self._drop(next(iter(self._by_wtxid)))

    def take_children(self, txid: bytes) -> tuple[Transaction, ...]:
        """Remove and return the orphans that spend an output of ``txid``."""
        wtxids = tuple(self._by_parent.get(txid, ()))
        return tuple(self._drop(wtxid) for wtxid in wtxids)

    def discard(self, wtxid: bytes) -> None:
        """Forget the orphan ``wtxid``, if it waits here."""
        if wtxid in self._by_wtxid:
            self._drop(wtxid)

    def _drop(self, wtxid: bytes) -> Transaction:
        tx = self._by_wtxid.pop(wtxid)
        self._bytes -= len(tx.encoded)
        for parent in dict.fromkeys(item.prev_txid for item in tx.inputs):
            waiting = self._by_parent[parent]
            del waiting[wtxid]
            if not waiting:
                del self._by_parent[parent]
        return tx
