"""What a peer may use of a node: delays, never losses."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.p2p.allowance import (
    BULK_BYTES_PER_TOKEN,
    MAX_PAUSE_MS,
    SIGNED_BYTES_PER_TOKEN,
    STAKED_FACTOR,
    Allowance,
    KindRule,
    RateLimits,
)
from timecoin.p2p.tokens import TokenBucket

ASK, PAGE, VOTE = 65, 66, 50
LIMITS = RateLimits(
    disk_per_minute=60,
    disk_burst=5,
    work_per_minute=60_000,
    work_burst=1_000,
    all_per_minute=60_000,
    all_burst=5_000,
    kinds={ASK: KindRule(reads_disk=True), PAGE: KindRule(BULK_BYTES_PER_TOKEN)},
)


class AllowanceTests(SynchronousTestCase):
    """Two peers of one node."""

    def setUp(self) -> None:
        everybody = TokenBucket(LIMITS.all_per_minute, LIMITS.all_burst, 0)
        self.one = Allowance(LIMITS, everybody, 0)
        self.other = Allowance(LIMITS, everybody, 0)

    def test_requests_that_read_the_disk(self) -> None:
        """F25: a hundred a minute by default, then one waits until it is its turn."""
        waits = [self.one.spend(ASK, 10, False, 0) for _ in range(7)]
        self.assertEqual(waits, [0] * 5 + [1_000, 2_000])
        self.assertEqual(RateLimits().disk_per_minute, 100)

    def test_stake_buys_no_disk(self) -> None:
        waits = [self.one.spend(ASK, 10, True, 0) for _ in range(6)]
        self.assertEqual(waits[-1], 1_000)

    def test_price_goes_by_size(self) -> None:
        """As many tokens as a frame can hold signatures; less for bulk."""
        size = 900 * SIGNED_BYTES_PER_TOKEN
        self.assertEqual(self.one.spend(VOTE, size, False, 0), 0)
        self.assertGreater(self.one.spend(VOTE, size, False, 0), 0)
        self.assertEqual(self.other.spend(PAGE, size, False, 0), 0)
        self.assertEqual(self.other.spend(PAGE, size, False, 0), 0)

    def test_debt_is_paid_by_time(self) -> None:
        size = 1_499 * SIGNED_BYTES_PER_TOKEN
        self.assertEqual(self.one.spend(VOTE, size, False, 0), 500)
        self.assertEqual(self.one.spend(VOTE, 0, False, 501), 0)

    def test_staked_peers_may_do_more(self) -> None:
        size = (STAKED_FACTOR * 1_000 - 1) * SIGNED_BYTES_PER_TOKEN
        self.assertEqual(self.one.spend(VOTE, size, True, 0), 0)
        self.assertGreater(self.one.spend(VOTE, 4_000, True, 0), 0)

    def test_a_pause_has_an_end(self) -> None:
        self.assertEqual(self.one.spend(VOTE, 10**7, False, 0), MAX_PAUSE_MS)

    def test_when_all_together_are_too_many_staked_ones_come_first(self) -> None:
        for _ in range(6):
            self.one.spend(VOTE, 999 * SIGNED_BYTES_PER_TOKEN, False, 0)
        self.assertGreater(self.other.spend(VOTE, 64, False, 0), 0)
        self.assertEqual(self.other.spend(VOTE, 64, True, 0), 0)
