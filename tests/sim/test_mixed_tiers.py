"""Whole nodes of mixed tiers for many slots: joins, leaves, outages, faults (PROTOCOL 4, 6).

What must hold at every block is in ``Invariants``: one history, no double spend, nobody signs
twice, supply = sum of all outputs. Here: nothing stops, nothing final is lost, every certificate
verifies against its snapshots, rewards sum exactly, and who proposes fits the weights.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.sim.mixed_tiers import FAULTS, OUTAGE_EVERY, MixedTiersRun
from tests.support.long import unless_long
from timecoin import params
from timecoin.masternodes.active_set import Tier
from timecoin.params import Network
from timecoin.sim.world import WorldSettings

CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27}
"""Chi-squared that one fair lottery in a thousand exceeds, by degrees of freedom."""


class MixedTiersCase(SynchronousTestCase):
    def run_for(self, run: MixedTiersRun, slots: int, outages: range = range(0)) -> str:
        """So many slots, and what must hold after them; the figures as text.

        ``outages``: in which there are any. Who is to go bad does after them.
        """
        for slot in range(slots):
            run.step(slot in outages, faults=bool(run.faults) and slot >= outages.stop)
        run.settle()
        where = run.figures()
        self.assertGreaterEqual(run.height, slots * 9 // 10, where)
        self.assertEqual(run.checked, run.height)
        lost = set(run.txids) - set(run.world.final_txids())
        self.assertEqual(lost, set(), where)
        self.assertEqual(
            {node.running.chain.tip_hash for node in run.honest},
            {run.seer.running.chain.tip_hash},
        )
        self.assertNotIn(Tier.GENESIS, {member.tier for member in run.active.members})
        statistic, freedom = run.chi_squared()
        if freedom > 0:
            self.assertLess(statistic, CRITICAL[freedom], where)
        return where

    def check_outages(self, run: MixedTiersRun, outages: range, where: str) -> None:
        """A fifth of the weight was down for three slots of eight."""
        self.assertGreater(run.events["outages"], 2 * len(outages) // OUTAGE_EVERY, where)
        self.assertGreater(run.events["leaves"], 10, where)
        self.assertGreater(run.largest_outage, 180, "per mille of the weight")
        self.assertGreater(max(run.sizes), len(run.world.nodes) * 5 // 6, where)
        self.assertIn(Tier.FREE, run.tiers, where)

    def check_faults(self, run: MixedTiersRun, where: str, ways: int = len(FAULTS)) -> None:
        """Just under a third of the weight was faulty, in so many ways."""
        self.assertEqual(len(set(run.faults.values())), ways)
        self.assertGreater(run.events["corrupted"], 0, where)
        self.assertGreater(run.largest_faulty, 310, "per mille of the weight")
        self.assertGreater(run.events["leaves"], 10, where)

    def outages(self, nodes: int) -> None:
        """200 slots with outages."""
        run = MixedTiersRun(1, WorldSettings(nodes=nodes, slot_ms=5_000), expiry_height=100)
        self.check_outages(run, range(200), self.run_for(run, 200, range(200)))

    def faulty(self, nodes: int, ways: int = len(FAULTS)) -> None:
        """200 slots with faulty members, once all have joined."""
        run = MixedTiersRun(2, WorldSettings(nodes=nodes, slot_ms=8_000), 100, faulty=True)
        self.check_faults(run, self.run_for(run, 200), ways)


class EightTests(MixedTiersCase):
    def test_eight_nodes(self) -> None:
        run = MixedTiersRun(1, WorldSettings(nodes=8), expiry_height=12)
        self.run_for(run, 24)
        self.assertGreater(run.events["leaves"], 1)


class ThirtyTests(MixedTiersCase):
    skip = unless_long("30 nodes for 200 slots, with outages, then with faulty ones")

    def test_a_fifth_of_the_weight_is_down_at_a_time(self) -> None:
        self.outages(30)

    def test_just_under_a_third_is_faulty(self) -> None:
        self.faulty(30)


class HundredTests(MixedTiersCase):
    skip = unless_long("100 nodes for 200 slots, with outages, then with faulty ones")

    def test_a_fifth_of_the_weight_is_down_at_a_time(self) -> None:
        self.outages(100)

    def test_just_under_a_third_is_faulty(self) -> None:
        self.faulty(100, ways=5)  # the heavy ones are few


class FiveHundredTests(MixedTiersCase):
    """Some two and a half hours: so both in one run."""

    skip = unless_long("500 nodes for 200 slots, first with outages, then with faulty ones")

    def test_a_fifth_is_down_at_a_time_then_just_under_a_third_is_faulty(self) -> None:
        # A quarter of a million links: heartbeats as often as on the main network, rounds as short
        # as on a devnet, and tips told only with blocks.
        timing = {Network.DEVNET: params.HEARTBEAT_TIMING[Network.MAINNET]}
        self.patch(params, "HEARTBEAT_TIMING", timing)
        settings = WorldSettings(nodes=500, slot_ms=4_500)
        run = MixedTiersRun(3, settings, expiry_height=100, faulty=True)
        outages = range(70, 98)  # from when all have joined
        where = self.run_for(run, 200, outages)
        self.check_outages(run, outages, where)
        self.check_faults(run, where)
