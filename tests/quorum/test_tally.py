"""The quorum rule: one function, every total (LESSONS: quorums of 50, 51 and 67 % side by side)."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.quorum.members import KEYS, active_set
from timecoin.quorum.tally import exceeds_third, has_quorum, quorum_weight, weight_of


def keys(*indices: int) -> list[bytes]:
    return [KEYS[index].public for index in indices]


class QuorumWeightTests(SynchronousTestCase):
    def test_every_total_up_to_10000(self) -> None:
        for total in range(1, 10_001):
            self.assertEqual(quorum_weight(total), math.ceil(Fraction(2 * total, 3)))

    def test_figures_of_the_protocol(self) -> None:
        self.assertEqual(quorum_weight(300), 200)
        self.assertEqual(quorum_weight(200), 134)
        self.assertEqual(quorum_weight(1), 1)

    def test_nobody_reaches_a_quorum_of_nothing(self) -> None:
        self.assertEqual(quorum_weight(0), 1)
        self.assertFalse(has_quorum([], [active_set({})]))
        self.assertFalse(has_quorum(keys(0), [active_set({}, free=[0])]))

    @given(st.integers(1, 2**60))
    def test_two_quorums_share_more_than_the_faulty_weight(self, total: int) -> None:
        """Safety while Byzantine weight < W/3: quorums intersect in at least W/3."""
        self.assertGreaterEqual(3 * (2 * quorum_weight(total) - total), total)
        self.assertLessEqual(quorum_weight(total), total)


class TallyTests(SynchronousTestCase):
    def test_a_third_of_three_may_be_missing(self) -> None:
        three = active_set({0: 100, 1: 100, 2: 100})
        self.assertTrue(has_quorum(keys(0, 2), [three]))
        self.assertFalse(has_quorum(keys(1), [three]))

    def test_one_unit_below(self) -> None:
        exact = active_set({0: 200, 1: 100})
        below = active_set({0: 199, 1: 101})
        self.assertTrue(has_quorum(keys(0), [exact]))
        self.assertFalse(has_quorum(keys(0), [below]))

    def test_two_that_are_left_need_both(self) -> None:
        two = active_set({0: 100, 1: 100})
        self.assertFalse(has_quorum(keys(0), [two]))
        self.assertTrue(has_quorum(keys(0, 1), [two]))

    def test_a_signer_counts_once(self) -> None:
        three = active_set({0: 100, 1: 100, 2: 100})
        self.assertEqual(weight_of(keys(0, 0, 0), three), 100)
        self.assertFalse(has_quorum(keys(0, 0, 0), [three]))

    def test_strangers_and_free_members_weigh_nothing(self) -> None:
        mixed = active_set({0: 100, 1: 100, 2: 100}, free=[3, 4])
        self.assertEqual(mixed.total_weight, 300)
        self.assertEqual(weight_of(keys(3, 4, 5), mixed), 0)
        self.assertFalse(has_quorum(keys(0, 3, 4, 5), [mixed]))

    def test_in_each_snapshot(self) -> None:
        old = active_set({0: 100, 1: 100, 2: 100})
        new = active_set({1: 100, 2: 100, 3: 100})
        self.assertTrue(has_quorum(keys(1, 2), [old, new]))
        self.assertFalse(has_quorum(keys(0, 1), [old, new]))
        self.assertFalse(has_quorum(keys(1, 3), [old, new]))
        self.assertTrue(has_quorum(keys(0, 1, 3), [old, new]))

    def test_no_snapshot_no_quorum(self) -> None:
        self.assertFalse(has_quorum(keys(0, 1, 2), []))

    def test_signers_may_come_once_only_from_an_iterator(self) -> None:
        three = active_set({0: 100, 1: 100, 2: 100})
        self.assertTrue(has_quorum(iter(keys(0, 1)), [three, three]))

    def test_more_than_a_third(self) -> None:
        three = active_set({0: 100, 1: 100, 2: 100})
        self.assertFalse(exceeds_third(keys(0), three))
        self.assertFalse(exceeds_third(keys(0, 0), three))
        self.assertTrue(exceeds_third(keys(0, 1), three))
        self.assertTrue(exceeds_third(keys(0), active_set({0: 101, 1: 100, 2: 100})))
        self.assertFalse(exceeds_third([], active_set({})))
