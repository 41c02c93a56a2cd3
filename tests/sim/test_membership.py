"""Masternodes that crash, are cut off, return: who is in the active set, and that nothing stops."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.consensus.events import Proposing
from timecoin.node.wiring import observe
from timecoin.params import HEARTBEAT_TIMING, Network
from timecoin.quorum.tally import quorum_weight
from timecoin.sim.invariants import Invariants
from timecoin.sim.world import SimNode, World, WorldSettings

SLOT_S = 10
TTL_S = HEARTBEAT_TIMING[Network.DEVNET].ttl_ms // 1_000


class MembershipCase(SynchronousTestCase):
    def begin(self, nodes: int, seed: int = 7, faulty: tuple[int, ...] = ()) -> World:
        self.world = World(seed, WorldSettings(nodes=nodes, slot_ms=SLOT_S * 1_000, users=60))
        keys = (self.world.nodes[number].voting_key.public for number in faulty)
        self.invariants = Invariants(self.world, frozenset(keys))
        self.world.start()
        self.world.run(3 * SLOT_S)
        return self.world

    def members(self, number: int) -> dict[bytes, int]:
        chain = self.world.nodes[number].running.chain
        active = chain.active_set(chain.tip_height)
        assert active is not None
        return active.weights

    def height(self, number: int) -> int:
        return self.world.nodes[number].running.chain.tip_height

    def pay(self, number: int) -> bytes:
        tx = self.world.users.payment()
        assert tx is not None
        self.assertTrue(self.world.submit(number, tx))
        return tx.txid

    def cut_off(self, number: int) -> None:
        """Cut one node off from all others."""
        here = self.world.nodes[number]
        for other in self.world.nodes:
            if other is not here:
                self.world.network.cut(here.node_id, other.node_id)

    def heal(self) -> None:
        nodes = self.world.nodes
        for index, one in enumerate(nodes):
            for other in nodes[:index]:
                self.world.network.heal(one.node_id, other.node_id)


class CrashTests(MembershipCase):
    def test_a_dead_member_leaves_nothing_stops_and_it_comes_back(self) -> None:
        world = self.begin(3)
        gone = world.nodes[2]
        gone.kill()
        start = self.height(0)
        left_after_s = 0
        txids: list[bytes] = []
        for second in range(1, TTL_S + 3 * SLOT_S):
            if second % 2 == 0:
                txids.append(self.pay(second % 4 // 2))
            world.run(1)
            if len(self.members(0)) == 2:
                left_after_s = second
                break
        # Time to live, then the next block, and one more if that is being decided already.
        self.assertLessEqual(left_after_s, TTL_S + 2 * SLOT_S)
        self.assertGreater(left_after_s, 0)
        self.assertGreater(self.height(0), start)
        weights = self.members(0)
        self.assertNotIn(gone.voting_key.public, weights)
        self.assertEqual((sum(weights.values()), quorum_weight(sum(weights.values()))), (200, 134))
        world.run(2)
        for txid in txids:
            self.assertIn(txid, world.final_txids())
        before = self.height(0)
        world.run(3 * SLOT_S)
        txid = self.pay(1)
        world.run(2)
        self.assertIn(txid, world.final_txids())
        self.assertGreaterEqual(self.height(0), before + 3)
        gone.start()
        world.run(3 * SLOT_S)
        for number in range(3):
            self.assertEqual(len(self.members(number)), 3)
        txid = self.pay(2)
        world.run(2 * SLOT_S)
        self.assertIn(txid, world.final_txids())
        self.invariants.check_end()

    def test_a_short_absence_removes_nobody(self) -> None:
        world = self.begin(4)
        world.nodes[3].kill()
        world.run(TTL_S - 4)
        world.nodes[3].start()
        world.run(4 * SLOT_S)
        for number in range(4):
            self.assertEqual(len(self.members(number)), 4)
            chain = world.nodes[number].running.chain
            for height in range(1, chain.tip_height + 1):
                block = chain.block(height)
                assert block is not None
                self.assertEqual(block.body.avs_changes, ())


class PartitionTests(MembershipCase):
    def test_a_minority_removes_nobody_and_returns(self) -> None:
        world = self.begin(4)
        self.cut_off(3)
        height = self.height(3)
        world.run(TTL_S + 3 * SLOT_S)
        self.assertEqual(len(self.members(3)), 4)
        self.assertEqual(self.height(3), height)
        self.assertEqual(len(self.members(0)), 3)
        self.heal()
        world.run(TTL_S + 3 * SLOT_S)
        for number in range(4):
            self.assertEqual(len(self.members(number)), 4)
        self.invariants.check_end()

    def test_two_halves_remove_nobody(self) -> None:
        world = self.begin(4)
        for one in world.nodes[:2]:
            for other in world.nodes[2:]:
                world.network.cut(one.node_id, other.node_id)
        world.run(4 * TTL_S)
        for number in range(4):
            self.assertEqual(len(self.members(number)), 4)
        self.heal()
        world.run(4 * SLOT_S)
        heights = [self.height(number) for number in range(4)]
        self.assertGreater(min(heights), 3)
        for number in range(4):
            self.assertEqual(len(self.members(number)), 4)


class ClockTests(MembershipCase):
    def test_a_member_whose_clock_is_wrong_does_not_propose(self) -> None:
        self.world = world = World(3, WorldSettings(nodes=4, slot_ms=SLOT_S * 1_000))
        proposals: list[int] = []

        def watch(node: SimNode) -> None:
            observe(node.running, Proposing, lambda signal: proposals.append(node.number))

        world.on_start(watch)
        odd = world.nodes[0]
        odd.skew_ms = 12_000
        world.start()
        world.run(1)
        proposals.clear()
        world.run(12 * SLOT_S)
        self.assertFalse(odd.running.masternodes.clock_is_sound)
        self.assertEqual(odd.running.masternodes.clock_offset_ms, -12_000)
        for node in world.nodes[1:]:
            self.assertTrue(node.running.masternodes.clock_is_sound)
        self.assertNotIn(0, proposals)
        self.assertGreater(len(proposals), 8)
