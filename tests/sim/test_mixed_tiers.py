"""Whole nodes of mixed tiers for many slots: joins, leaves, outages (PROTOCOL 4, 6).

What must hold at every block is in ``Invariants``: one history, no double spend, nobody signs
twice, supply = sum of all outputs. Here: nothing stops, nothing final is lost, every certificate
verifies against its snapshots, and who proposes fits the weights.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long
from timecoin.chain.commit import BlockConnected
from timecoin.consensus.sortition import eligible
from timecoin.crypto.keys import verify
from timecoin.ledger.transaction import Outpoint
from timecoin.masternodes.active_set import ActiveSet, Tier
from timecoin.node.wiring import observe
from timecoin.params import UNITS_PER_TIME
from timecoin.quorum.certificate import check_precommit_certificate
from timecoin.quorum.snapshots import block_snapshots
from timecoin.sim.invariants import Invariants
from timecoin.sim.stakes import Owners
from timecoin.sim.world import SimNode, World, WorldSettings

SLOT_S = 10
FOUNDERS = 3
STAKES = (1_000, 1_000, 10_000, 1_000, 10_000)
"""What masternodes stake, in turn; one of them a Gold besides."""
CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27}
"""Chi-squared that one fair lottery in a thousand exceeds, by degrees of freedom."""


class MixedTiersRun:
    """Founders and masternodes of all tiers; each slot something happens to one of them."""

    def __init__(self, seed: int, nodes: int, expiry_height: int) -> None:
        self.world = World(
            seed,
            WorldSettings(
                nodes=nodes,
                validators=FOUNDERS,
                masternodes=nodes - FOUNDERS,
                users=100,
                expiry_height=expiry_height,
            ),
        )
        self.rng = self.world.rng("mixed tiers")
        self.invariants = Invariants(self.world)
        self.owners = Owners(self.world)
        self.world.start()
        self.points: dict[int, Outpoint] = {}
        self.txids: list[bytes] = []
        self.left: dict[int, None] = {}
        self.events: Counter[str] = Counter()
        self.produced: Counter[str] = Counter()
        self.expected: dict[str, float] = {}
        self.checked = 0
        observe(self.seer.running, BlockConnected, self._check)
        self.world.run(SLOT_S)

    @property
    def seer(self) -> SimNode:
        """A node that is never taken down: the last founder, which stays on as a follower."""
        return self.world.nodes[FOUNDERS - 1]

    @property
    def active(self) -> ActiveSet:
        return self.owners.active(self.seer)

    @property
    def height(self) -> int:
        return self.seer.running.chain.tip_height

    def step(self, outages: bool) -> None:
        """One slot."""
        self._stake()
        if self.height % 3 == 0:
            self._leave_or_return()
        if outages and self.height % 4 == 0:
            self._take_down()
        up = [node for node in self.world.nodes if node.node is not None]
        for _ in range(2):
            tx = self.world.users.payment()
            if tx is not None and self.world.submit(self.rng.choice(up).number, tx):
                self.txids.append(tx.txid)
        self.world.run(SLOT_S)

    def settle(self) -> None:
        """Everybody is up again, and things come to rest."""
        for node in self.world.nodes:
            if node.node is None:
                node.start()
        self.world.run(6 * SLOT_S)
        self.invariants.check_end()

    def _stake(self) -> None:
        """Two masternodes a slot register, until all have."""
        waiting = [n for n in self.world.nodes[FOUNDERS:] if n.number not in self.points]
        for node in waiting[:2]:
            place = node.number - FOUNDERS
            thousands = 100_000 if place == 7 else STAKES[place % len(STAKES)]
            units = thousands * UNITS_PER_TIME
            self.points[node.number] = self.owners.register(node, units, self.seer)
            self.events["stakes"] += 1

    def _leave_or_return(self) -> None:
        if self.left and self.rng.randrange(2):
            number = self.rng.choice(list(self.left))
            node = self.world.nodes[number]
            if node.node is not None:
                del self.left[number]
                self.owners.choose(node, self.points[number])
                self.events["returns"] += 1
            return
        # A heavy one that leaves while a fifth is down would take the quorum with it.
        active = self.active
        small = {m.pubkey for m in active.members if 20 * m.weight <= active.total_weight}
        members = [
            node
            for node in self.world.nodes[FOUNDERS:]
            if node.voting_key.public in small and node.number not in self.left
        ]
        if len(members) > 1:
            node = self.rng.choice(members)
            self.owners.leave(node, self.seer)
            self.left[node.number] = None
            self.events["leaves"] += 1

    def _take_down(self) -> None:
        """Up to a fifth of the weight is down until the next time."""
        for node in self.world.nodes:
            if node.node is None:
                node.start()
        active = self.active
        weight = 0
        nodes = list(self.world.nodes)
        self.rng.shuffle(nodes)
        for node in nodes:
            own = active.weights.get(node.voting_key.public, 0)
            if node is not self.seer and own and 5 * (weight + own) <= active.total_weight:
                weight += own
                node.kill()
                self.events["outages"] += 1

    def _check(self, signal: BlockConnected) -> None:
        """The block's certificate against its snapshots; its producer against the weights."""
        chain, height = self.seer.running.chain, signal.block.height
        snapshots = block_snapshots(chain, height)
        before, after = chain.active_set(height - 1), chain.active_set(height)
        assert snapshots is not None and before is not None and after is not None
        check_precommit_certificate(
            signal.certificate, snapshots, self.world.genesis.chain_id, verify
        )
        assert signal.block.header.avs_root == after.root
        self.checked += 1
        up = {node.voting_key.public for node in self.world.nodes if node.node is not None}
        members = [member for member in eligible(before, height) if member.pubkey in up]
        total = sum(member.weight for member in members)
        for member in members:
            name = Tier(member.tier).name
            self.expected[name] = self.expected.get(name, 0.0) + member.weight / total
        producer = before.by_pubkey[signal.block.header.producer]
        self.produced[Tier(producer.tier).name] += 1

    def chi_squared(self) -> tuple[float, int]:
        """The statistic over tiers that were due 5 blocks or more, and its degrees of freedom."""
        due = {tier: value for tier, value in self.expected.items() if value >= 5}
        found = sum((self.produced[tier] - value) ** 2 / value for tier, value in due.items())
        return found, len(due) - 1


