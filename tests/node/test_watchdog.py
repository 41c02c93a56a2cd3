"""A loop that has work and makes no progress is found, and told once."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from timecoin.node.watchdog import OWN_LIMIT_S, TICK_S, Watchdog


class WatchdogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.watchdog = Watchdog(self.clock)
        self.progress, self.busy = 0, True
        self.watchdog.watch("work", lambda: self.progress, lambda: self.busy, 10)
        self.lines: list[str] = []
        publisher = LogPublisher(self.heard)
        self.patch(Watchdog, "log", Logger("timecoin.node", observer=publisher))
        self.watchdog.startService()

    @implementer(ILogObserver)
    def heard(self, event: LogEvent) -> None:
        self.lines.append(str(event["loop"]))

    def pass_time(self, seconds: int) -> None:
        for _ in range(int(seconds / TICK_S)):
            self.clock.advance(TICK_S)

    def test_progress(self) -> None:
        for _ in range(10):
            self.pass_time(9)
            self.progress += 1
            self.assertEqual(self.watchdog.stopped_loops(), [])
        self.assertEqual(self.lines, [])

    def test_no_progress_and_then_again(self) -> None:
        self.pass_time(10)
        self.assertEqual(self.watchdog.stopped_loops(), [])
        self.pass_time(2)
        self.assertEqual(self.watchdog.stopped_loops(), ["work"])
        self.pass_time(60)
        self.assertEqual(self.lines, ["work"], "told once")
        self.progress += 1
        self.pass_time(1)
        self.assertEqual(self.watchdog.stopped_loops(), [])
        self.pass_time(12)
        self.assertEqual(self.lines, ["work", "work"])

    def test_nothing_to_do(self) -> None:
        self.busy = False
        self.pass_time(100)
        self.assertEqual(self.watchdog.stopped_loops(), [])

    def test_the_watchdog_itself(self) -> None:
        (call,) = self.clock.getDelayedCalls()
        call.cancel()
        self.clock.advance(OWN_LIMIT_S + 1)
        self.assertEqual(self.watchdog.stopped_loops(), ["watchdog"])
        self.watchdog._tick = None

    def test_before_and_after(self) -> None:
        other = Watchdog(self.clock)
        other.watch("work", lambda: 0, lambda: True, 1)
        self.clock.advance(100)
        self.assertEqual(other.stopped_loops(), [])
        self.watchdog.stopService()
        self.assertEqual(self.watchdog.stopped_loops(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
