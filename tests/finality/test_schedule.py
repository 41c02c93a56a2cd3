"""Tasks behind one timer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.finality.parameters import SCHEDULE_GRAIN_MS
from timecoin.finality.schedule import Schedule
from timecoin.machine import StartTimer


class ScheduleTests(SynchronousTestCase):
    def test_in_order_of_due_time_then_of_arrival(self) -> None:
        schedule = Schedule()
        for due, name in ((300, b"c"), (100, b"a"), (100, b"b"), (900, b"d")):
            schedule.put(("x", name), due)
        self.assertEqual([name for _, name in schedule.take(300)], [b"a", b"b", b"c"])
        self.assertEqual(len(schedule), 1)

    def test_never_early(self) -> None:
        schedule = Schedule()
        schedule.put(("x", b"a"), 101)
        self.assertEqual(list(schedule.take(149)), [])
        self.assertEqual(list(schedule.take(150)), [("x", b"a")])

    def test_one_timer(self) -> None:
        schedule = Schedule()
        self.assertEqual(schedule.timer(0), [])
        schedule.put(("x", b"a"), 1_000)
        self.assertEqual(schedule.timer(0), [StartTimer(("due",), 1_000)])
        schedule.put(("x", b"b"), 2_000)
        self.assertEqual(schedule.timer(0), [])
        schedule.put(("x", b"c"), 500)
        self.assertEqual(schedule.timer(0), [StartTimer(("due",), 500)])
        list(schedule.take(500))
        self.assertEqual(schedule.timer(500), [StartTimer(("due",), 500)])

    def test_put_again_and_drop(self) -> None:
        schedule = Schedule()
        schedule.put(("x", b"a"), 100)
        schedule.put(("x", b"a"), 500)
        schedule.put(("x", b"b"), 100)
        schedule.drop(("x", b"b"))
        self.assertEqual(list(schedule.take(400)), [])
        self.assertIn(("x", b"a"), schedule)
        self.assertEqual(list(schedule.take(500)), [("x", b"a")])

    def test_hasten_keeps_the_order(self) -> None:
        schedule = Schedule()
        for due, name in ((9_000, b"c"), (5_000, b"b"), (50, b"a")):
            schedule.put(("x", name), due)
        schedule.hasten(200)
        self.assertEqual([name for _, name in schedule.take(200)], [b"a", b"b", b"c"])

    def test_hasten_one_kind(self) -> None:
        schedule = Schedule()
        schedule.put(("x", b"a"), 9_000)
        schedule.put(("y", b"b"), 9_000)
        schedule.hasten(200, "y")
        self.assertEqual(list(schedule.take(200)), [("y", b"b")])
        self.assertEqual(list(schedule.take(9_000)), [("x", b"a")])

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5_000)), max_size=400))
    def test_each_task_once_at_its_last_time(self, puts: list[tuple[int, int]]) -> None:
        schedule = Schedule()
        last: dict[bytes, int] = {}
        for name, due in puts:
            schedule.put(("x", bytes([name])), due)
            last[bytes([name])] = due + -due % SCHEDULE_GRAIN_MS
        self.assertLessEqual(len(schedule._heap), 2 * len(last) + 66)
        taken: dict[bytes, int] = {}
        for now in range(0, 5_100, SCHEDULE_GRAIN_MS):
            for _, task in schedule.take(now):
                self.assertNotIn(task, taken)
                taken[task] = now
        self.assertEqual(taken, last)