class MixedTiersCase(SynchronousTestCase):
    def run_for(self, seed: int, nodes: int, slots: int, outages: bool) -> MixedTiersRun:
        run = MixedTiersRun(seed, nodes, slots // 2)
        for _ in range(slots):
            run.step(outages)
        run.settle()
        where = f"seed {seed}: {run.events}, {run.produced}, {run.expected}"
        self.assertGreaterEqual(run.height, slots * 9 // 10, where)
        self.assertEqual(run.checked, run.height)
        lost = set(run.txids) - set(run.world.final_txids())
        self.assertEqual(lost, set(), where)
        self.assertEqual(
            {node.running.chain.tip_hash for node in run.world.nodes},
            {run.seer.running.chain.tip_hash},
        )
        self.assertNotIn(Tier.GENESIS, {member.tier for member in run.active.members})
        statistic, freedom = run.chi_squared()
        if freedom > 0:
            self.assertLess(statistic, CRITICAL[freedom], where)
        return run


class EightTests(MixedTiersCase):
    def test_eight_nodes(self) -> None:
        run = self.run_for(1, 8, 24, outages=False)
        self.assertGreater(run.events["leaves"], 1)


class ThirtyTests(MixedTiersCase):
    skip = unless_long("30 nodes for 200 slots, with outages")

    def test_thirty_nodes(self) -> None:
        run = self.run_for(1, 30, 200, outages=True)
        self.assertGreater(run.events["outages"], 50)
        self.assertGreater(run.events["leaves"], 10)
