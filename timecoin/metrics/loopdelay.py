"""How late the reactor calls: what every user of this node waits for, before anything else."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from timecoin.metrics.histogram import Histogram

PROBE_S = 0.25
ALARM_S = 0.1
"""A turn that took longer is logged: something has blocked the loop."""


class LoopProbe(Service):
    """Asks to be called at even times and notes how late that was."""

    log = Logger()

    def __init__(self, clock: IReactorTime, delays: Histogram) -> None:
        self.setName("probe")
        self._clock = clock
        self._delays = delays
        self._due_s = 0.0
        self._call: IDelayedCall | None = None
        self.beats = 0
        """Calls that have come."""

    def startService(self) -> None:
        """Begin to probe."""
        super().startService()
        self._next()

    def stopService(self) -> None:
        """Probe no more."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _next(self) -> None:
        self._due_s = self._clock.seconds() + PROBE_S
        self._call = self._clock.callLater(PROBE_S, self._beat)

    def _beat(self) -> None:
        late_s = max(0.0, self._clock.seconds() - self._due_s)
        self._delays.add(late_s)
        self.beats += 1
        if late_s > ALARM_S:
            self.log.info("the loop was late by {late_ms} ms", late_ms=round(late_s * 1000))
        self._next()
