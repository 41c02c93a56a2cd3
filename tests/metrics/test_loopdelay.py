"""The probe measures how late calls come, and says so when that hurts."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from timecoin.metrics.histogram import Histogram
from timecoin.metrics.loopdelay import PROBE_S, LoopProbe


class LoopProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.delays = Histogram((0.001, 0.05, 0.2))
        self.probe = LoopProbe(self.clock, self.delays)
        self.lines: list[str] = []
        publisher = LogPublisher(self.heard)
        self.patch(LoopProbe, "log", Logger("timecoin.metrics", observer=publisher))

    @implementer(ILogObserver)
    def heard(self, event: LogEvent) -> None:
        self.lines.append(str(event["late_ms"]))

    def test_in_time(self) -> None:
        self.probe.startService()
        for _ in range(10):
            self.clock.advance(PROBE_S)
        self.assertEqual((self.probe.beats, self.delays.count), (10, 10))
        self.assertEqual(self.delays.buckets()[0][1], 10)
        self.assertEqual(self.lines, [])

    def test_late(self) -> None:
        self.probe.startService()
        self.clock.advance(PROBE_S + 0.04)
        self.assertEqual(self.lines, [])
        self.clock.advance(PROBE_S + 0.15)
        self.assertEqual([count for _, count in self.delays.buckets()], [0, 1, 2, 2])
        self.assertEqual(self.lines, ["150"])

    def test_stopped(self) -> None:
        self.probe.startService()
        self.probe.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
