"""Snowball's arithmetic on one conflict set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.finality.snowball import Snowball, alpha_of
from timecoin.params import FinalityParams

PARAMS = FinalityParams()
A, B, C = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32


def contest(*candidates: bytes) -> Snowball:
    """A fresh conflict set."""
    snowball = Snowball(candidates[0], PARAMS)
    for txid in candidates[1:]:
        snowball.add(txid)
    return snowball


class AlphaTests(SynchronousTestCase):
    def test_values(self) -> None:
        """14 of 20; floor((s+1)/2)+1 of a smaller sample; never more than there are."""
        expected = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 7: 5, 10: 6, 19: 11, 20: 14, 50: 14}
        self.assertEqual({s: alpha_of(s, PARAMS) for s in expected}, expected)

    def test_two_transactions_never_both_reach_it(self) -> None:
        for sample in range(1, 200):
            self.assertGreater(2 * alpha_of(min(sample, 20), PARAMS), min(sample, 20))


class SnowballTests(SynchronousTestCase):
    def test_accepted_after_twenty_in_a_row(self) -> None:
        snowball = contest(A, B)
        for number in range(1, 21):
            self.assertIsNone(snowball.accepted)
            accepted = snowball.record_poll({A: 14, B: 6}, 0, 20)
            self.assertEqual(snowball.confidence, number)
        self.assertEqual((accepted, snowball.accepted), (A, A))

    def test_failure_resets_confidence(self) -> None:
        snowball = contest(A, B)
        for _ in range(19):
            snowball.record_poll({A: 14, B: 6}, 0, 20)
        snowball.record_poll({A: 13, B: 7}, 0, 20)
        self.assertEqual(snowball.confidence, 0)
        self.assertIsNone(snowball.accepted)

    def test_missing_answers_change_nothing(self) -> None:
        snowball = contest(A, B)
        for _ in range(5):
            snowball.record_poll({A: 14, B: 6}, 0, 20)
        snowball.record_poll({A: 13, B: 6}, 1, 20)
        self.assertEqual((snowball.confidence, snowball.preference), (5, A))

    def test_success_of_another_starts_over(self) -> None:
        snowball = contest(A, B)
        for _ in range(5):
            snowball.record_poll({A: 14}, 6, 20)
        snowball.record_poll({B: 14, A: 6}, 0, 20)
        self.assertEqual((snowball.confidence, snowball.preference), (1, A))

    def test_preference_goes_to_the_highest_counter(self) -> None:
        snowball = contest(A, B)
        snowball.record_poll({B: 14, A: 6}, 0, 20)
        self.assertEqual(snowball.preference, B)
        snowball.record_poll({A: 14, B: 6}, 0, 20)
        self.assertEqual(snowball.preference, B)  # one each: it stays
        snowball.record_poll({A: 14, B: 6}, 0, 20)
        self.assertEqual(snowball.preference, A)

    def test_ties_fall_to_the_lowest_after_three(self) -> None:
        snowball = contest(B, A, C)
        for _ in range(2):
            snowball.record_poll({A: 2, B: 2}, 0, 4)
            self.assertEqual(snowball.preference, B)
        snowball.record_poll({A: 2, B: 2}, 0, 4)
        self.assertEqual(snowball.preference, A)

    def test_the_higher_counter_stays_after_three(self) -> None:
        snowball = contest(B, A)
        snowball.record_poll({B: 4}, 0, 4)
        for _ in range(3):
            snowball.record_poll({A: 2, B: 2}, 0, 4)
        self.assertEqual(snowball.preference, B)

    def test_votes_for_strangers_count_for_nobody(self) -> None:
        snowball = contest(A, B)
        snowball.record_poll({C: 20}, 0, 20)
        self.assertEqual((snowball.preference, snowball.confidence), (A, 0))

    def test_pinned_stays(self) -> None:
        snowball = contest(A, B)
        snowball.pin(B)
        for _ in range(40):
            snowball.record_poll({A: 20}, 0, 20)
        self.assertEqual((snowball.accepted, snowball.preference), (B, B))

    def test_removal(self) -> None:
        snowball = contest(A, B, C)
        snowball.record_poll({C: 14}, 0, 20)
        snowball.remove(C)
        self.assertEqual((snowball.preference, snowball.confidence), (A, 0))
        self.assertEqual(snowball.candidates, (A, B))

    @given(
        st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)), max_size=80)
    )
    def test_invariants(self, polls: list[tuple[int, int, int]]) -> None:
        snowball = contest(A, B)
        accepted: bytes | None = None
        for for_a, for_b, missing in polls:
            before = snowball.confidence
            snowball.record_poll({A: for_a, B: for_b}, missing, 20)
            self.assertIn(snowball.preference, snowball.candidates)
            self.assertIn(snowball.confidence, (0, 1, before, before + 1))
            if accepted is not None:
                self.assertEqual(snowball.accepted, accepted)
            accepted = snowball.accepted
            if accepted is not None:
                self.assertGreaterEqual(snowball.confidence, PARAMS.confidence)
