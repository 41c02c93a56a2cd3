"""Whole nodes whose active set changes: stakes, joins, leaves, withdrawals, and the bootstrap."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from timecoin.ledger.transaction import Outpoint
from timecoin.masternodes.active_set import ActiveSet, Tier
from timecoin.params import STAKE_WAIT_BLOCKS, UNITS_PER_TIME
from timecoin.sim.invariants import Invariants
from timecoin.sim.stakes import Owners
from timecoin.sim.world import SimNode, World, WorldSettings

SLOT_S = 10


class StakingCase(SynchronousTestCase):
    def begin(self, settings: WorldSettings, seed: int = 5) -> None:
        self.world = World(seed, settings)
        self.invariants = Invariants(self.world)
        self.owners = Owners(self.world)
        self.first = self.world.nodes[0]
        self.world.start()
        self.world.run(SLOT_S)

    @property
    def height(self) -> int:
        return self.first.running.chain.tip_height

    @property
    def active(self) -> ActiveSet:
        return self.owners.active(self.first)

    def slots(self, count: int) -> None:
        self.world.run(count * SLOT_S)

    def weight(self, node: SimNode) -> int:
        member = self.owners.member(node, self.first)
        return 0 if member is None else member.weight

    def pay(self) -> bytes:
        tx = self.world.users.payment()
        assert tx is not None
        self.assertTrue(self.world.submit(0, tx))
        return tx.txid

    def final(self, txids: list[bytes]) -> None:
        self.assertEqual(set(txids) - set(self.world.final_txids()), set())


class LifeTests(StakingCase):
    """Three founders and three that stake: a Bronze, a Silver and a Gold."""

    def test_stake_join_earn_propose_leave_withdraw(self) -> None:
        self.begin(WorldSettings(nodes=6, validators=3, masternodes=3))
        bronze, silver, gold = self.world.nodes[3:]
        points: dict[int, Outpoint] = {}
        for node, thousands in ((bronze, 1), (silver, 10), (gold, 100)):
            units = thousands * 1_000 * UNITS_PER_TIME
            points[node.number] = self.owners.register(node, units, self.first)
        start = self.height
        self.slots(6)
        self.assertLessEqual(self.height - start, 7)
        self.assertEqual([self.weight(node) for node in (bronze, silver, gold)], [10, 100, 1_000])
        self.slots(8)
        producers = {self._producer(height) for height in range(start + 3, self.height + 1)}
        self.assertIn(gold.voting_key.public, producers, "it has nearly all of the weight")
        self.assertTrue(self.owners.earned(gold, self.first) or self.height < start + 14)
        txid = self.pay()
        self.owners.leave(bronze, self.world.nodes[1])
        self.slots(3)
        self.assertEqual(self.weight(bronze), 0)
        left = self.active.departed[0].left_height
        self.assertFalse(self.owners.withdraw(bronze, points[3], self.first), "too early")
        while self.height < left + STAKE_WAIT_BLOCKS - 1:
            self.slots(1)
        self.assertEqual(self.weight(bronze), 0, "it does not come back by itself")
        self.assertTrue(self.owners.withdraw(bronze, points[3], self.first))
        self.slots(3)
        self.assertIsNone(self.first.running.chain.utxo(points[3]))
        self.final([txid])
        self.invariants.check_end()

    def _producer(self, height: int) -> bytes:
        block = self.first.running.chain.block(height)
        assert block is not None
        return block.header.producer

    def test_a_member_changes_its_tier_when_its_owner_says_so(self) -> None:
        self.begin(WorldSettings(nodes=4, validators=3, masternodes=1))
        node = self.world.nodes[3]
        self.owners.register(node, 1_000 * UNITS_PER_TIME, self.first)
        self.slots(4)
        self.assertEqual(self.weight(node), 10)
        point = self.owners.register(node, 10_000 * UNITS_PER_TIME, self.first)
        self.slots(4)
        self.assertEqual(self.weight(node), 10, "a stake alone changes nothing")
        self.owners.choose(node, point)
        self.slots(4)
        self.assertEqual(self.weight(node), 100)
        self.invariants.check_end()


class BootstrapTests(StakingCase):
    """A network begins with genesis validators, which earn, stake, and outlive their genesis."""

    EXPIRY = 22

    def test_without_a_stop(self) -> None:
        self.begin(
            WorldSettings(
                nodes=4, expiry_height=self.EXPIRY, base_reward=1_000 * UNITS_PER_TIME, users=40
            )
        )
        txids: list[bytes] = []
        points: dict[int, Outpoint] = {}
        heights: list[int] = []
        while self.height < self.EXPIRY + 8:
            txids.append(self.pay())
            for node in self.world.nodes:
                if node.number in points:
                    continue
                earned = sum(coin.value for _, coin in self.owners.earned(node, self.first))
                if earned > 1_001 * UNITS_PER_TIME:
                    point = self.owners.stake_rewards(node, 1_000 * UNITS_PER_TIME, self.first)
                    points[node.number] = point
                    self.owners.choose(node, point)
            self.slots(1)
            heights.append(self.height)
        self.assertEqual(len(points), 4, "all have earned a stake in time")
        self.assertEqual({later - earlier for earlier, later in pairwise(heights)}, {1})
        self.assertEqual(
            [(member.tier, member.weight) for member in self.active.members],
            [(Tier.BRONZE, 10)] * 4,
        )
        self.slots(3)
        self.final(txids)
        self.invariants.check_end()
