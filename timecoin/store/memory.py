"""An engine in memory for tests and the simulator, with the crashes a disk can suffer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from timecoin.store.engine import Row
from timecoin.store.keys import TABLES


class MemoryEngine:
    """Keeps rows in dictionaries, and what it takes to forget the writes not yet synced.

    The object plays the disk: after :meth:`crash` or :meth:`close` a new owner may use it.
    """

    def __init__(self, tables: Sequence[str] = TABLES) -> None:
        self._tables: dict[str, dict[bytes, bytes]] = {name: {} for name in tables}
        self._sorted: dict[str, list[bytes]] = {}
        self._unsynced: list[list[Row]] = []
        """For each batch since the last sync, the rows as they were before it."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """See :class:`timecoin.store.engine.Engine`."""
        return self._tables[table].get(key)

    def scan(
        self, table: str, prefix: bytes = b"", start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`timecoin.store.engine.Engine`; the rows are those of the moment of call."""
        rows = self._tables[table]
        keys = self._sorted.get(table)
        if keys is None:
            keys = self._sorted[table] = sorted(rows)
        found = []
        for position in range(bisect_left(keys, max(prefix, start)), len(keys)):
            if not keys[position].startswith(prefix):
                break
            found.append((keys[position], rows[keys[position]]))
        return iter(found)

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        before = [(table, key, self._tables[table].get(key)) for table, key, _ in rows]
        for table, key, value in rows:
            self._put(table, key, value)
        self._unsynced.append(before)
        if sync:
            self.sync()

    def clear(self, table: str) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        self.write([(table, key, None) for key in self._tables[table]], sync=True)

    def sync(self) -> None:
        """Batches written so far survive :meth:`crash`."""
        self._unsynced.clear()

    def close(self) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        self.sync()

    @property
    def unsynced_batches(self) -> int:
        """How many batches a crash may take."""
        return len(self._unsynced)

    def crash(self, keep: int = 0) -> None:
        """Lose the batches since the last sync, all but the first ``keep`` of them."""
        while len(self._unsynced) > keep:
            for table, key, value in reversed(self._unsynced.pop()):
                self._put(table, key, value)
        self.sync()

    def _put(self, table: str, key: bytes, value: bytes | None) -> None:
        rows = self._tables[table]
        if value is None:
            if rows.pop(key, None) is not None:
                self._sorted.pop(table, None)
        else:
            if key not in rows:
                self._sorted.pop(table, None)
            rows[key] = value
