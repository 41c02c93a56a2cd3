"""A bounded memory: the last ones are kept, whatever is put and found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.recent import Recent

CAPACITY = 8


class RecentTests(SynchronousTestCase):
    def test_a_value_is_found_again(self) -> None:
        recent: Recent[str, int] = Recent(CAPACITY)
        self.assertIsNone(recent.find("a"))
        recent.put("a", 0)
        self.assertEqual(recent.find("a"), 0)
        recent.put("a", 2)
        self.assertEqual((recent.find("a"), len(recent)), (2, 1))

    def test_what_is_asked_for_stays(self) -> None:
        recent: Recent[int, int] = Recent(CAPACITY)
        recent.put(-1, 1)
        for number in range(10 * CAPACITY):
            recent.put(number, number)
            self.assertEqual(recent.find(-1), 1)

    def test_a_capacity_that_cannot_be_halved(self) -> None:
        self.assertRaises(ValueError, Recent, 1)

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=200))
    def test_the_last_half_is_there_and_no_more_than_all(
        self, steps: list[tuple[bool, int]]
    ) -> None:
        recent: Recent[int, int] = Recent(CAPACITY)
        last: dict[int, int] = {}
        for step, (is_put, key) in enumerate(steps):
            if is_put:
                recent.put(key, step)
                last.pop(key, None)
                last[key] = step
            elif (found := recent.find(key)) is not None:
                self.assertEqual(last.pop(key), found)
                last[key] = found
            self.assertLessEqual(len(recent), CAPACITY)
            for kept in list(last)[-CAPACITY // 2 :]:
                self.assertIn(kept, recent._young | recent._old)
