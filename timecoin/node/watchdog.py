"""Watches that the loops of a node turn: work that waits has to go on.

Everything runs in one thread, so a blocked reactor answers nobody; what is found here are loops
that have ended or wait for something that never comes, while RPC still answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

TICK_S = 1.0
OWN_LIMIT_S = 15.0
"""The watchdog itself has stopped when its tick is so late."""


@dataclass(slots=True)
class _Loop:
    name: str
    progress: Callable[[], int]
    busy: Callable[[], bool]
    limit_s: float
    seen: int
    moved_s: float
    told: bool = False


class Watchdog(Service):
    """Looks at every loop once a second."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.setName("watchdog")
        self._clock = clock
        self._loops: list[_Loop] = []
        self._tick: IDelayedCall | None = None
        self._ticked_s = 0.0

    def watch(
        self, name: str, progress: Callable[[], int], busy: Callable[[], bool], limit_s: float
    ) -> None:
        """``name`` has stopped when ``progress`` stays the same for ``limit_s`` while ``busy``."""
        now_s = self._clock.seconds()
        self._loops.append(_Loop(name, progress, busy, limit_s, progress(), now_s))

    def startService(self) -> None:
        """Begin to look; what was before does not count."""
        super().startService()
        for loop in self._loops:
            loop.moved_s = self._clock.seconds()
        self._look()

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def stopped_loops(self) -> list[str]:
        """Names of the loops that should turn and do not; of nothing before the start."""
        if not self.running:
            return []
        now_s = self._clock.seconds()
        if now_s - self._ticked_s > OWN_LIMIT_S:
            return ["watchdog"]
        return [loop.name for loop in self._loops if now_s - loop.moved_s > loop.limit_s]

    def _look(self) -> None:
        now_s = self._ticked_s = self._clock.seconds()
        for loop in self._loops:
            progress = loop.progress()
            if progress != loop.seen or not loop.busy():
                loop.seen, loop.moved_s, loop.told = progress, now_s, False
            elif now_s - loop.moved_s > loop.limit_s and not loop.told:
                loop.told = True
                self.log.error(
                    "the loop {loop} has stopped: no progress for {seconds} s",
                    loop=loop.name,
                    seconds=round(now_s - loop.moved_s),
                )
        self._tick = self._clock.callLater(TICK_S, self._look)
