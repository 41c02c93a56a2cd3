"""Stuck double spends: exactly one side is final, within six blocks (PROTOCOL 5).

Also when somebody holds a certificate of the other side that nobody else has seen.
"""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.sim.stuck import WITHIN_BLOCKS, Settled, StuckPairs
from tests.support.long import unless_long

PAIRS = 3
FEW = range(1, 6)
MANY = range(1, 1_001)


class StuckTests(TestCase):
    """A few seeds; those of both kinds in which either side wins."""

    def settle(self, seeds: range) -> None:
        for merchant in (True, False):
            found: list[Settled] = []
            for seed in seeds:
                run = StuckPairs(seed, PAIRS, merchant)
                found.append(run.offline_merchant() if merchant else run.ambush())
            certified = sum(settled.certified_won for settled in found)
            other = sum(settled.other_won for settled in found)
            blocks = max(settled.blocks for settled in found)
            kind = "offline merchant" if merchant else "ambush"
            print(
                f"{kind}: {len(seeds)} seeds, {certified + other} pairs, the certified side won "
                f"{certified}, the other {other}, at most {blocks} blocks"
            )
            self.assertEqual(certified + other, PAIRS * len(seeds))
            self.assertGreater(certified, 0)
            self.assertGreater(other, 0)
            self.assertLessEqual(blocks, WITHIN_BLOCKS)

    def test_one_side_wins(self) -> None:
        self.settle(FEW)


class ManyStuckTests(StuckTests):
    """The same over a thousand seeds of each kind."""

    skip = unless_long("two thousand worlds")
    timeout = 7_200

    def test_one_side_wins(self) -> None:
        self.settle(MANY)
