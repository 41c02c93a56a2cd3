"""What the parts of a node and its machine say of themselves: loops, clock, disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from timecoin.metrics.loopdelay import LoopProbe
from timecoin.node.node import Node
from timecoin.node.watchdog import Watchdog
from timecoin.p2p.traffic import LinkFigures

MACHINES_LIMIT_S = 30.0
"""Timers of consensus and sync give the machines something to do every few seconds."""
JOURNAL_LIMIT_S = 15.0
"""A disk that has not synced for so long has failed."""
PEERS_LIMIT_S = 5.0
PROBE_LIMIT_S = 15.0


class NodeVitals:
    """The port ``Vitals`` of RPC."""

    def __init__(
        self,
        watchdog: Watchdog,
        datadir: Path,
        needed_disk_bytes: int,
        clock_offset_ms: Callable[[], int],
    ) -> None:
        self._watchdog = watchdog
        self._datadir = datadir
        self._needed_disk_bytes = needed_disk_bytes
        self._clock_offset_ms = clock_offset_ms

    @property
    def needed_disk_bytes(self) -> int:
        """Less free than this is a problem (``mindiskfree``)."""
        return self._needed_disk_bytes

    def stopped_loops(self) -> list[str]:
        """Names of the loops that should turn and do not."""
        return self._watchdog.stopped_loops()

    def clock_offset_ms(self) -> int:
        """How far the peers' clocks are ahead, by their median; 0 without peers."""
        return self._clock_offset_ms()

    def free_disk_bytes(self) -> int:
        """Free where the data directory is."""
        return shutil.disk_usage(self._datadir).free


def watch_loops(
    clock: IReactorTime, node: Node, probe: LoopProbe, links: Callable[[], LinkFigures]
) -> Watchdog:
    """A watchdog on every loop of a node."""
    watchdog = Watchdog(clock)
    journal = node.journal

    def started() -> bool:
        return not node.driver.stopped

    watchdog.watch("machines", lambda: node.driver.turns, started, MACHINES_LIMIT_S)
    watchdog.watch(
        "journal",
        lambda: journal.commits - journal.pending,
        lambda: journal.pending > 0 and started(),
        JOURNAL_LIMIT_S,
    )
    watchdog.watch(
        "peers",
        lambda: 0,
        lambda: links().stopped_callers > 0,
        PEERS_LIMIT_S,
    )
    watchdog.watch("reactor", lambda: probe.beats, lambda: True, PROBE_LIMIT_S)
    return watchdog
