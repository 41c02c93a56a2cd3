"""Branch and bound against a search of all subsets; largest first."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.wallet.select import branch_and_bound, largest_first


class SelectTests(SynchronousTestCase):
    @given(
        st.lists(st.integers(6, 40), max_size=9),
        st.integers(1, 150),
        st.integers(0, 5),
        st.integers(0, 20),
    )
    def test_the_least_excess_of_all_subsets(
        self, values: list[int], paid: int, fee: int, tolerance: int
    ) -> None:
        values.sort(reverse=True)

        def needed(count: int) -> int:
            return paid + fee * count

        excesses = [
            sum(subset) - needed(count)
            for count in range(1, len(values) + 1)
            for subset in combinations(values, count)
        ]
        least = min((each for each in excesses if 0 <= each <= tolerance), default=None)
        found = branch_and_bound(values, needed, tolerance)
        if found is None:
            self.assertIsNone(least)
        else:
            self.assertEqual(sum(values[each] for each in found) - needed(len(found)), least)
            self.assertEqual(found, sorted(set(found)))

    def test_it_gives_up(self) -> None:
        """Powers of two with an even sum that they cannot reach but by all subsets tried."""
        values = [2**power for power in range(60, 20, -1)]
        steps = []

        def needed(count: int) -> int:
            steps.append(count)
            return 2**50 + 1

        self.assertIsNone(branch_and_bound(values, needed, 0, max_tries=500))
        self.assertLessEqual(len(steps), 500)

    def test_equal_values_are_not_tried_again(self) -> None:
        steps = []

        def needed(count: int) -> int:
            steps.append(count)
            return 10 * 30 + 5

        self.assertIsNone(branch_and_bound([10] * 40, needed, 0))
        self.assertLess(len(steps), 500)

    def test_largest_first(self) -> None:
        values = [9, 5, 3, 1]
        for paid, count in ((1, 1), (8, 1), (9, 2), (12, 2), (13, 3), (14, 3), (15, None)):
            costs = [paid + number for number in range(5)]  # each coin costs 1
            self.assertEqual(largest_first(values, costs.__getitem__), count)
        self.assertIsNone(largest_first([], lambda n: 0))
