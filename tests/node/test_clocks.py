"""The reactor's timers when somebody sets the machine's clock."""

from __future__ import annotations

import time

from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from timecoin.node.clocks import WallClock, keep_steady

DAY_S = 86_400.0


class SteadyTests(SynchronousTestCase):
    """A reactor of its own, on a time of day that the test sets."""

    def setUp(self) -> None:
        self.day_s = 1_800_000_000.0
        self.reactor = SelectReactor()
        self.patch(self.reactor, "seconds", lambda: self.day_s)
        for reader in self.reactor.removeAll():
            self.addCleanup(reader.connectionLost, None)  # its own pipe to wake it up
        self.fired: list[str] = []

    def test_timers_fire_however_the_clock_is_set(self) -> None:
        self.reactor.callLater(0, self.fired.append, "before")
        keep_steady(self.reactor)
        self.reactor.callLater(0, self.fired.append, "after")
        self.reactor.callLater(DAY_S / 2, self.fired.append, "not yet")
        for set_s in (-DAY_S, 2 * DAY_S):
            self.day_s += set_s
            self.reactor.runUntilCurrent()
            self.assertEqual(self.fired, ["before", "after"])
        self.assertLess(abs(self.reactor.seconds() - 1_800_000_000), DAY_S / 4)

    def test_the_time_of_day_is_another_clock(self) -> None:
        clock = Clock()
        wall = WallClock(clock)
        self.patch(time, "time", lambda: self.day_s)
        self.assertEqual(wall.seconds(), self.day_s)
        self.day_s -= DAY_S
        self.assertEqual(wall.seconds(), self.day_s)
        wall.callLater(1, self.fired.append, "x")
        self.assertEqual(wall.getDelayedCalls(), clock.getDelayedCalls())
        clock.advance(1)
        self.assertEqual(self.fired, ["x"])
