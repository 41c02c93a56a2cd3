"""A simulated machine's disk: it forgets what was not synced, and it can be full."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from timecoin.store.engine import Row
from timecoin.store.memory import MemoryEngine


class DiskFull(OSError):
    """No space left for a write; nothing of it was written."""

    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, "no space left on the simulated disk")


class SimDisk(MemoryEngine):
    """A memory engine that refuses writes while it is ``full``."""

    full = False

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """See :class:`timecoin.store.engine.Engine`; :class:`DiskFull` while it is full."""
        if self.full:
            raise DiskFull
        super().write(rows, sync)
