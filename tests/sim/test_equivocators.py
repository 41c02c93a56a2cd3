"""Members that sign twice, just under a third of the weight: nothing breaks, and they are jailed.

Whole nodes: what consensus sees becomes evidence, goes round, and a block carries it (PROTOCOL 6).
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.params import UNITS_PER_TIME
from timecoin.sim.corruption import corrupt
from timecoin.sim.invariants import Invariants
from timecoin.sim.stakes import Owners
from timecoin.sim.world import World, WorldSettings

SLOT_S = 10
FAULTS = ("equivocate-votes", "equivocate-proposals")


class EquivocatorTests(SynchronousTestCase):
    def test_equivocators_are_jailed_and_nothing_stops(self) -> None:
        world = World(3, WorldSettings(nodes=7, validators=5, masternodes=2, users=60))
        founder, silver, bronze = world.nodes[4:]
        culprits = (founder, silver)
        keys = frozenset(node.voting_key.public for node in culprits)
        invariants, owners = Invariants(world, keys), Owners(world)
        first = world.nodes[0]
        world.start()
        world.run(SLOT_S)
        point = owners.register(silver, 10_000 * UNITS_PER_TIME, first)
        owners.register(bronze, 1_000 * UNITS_PER_TIME, first)
        world.run(5 * SLOT_S)
        weights = owners.active(first).weights
        faulty = sum(weights[key] for key in keys)
        self.assertEqual((faulty, sum(weights.values())), (200, 610), "just under a third")
        for node in culprits:
            corrupt(world, node, *FAULTS)
        start = first.running.chain.tip_height
        txids = []
        for _ in range(10):
            tx = world.users.payment()
            assert tx is not None
            self.assertTrue(world.submit(1, tx))
            txids.append(tx.txid)
            world.run(SLOT_S)
        self.assertGreaterEqual(first.running.chain.tip_height, start + 8)
        active = owners.active(first)
        jailed = {row.pubkey for row in active.departed if row.jailed_height > start}
        self.assertEqual(jailed, keys)
        self.assertEqual(keys & active.weights.keys(), frozenset())
        self.assertEqual(sum(active.weights.values()), 410)
        self.assertFalse(owners.withdraw(silver, point, first), "its stake is frozen")
        world.run(2 * SLOT_S)
        self.assertEqual(set(txids) - set(world.final_txids()), set())
        invariants.check_end()
