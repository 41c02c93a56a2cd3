"""The token bucket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.p2p.tokens import MINUTE_MS, TokenBucket


class BucketTests(SynchronousTestCase):
    """Rates in whole numbers."""

    def test_burst_then_rate(self) -> None:
        bucket = TokenBucket(60, 10, 0)
        self.assertEqual([bucket.take(1, 0) for _ in range(11)], [True] * 10 + [False])
        self.assertFalse(bucket.take(1, 999))
        self.assertTrue(bucket.take(1, 1_000))
        self.assertFalse(bucket.take(1, 1_000))

    def test_never_more_than_the_burst(self) -> None:
        bucket = TokenBucket(60, 10, 0)
        self.assertFalse(bucket.take(11, 10**9))
        self.assertTrue(bucket.take(10, 10**9))

    def test_debt(self) -> None:
        bucket = TokenBucket(60, 10, 0)
        bucket.spend(25, 0)
        self.assertEqual(bucket.wait_ms(0, 0), 15_000)
        self.assertEqual(bucket.wait_ms(1, 0), 16_000)
        self.assertEqual(bucket.wait_ms(0, 14_999), 1)
        self.assertEqual(bucket.wait_ms(0, 15_000), 0)
        self.assertTrue(bucket.is_full(10**6))

    def test_clock_that_steps_back(self) -> None:
        """Fills nothing, and fills on from there."""
        bucket = TokenBucket(60, 1, 10_000)
        self.assertTrue(bucket.take(1, 10_000))
        self.assertFalse(bucket.take(1, 5_000))
        self.assertTrue(bucket.take(1, 6_000))

    @given(st.integers(1, 10**6), st.lists(st.integers(0, 5_000), max_size=60))
    def test_nobody_gets_more_than_burst_and_rate(self, rate: int, steps: list[int]) -> None:
        """However the takes are spread."""
        bucket, now_ms, taken = TokenBucket(rate, 5, 0), 0, 0
        for step in steps:
            now_ms += step
            while taken < 10**4 and bucket.take(1, now_ms):
                taken += 1
        self.assertLessEqual(taken, 5 + now_ms * rate // MINUTE_MS)
