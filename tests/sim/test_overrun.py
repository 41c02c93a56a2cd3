"""More than a third of the weight is faulty: promises break, or the emergency is raised."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.sim.faultcase import FaultCase
from tests.sim.overrun import FAULTY, NODES, Overrun, corrupt
from timecoin.finality.events import EmergencyRaised
from timecoin.node.wiring import observe
from timecoin.rpc.condition import Kind
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.invariants import Invariants
from timecoin.sim.world import SimNode, World, WorldSettings

HONEST = tuple(number for number in range(NODES) if number not in FAULTY)
SEEDS = range(1, 4)


class DoubleVotersTests(FaultCase):
    """Half of the weight votes for everything: certificates of both sides exist."""

    def prepare(self) -> None:
        """Hear the alarms."""
        self.alarms: list[EmergencyRaised] = []
        for number in FAULTY:
            corrupt(self.world, self.nodes[number], "vote-for-everything")
        self.world.on_start(lambda node: observe(node.running, EmergencyRaised, self.alarms.append))

    def test_the_emergency_is_raised_kept_and_shown(self) -> None:
        self.begin(nodes=NODES, faulty=FAULTY)
        pair = self.world.users.double_spend()
        assert pair is not None
        for node in self.nodes:
            self.world.submit(node.number, pair[node.number >= NODES // 2])
        self.world.run(3)
        culprits = sorted(self.nodes[number].voting_key.public for number in FAULTY)
        txids = sorted(tx.txid for tx in pair)
        self.assertGreaterEqual(len(self.alarms), len(HONEST))
        for alarm in self.alarms:
            self.assertEqual([alarm.first, alarm.second], txids)
        for number in HONEST:
            (found,) = self.nodes[number].running.finality.emergencies
            self.assertLessEqual(set(culprits), set(found.signers))
            self.assertIn(Kind.EMERGENCY, self.problems(number))
            held = {proof.signer for proof in self.nodes[number].running.evidence.held}
            self.assertLessEqual(held, set(culprits))
        self.nodes[0].kill()
        self.nodes[0].start()
        self.world.run(1)
        self.assertEqual(len(self.nodes[0].running.finality.emergencies), 1)
        self.assertIn(Kind.EMERGENCY, self.problems(0))


class OverrunTests(SynchronousTestCase):
    """Nothing that goes wrong then goes unseen."""

    def seen(self, seed: int) -> str | None:
        """What a run with half of the weight faulty shows."""
        run = Overrun(seed, "vote-for-everything", "equivocate-votes", "equivocate-proposals")
        Invariants(run.world, run.keys)
        try:
            run.spend_twice(5)
            run.world.run(40)
        except InvariantBroken as error:
            return str(error)
        for node in run.honest:
            if node.running.views.fork_height is not None:
                return "fork"
            if node.running.finality.emergencies:
                return "emergency"
        return None

    def test_every_run_shows_it(self) -> None:
        for seed in SEEDS:
            self.assertIsNotNone(self.seen(seed), f"seed {seed}")


class SplitTests(SynchronousTestCase):
    """Half of the weight runs twice, once on each side of a cut: agreement itself breaks."""

    def test_two_histories_are_noticed(self) -> None:
        world = World(1, WorldSettings(nodes=NODES))
        faulty = [world.nodes[number] for number in FAULTY]
        Invariants(world, frozenset(node.voting_key.public for node in faulty))
        twins = [SimNode(world, node.number, votes=True) for node in faulty]
        for twin in twins:
            twin.node_id = world.rng(f"twin/{twin.number}").randbytes(32)
        here, there = [world.nodes[0], *faulty], [world.nodes[2], *twins]
        world.start()
        for twin in twins:
            twin.start()
        for node in here:
            for other in there:
                world.network.cut(node.node_id, other.node_id)
        broken = self.assertRaises(InvariantBroken, world.run, 40)
        self.assertTrue(str(broken).startswith("agreement"), broken)
