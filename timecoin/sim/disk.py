"""A simulated machine's disk: it forgets what was not synced, and it can be full."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from timecoin.store.engine import Row
from timecoin.store.memory import MemoryEngine


class DiskFull(OSError):
    """No space left for a write; nothing of it was written."""

    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, "no space left on the simulated disk")


class SimDisk(MemoryEngine):
    """A memory engine that refuses writes while it is ``full``."""

    def __init__(self, same: Callable[[bytes], bytes]) -> None:
        """``same``: bytes that are equal to its argument; what all nodes write may stand once."""
        super().__init__()
        self.full = False
        self._same = same

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """See :class:`timecoin.store.engine.Engine`; :class:`DiskFull` while it is full."""
        if self.full:
            raise DiskFull
        same = self._same
        kept = [(table, same(key), value and same(value)) for table, key, value in rows]
        super().write(kept, sync)
