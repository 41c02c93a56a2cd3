"""Which entries a full pool gives up first (PROTOCOL 9): the lowest fee rate, then the latest."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from timecoin.mempool.entry import PoolEntry

_SLACK = 64


class _ByFeeRate:
    """Heap key: lowest fee rate first, then the latest arrival."""

    __slots__ = ("entry",)

    def __init__(self, entry: PoolEntry) -> None:
        self.entry = entry

    def __lt__(self, other: _ByFeeRate) -> bool:
        mine = self.entry.fee_units * other.entry.size
        theirs = other.entry.fee_units * self.entry.size
        return mine < theirs or (mine == theirs and self.entry.sequence > other.entry.sequence)


class EvictionOrder:
    """A heap over the pool's entries; those that left it, or were pinned since, are skipped."""

    def __init__(self, entries: Mapping[bytes, PoolEntry]) -> None:
        """``entries``: those of the pool by txid, as they are at each call."""
        self._entries = entries
        self._heap: list[_ByFeeRate] = []

    def __len__(self) -> int:
        """Its places, stale ones included: bounded by the pool's size."""
        return len(self._heap)

    def put(self, entry: PoolEntry) -> None:
        """Note an entry of the pool; the heap is rebuilt when most of it is stale."""
        heapq.heappush(self._heap, _ByFeeRate(entry))
        if len(self._heap) > 2 * len(self._entries) + _SLACK:
            self._heap = [_ByFeeRate(e) for e in self._entries.values() if not e.pinned]
            heapq.heapify(self._heap)

    def put_back(self, entries: Iterable[PoolEntry]) -> None:
        """Note again what :meth:`pop` gave."""
        for entry in entries:
            heapq.heappush(self._heap, _ByFeeRate(entry))

    def first(self) -> PoolEntry | None:
        """The next to be evicted; None when nothing may be."""
        while self._heap:
            entry = self._heap[0].entry
            if self._entries.get(entry.tx.txid) is entry and not entry.pinned:
                return entry
            heapq.heappop(self._heap)
        return None

    def pop(self) -> PoolEntry | None:
        """Take out :meth:`first`."""
        found = self.first()
        if found is not None:
            heapq.heappop(self._heap)
        return found
