"""Virtual time keeps the promises of IReactorTime."""

from __future__ import annotations

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from timecoin.sim.clock import SimClock


class SimClockTests(SynchronousTestCase):
    """One clock that starts at 100."""

    def setUp(self) -> None:
        self.clock = SimClock(100.0)
        self.calls: list[tuple[str, float]] = []

    def note(self, name: str) -> None:
        self.calls.append((name, self.clock.seconds()))

    def test_interfaces(self) -> None:
        verifyObject(IReactorTime, self.clock)
        verifyObject(IDelayedCall, self.clock.callLater(1, self.note, "a"))

    def test_steps_from_call_to_call_first_in_first_out(self) -> None:
        self.clock.callLater(2, self.note, "late")
        self.clock.callLater(1, self.note, "first")
        self.clock.callLater(1, self.note, "second")
        self.clock.run_until(103)
        self.assertEqual(self.calls, [("first", 101), ("second", 101), ("late", 102)])
        self.assertEqual(self.clock.seconds(), 103)

    def test_call_made_during_a_call_keeps_its_time(self) -> None:
        self.clock.callLater(1, lambda: self.clock.callLater(1, self.note, "inner"))
        self.clock.run_until(110)
        self.assertEqual(self.calls, [("inner", 102)])

    def test_cancel_reset_and_delay(self) -> None:
        never = self.clock.callLater(1, self.note, "never")
        never.cancel()
        self.assertRaises(AlreadyCancelled, never.cancel)
        moved = self.clock.callLater(1, self.note, "moved")
        moved.delay(2)
        sooner = self.clock.callLater(9, self.note, "sooner")
        sooner.reset(1)
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [101, 103])
        self.clock.run_until(200)
        self.assertEqual(self.calls, [("sooner", 101), ("moved", 103)])
        self.assertRaises(AlreadyCalled, moved.cancel)
        self.assertFalse(moved.active())

    def test_a_cancelled_call_does_not_bring_a_later_one_forward(self) -> None:
        self.clock.callLater(1, self.note, "cancelled").cancel()
        self.clock.callLater(5, self.note, "later")
        self.clock.run_until(102)
        self.assertEqual((self.calls, self.clock.seconds()), ([], 102))
        self.clock.run_until(200)
        self.assertEqual(self.calls, [("later", 105)])

    def test_what_cannot_be_taken_back_has_its_turn_among_the_rest(self) -> None:
        self.clock.callLater(1, self.note, "first")
        self.clock.call_at(101.0, self.note, "second")
        self.clock.callLater(1, self.note, "third")
        self.clock.run_until(100.5)
        self.assertEqual(self.calls, [])
        self.clock.run_until(101)
        self.assertEqual(self.calls, [("first", 101), ("second", 101), ("third", 101)])

    def test_no_call_in_the_past(self) -> None:
        self.assertRaises(ValueError, self.clock.callLater, -1, self.note, "past")
