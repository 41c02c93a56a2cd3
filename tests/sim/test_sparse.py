"""Networks in which few are linked with each other: all get everything, at a bounded cost."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long
from timecoin import params
from timecoin.sim.invariants import Invariants
from timecoin.sim.traffic import Traffic
from timecoin.sim.world import World, WorldSettings

TESTNET = params.Network.TESTNET
"""Heartbeats once a minute: they would be most of the traffic otherwise."""


class SparseNetwork(SynchronousTestCase):
    """A random graph; the nodes' first ones are validators."""

    def start(self, nodes: int, validators: int, degree: int | None, seed: int = 1) -> None:
        self.nodes, self.validators, self.degree = nodes, validators, degree or nodes - 1
        settings = WorldSettings(
            nodes=nodes, validators=validators, degree=degree, users=20, network=TESTNET
        )
        self.world = World(seed, settings)
        self.invariants = Invariants(self.world)
        self.traffic = Traffic(self.world)
        self.world.start()
        self.world.run(4)

    def pay(self, number: int) -> int:
        """A payment at node ``number``, final everywhere; returns the messages that it needed."""
        tx = self.world.users.payment()
        assert tx is not None
        before = self.traffic.of_payments
        self.assertTrue(self.world.submit(number, tx))
        self.world.run(2)
        reached = [n for n in range(self.nodes) if (n, tx.txid) in self.world.final_ms]
        self.assertEqual(reached, list(range(self.nodes)))
        return self.traffic.of_payments - before

    def blocks(self, slots: int) -> int:
        """Let slots go by, one block in each; returns the messages of a block."""
        before, height = self.traffic.of_blocks, self.world.nodes[0].running.chain.tip_height
        self.world.run(10 * slots)
        tips = {node.running.chain.tip_height for node in self.world.nodes}
        self.assertEqual(tips, {height + slots})
        return (self.traffic.of_blocks - before) // slots

    def check_costs(self, entry: int, outsider: int, slots: int) -> None:
        """Every flood costs at most one frame a link and direction but the one it came by."""
        flood = self.nodes * (self.degree - 1) + 1
        paths = 12 * self.validators  # votes and receipts, each a few links long
        by_member, by_outsider = self.pay(entry), self.pay(outsider)
        block = self.blocks(slots)
        print(
            f"{self.nodes} nodes, {self.validators} vote, degree {self.degree}: messages for a "
            f"member's payment {by_member}, an outsider's {by_outsider}, a block {block}"
        )
        self.assertLess(by_member, 3 * flood + 2 * paths)
        # Handed to everybody, polled by three members, certified and final.
        self.assertLess(by_outsider, 7 * flood + 6 * paths)
        # Each member's candidate, prepare and precommit, and the proposal.
        self.assertLess(block, (3 * self.validators + 2) * flood)
        self.invariants.check_end()

    def test_reach_and_cost(self) -> None:
        self.start(nodes=30, validators=8, degree=4)
        self.check_costs(entry=0, outsider=29, slots=1)

    def test_a_full_mesh_of_validators_relays_nothing(self) -> None:
        self.start(nodes=7, validators=7, degree=None)
        self.assertEqual([self.pay(number) for number in (0, 3)], [28, 28])
        # Seven candidates, fourteen votes and a proposal to six others each, some of them repeated
        # after a second; relayed by everybody they would be 756.
        self.assertLess(self.blocks(3), 2 * (22 * 6))

    def test_agreement_and_life_through_cut_links_and_restarts(self) -> None:
        self.start(nodes=16, validators=7, degree=4, seed=3)
        world, rng = self.world, self.world.rng("faults")
        ends = [node.node_id for node in world.nodes]
        pairs = [(a, b) for a in ends for b in ends if a < b and world.network.linked(a, b)]
        txs = []
        for _ in range(8):
            for one, other in rng.sample(pairs, 8):
                world.network.cut(one, other)
            victim = world.nodes[rng.randrange(16)]
            victim.kill()
            tx = world.users.payment()
            assert tx is not None
            number = rng.choice([n.number for n in world.nodes if n.node is not None])
            world.submit(number, tx)
            txs.append(tx)
            world.run(4)
            victim.start()
            for one, other in pairs:
                world.network.heal(one, other)
            world.run(2)
        world.run(60)
        self.invariants.check_end()
        self.assertEqual(len({node.running.chain.tip_hash for node in world.nodes}), 1)
        for tx in txs:
            self.assertIsNotNone(world.nodes[0].running.chain.archived(tx.txid))

    def test_two_hundred_nodes_of_which_twenty_vote(self) -> None:
        self.start(nodes=200, validators=20, degree=8)
        self.check_costs(entry=3, outsider=150, slots=2)

    test_two_hundred_nodes_of_which_twenty_vote.skip = unless_long(  # type: ignore[attr-defined]
        "two hundred nodes, some minutes"
    )
