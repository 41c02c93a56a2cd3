"""Records of protocol machines: written at once, synced beside the loop, then acknowledged.

Group commit: while one sync runs, later turns write on and wait together for the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from timecoin.machine import Record
from timecoin.store.engine import Engine
from timecoin.store.keys import JOURNAL

Offload = Callable[[Callable[[], None], Callable[[], None]], None]
"""(work, done): run ``work`` away from the loop, then call ``done`` in the loop.

When ``work`` raises, ``done`` must never be called and the node must stop: after a failed fsync
nobody knows what the disk holds.
"""


class JournalStore:
    """Makes the records of one turn durable before its messages leave."""

    def __init__(self, engine: Engine, offload: Offload) -> None:
        self._engine = engine
        self._offload = offload
        self._waiting: deque[tuple[int, bool, Callable[[], None]]] = deque()
        """(number of the commit, whether it needs a sync, done)"""
        self._written = 0
        self._synced = 0
        self._syncing = False
        self._acknowledging = False

    @property
    def pending(self) -> int:
        """How many commits have not been acknowledged yet."""
        return len(self._waiting)

    @property
    def commits(self) -> int:
        """Commits since the start."""
        return self._written

    def commit(self, records: Sequence[Record], done: Callable[[], None]) -> None:
        """Write ``records`` in one batch; call ``done`` once they are as durable as they ask.

        Calls of ``done`` keep the order of commits. Without a durable record, and with no earlier
        commit unacknowledged, ``done`` is called before this returns.
        """
        if records:
            rows = [(record.table, record.key, record.value) for record in records]
            self._engine.write(rows, sync=False)
        self._written += 1
        durable = any(record.durable for record in records)
        self._waiting.append((self._written, durable, done))
        self._acknowledge()

    def rows(self, table: str) -> tuple[tuple[bytes, bytes], ...]:
        """All rows of the journal table ``table`` in key order: what a machine restores from."""
        if table not in JOURNAL:
            raise ValueError(f"{table!r} is no journal table")
        return tuple(self._engine.scan(table))

    def _acknowledge(self) -> None:
        """Call ``done`` of all commits whose turn it is; then sync for the next, if any."""
        if self._acknowledging:
            return  # called from within a ``done``: the loop below goes on with it
        self._acknowledging = True
        try:
            while self._waiting:
                number, durable, done = self._waiting[0]
                if durable and number > self._synced:
                    break
                self._waiting.popleft()
                done()
        finally:
            self._acknowledging = False
        if self._waiting and not self._syncing:
            self._syncing = True
            through = self._written
            self._offload(self._engine.sync, lambda: self._sync_done(through))

    def _sync_done(self, through: int) -> None:
        """Commits up to number ``through`` are on disk."""
        self._syncing = False
        self._synced = through
        self._acknowledge()
