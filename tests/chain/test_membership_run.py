"""Masternodes of mixed tiers join, leave, fail and return for hundreds of slots (PROTOCOL 4, 6).

Up to a fifth of the weight is down at a time, and with the faulty just under a third signs nothing.
Every block is checked by two chains, every certificate against its snapshots; rewards sum exactly,
no payment that was certified is left out, and who proposes fits the weights.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.chain.membership_run import MembershipRun
from tests.support.long import unless_long
from timecoin.masternodes.active_set import Tier

CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}
"""Chi-squared that one fair lottery in a thousand exceeds, by degrees of freedom."""


class RunCase(SynchronousTestCase):
    def run_for(
        self,
        seed: int,
        masternodes: int,
        slots: int,
        audit_every: int = 1,
        change_every: int = 2,
    ) -> None:
        run = MembershipRun(seed, masternodes, slots // 2, audit_every)
        for _ in range(slots):
            run.step(change_every)
        figures = run.figures
        where = f"seed {seed}, {masternodes} masternodes: {figures}"
        self.assertEqual(figures.blocks, slots, where)
        self.assertGreater(figures.joins, masternodes // 2, where)
        self.assertGreater(figures.exits, 5, where)
        self.assertGreater(max(figures.sizes), masternodes * 9 // 10, where)
        self.assertGreater(figures.payments, slots // 2, where)
        active = run.net.active(run.chain)
        tiers = {member.tier for member in active.members}
        self.assertEqual(tiers, {Tier.BRONZE, Tier.SILVER, Tier.GOLD}, "founders have expired")
        statistic, freedom = figures.chi_squared()
        self.assertLess(statistic, CRITICAL[freedom], where)
        for height in range(run.chain.tip_height + 1):
            one, other = run.chain.active_set(height), run.replica.active_set(height)
            assert one is not None and other is not None
            self.assertEqual(one.root, other.root)


class ThirtyTests(RunCase):
    def test_thirty(self) -> None:
        self.run_for(1, 30, 200, audit_every=10)


class ManyMembersTests(RunCase):
    skip = unless_long("200 slots of 100 and 500 masternodes")

    def test_every_audit(self) -> None:
        for seed in range(2, 5):
            self.run_for(seed, 30, 200)

    def test_a_hundred(self) -> None:
        self.run_for(1, 100, 200, audit_every=50, change_every=1)

    def test_five_hundred(self) -> None:
        self.run_for(1, 500, 200, audit_every=100, change_every=1)
