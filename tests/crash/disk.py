"""A disk on RocksDB that ends its process at a chosen point, and power cuts that come after.

All that a node keeps passes ``store/engine.py``, so its points are those of the engine: before and
after each write and each sync, named by what is written. The node's own code knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from timecoin.sim.disk import SimDisk
from timecoin.store import keys
from timecoin.store.engine import Row
from timecoin.store.rocks import RocksEngine
from timecoin.store.tornlog import newest_log

VARIABLE = "TIMECOIN_CRASH_AT"
"""``name:count``: the lives of a campaign end when they pass that point for that time."""
LIFE_ENDS = "end of a life"

_KIND_OF_META = {
    keys.META_SCHEMA: "claim",
    keys.META_REINDEX: "rebuild",
    keys.META_LOADING: "load",
    keys.META_HEADERS: "headers",
    keys.META_FIRST_BODY: "prune",
}


def kind_of(rows: Sequence[Row]) -> str:
    """What a batch is, by the tables and keys that it writes."""
    tables = {table for table, _, _ in rows}
    for table, key, _ in rows:
        if table == keys.META and key in _KIND_OF_META:
            return _KIND_OF_META[key]
    if tables & {keys.BODIES, keys.UNDO}:
        return "block"
    if keys.META in tables:
        return "genesis" if keys.UTXO in tables else "mark"
    if "consensus" in tables:
        return "ballots"
    if tables & {"locks", "votes"}:
        return "votes"
    return "journal" if tables & {*keys.JOURNAL, keys.HEARTBEATS} else "rows"


class Trap:
    """Counts the points that all disks of a process pass, and ends it at the chosen one.

    As ``kill -9`` does: nothing is flushed, nobody is told.
    """

    def __init__(self, at: tuple[str, int] | None, told: Path) -> None:
        """``told`` gets the name of the point at which the process has ended."""
        self._at = at
        self._told = told
        self._phase = "start"
        self._began_s = time.monotonic()
        self.start_s = 0.0
        """How long the process took to recover."""
        self.passed: Counter[str] = Counter()

    def started(self) -> None:
        """What comes now is no longer recovery: points are named by that."""
        self._phase = "run"
        self.start_s = time.monotonic() - self._began_s

    def reads(self) -> None:
        """A table is read through: a point only while the node recovers."""
        if self._phase == "start":
            self.passes("scan")

    def passes(self, point: str) -> None:
        """The process is at ``point``."""
        name = f"{self._phase}.{point}"
        self.passed[name] += 1
        if (name, self.passed[name]) == self._at:
            self.end(name)

    def end(self, name: str) -> None:
        """End the process here."""
        self._told.write_text(f"{name}\n{self.start_s}")
        os.kill(os.getpid(), signal.SIGKILL)


class CrashingDisk(SimDisk):
    """RocksDB below ``directory``, with a trap around everything; a simulated node may own it."""

    lies = False
    """Whether it says that it has synced when it has not: a fault that campaigns must find."""

    def __init__(self, directory: Path, trap: Trap) -> None:
        super().__init__(same=bytes)
        self._trap = trap
        self._directory = directory
        trap.passes("open.before")
        self._rocks = RocksEngine(directory)
        trap.passes("open.done")

    def get(self, table: str, key: bytes) -> bytes | None:
        """See :class:`timecoin.store.engine.Engine`."""
        return self._rocks.get(table, key)

    def scan(
        self, table: str, prefix: bytes = b"", start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`timecoin.store.engine.Engine`."""
        self._trap.reads()
        return self._rocks.scan(table, prefix, start)

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        kind = kind_of(rows)
        self._trap.passes(f"{kind}.before")
        self._rocks.write(rows, sync=False)
        self._trap.passes(f"{kind}.written")
        if sync:
            self._sync()
            self._trap.passes(f"{kind}.synced")

    def clear(self, table: str) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        self._trap.passes("clear.before")
        self._rocks.clear(table)
        self._trap.passes("clear.done")

    def sync(self) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        self._trap.passes("sync.before")
        self._sync()
        self._trap.passes("sync.done")

    def close(self) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        self._rocks.close()

    def _sync(self) -> None:
        if self.lies:
            return
        self._rocks.sync()
        log = newest_log(self._directory)
        assert log is not None
        mark = f"{log.name} {log.stat().st_size}"
        path = _mark_of(self._directory)
        path.with_suffix(".new").write_text(mark)
        path.with_suffix(".new").replace(path)


def forget_syncs(directory: Path) -> None:
    """The store in ``directory`` is a new one."""
    _mark_of(directory).unlink(missing_ok=True)


def _mark_of(directory: Path) -> Path:
    """Beside the store: its log, and how long that was at the last sync."""
    return directory.with_suffix(".synced")


def cut_power(directory: Path, chance: Random) -> None:
    """Take from a dead store's log a part of what no sync had made safe, or put zeros there."""
    log = newest_log(directory)
    if log is None:
        return
    mark = _mark_of(directory)
    name, size = mark.read_text().split() if mark.exists() else ("", "0")
    safe = int(size) if name == log.name else 0
    written = log.stat().st_size
    with log.open("r+b") as file:
        file.truncate(chance.randint(safe, written))
        if chance.random() < 0.5:
            file.truncate(written)
