"""Whole nodes in one virtual world: payments, faults, double spends, and one digest a seed."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import decode, encode
from timecoin.consensus.messages import BlockVote
from timecoin.finality.events import Status
from timecoin.finality.messages import Certified
from timecoin.node.catalog import KIND_OF, MESSAGES
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.statement import VoteKind, prepare_statement
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.chaos import Chaos
from timecoin.sim.invariants import Invariants
from timecoin.sim.network import LinkQuality
from timecoin.sim.run import simulate
from timecoin.sim.world import World, WorldSettings

RUN = """
from timecoin.sim.run import simulate
from timecoin.sim.world import WorldSettings
print(simulate(3, WorldSettings(nodes=4), 2, 20, lambda *progress: None).digest)
"""


def digest(hash_seed: str) -> str:
    """Of one small run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


class RunTests(SynchronousTestCase):
    """What ``timecoin-cli sim`` does."""

    def test_pays_finalizes_and_archives(self) -> None:
        for nodes in (1, 3, 7):
            report = simulate(nodes, WorldSettings(nodes=nodes), 3, 30, lambda *progress: None)
            self.assertEqual((report.final, report.archived), (30, 30), nodes)
            self.assertEqual(report.heights, (17,) * nodes)
            self.assertEqual(report.blocks_checked, 17 * nodes)
            self.assertEqual(report.finals_checked, 2 * 30 * nodes, "final, then archived")

    def test_one_seed_one_digest_whatever_the_hash_seed(self) -> None:
        self.assertEqual(digest("1"), digest("2"))

    def test_a_good_signature_is_checked_once_for_all_nodes(self) -> None:
        world = World(1, WorldSettings(nodes=4))
        world.start()
        world.run(25)
        verified = world.shared.verified
        self.assertGreater(verified.accepted, 0)
        self.assertGreaterEqual(verified.remembered, 2 * verified.accepted)

    def test_another_seed_another_digest(self) -> None:
        digests = {
            simulate(seed, WorldSettings(), 1, 3, lambda *progress: None).digest
            for seed in range(3)
        }
        self.assertEqual(len(digests), 3)


class ChaosTests(SynchronousTestCase):
    """Kills, cuts and double spends; the seed stands in the failure's text."""

    def check(self, seed: int, nodes: int, max_down: int, steps: int = 40) -> None:
        world = World(seed, WorldSettings(nodes=nodes))
        invariants = Invariants(world)
        world.start()
        Chaos(world, max_down).run(steps)
        where = f"seed {seed}, {nodes} nodes"
        invariants.check_end()
        tips = {node.running.chain.tip_hash for node in world.nodes}
        self.assertEqual(len(tips), 1, where)
        self.assertGreater(world.nodes[0].running.chain.tip_height, 10, where)
        for node in world.nodes:
            self.assertEqual(len(node.running.pool), 0, f"{where}: node {node.number}")

    def test_one_of_three_at_a_time(self) -> None:
        for seed in range(3):
            self.check(seed, nodes=3, max_down=1)

    def test_four_of_which_all_may_be_down(self) -> None:
        for seed in range(3):
            self.check(seed, nodes=4, max_down=4)

    def test_seven_with_two_down(self) -> None:
        self.check(1, nodes=7, max_down=2, steps=20)


class DoubleSpendTests(SynchronousTestCase):
    """Two spends of one coin, each sent to half of the network at once (PROTOCOL 5)."""

    def test_stuck_between_two_halves_one_wins_by_a_block_within_six(self) -> None:
        world = World(5, WorldSettings(nodes=4))
        invariants = Invariants(world)
        world.start()
        world.run(12)
        pairs = []
        for _ in range(10):
            pair = world.users.double_spend()
            assert pair is not None
            for number in range(4):
                world.submit(number, pair[number // 2])
            pairs.append((world.nodes[0].running.chain.tip_height, pair))
            world.run(2)
        world.run(90)
        invariants.check_end()
        for height, pair in pairs:
            statuses = set()
            for node in world.nodes:
                found = [node.running.finality.status(tx.txid) for tx in pair]
                statuses.add(tuple(None if item is None else item.status for item in found))
            self.assertEqual(len(statuses), 1, "all nodes say the same")
            self.assertEqual(statuses.pop().count(Status.ARCHIVED), 1)
            archived = [world.nodes[0].running.chain.archived(tx.txid) for tx in pair]
            self.assertLessEqual(max(h for h in archived if h is not None), height + 6)

    def test_odd_one_out_decides_at_once(self) -> None:
        world = World(6, WorldSettings(nodes=3))
        world.start()
        world.run(12)
        pair = world.users.double_spend()
        assert pair is not None
        world.submit(0, pair[0])
        world.submit(1, pair[1])
        world.run(2)
        final = [txid for txid in world.final_txids() if txid in {tx.txid for tx in pair}]
        self.assertEqual(len(final), 1)


class SlowLinkTests(SynchronousTestCase):
    """Answers that take longer than the usual time-out are waited for, once some came late."""

    def test_payments_and_double_spends_settle_over_slow_links(self) -> None:
        quality = LinkQuality(latency_ms=200, jitter_ms=100, loss_per_mille=50, retransmit_ms=400)
        world = World(12, WorldSettings(nodes=4, quality=quality))
        invariants = Invariants(world)
        world.start()
        world.run(12)
        payment, pair = world.users.payment(), world.users.double_spend()
        assert payment is not None and pair is not None
        world.submit(0, payment)
        world.submit(1, pair[0])
        world.submit(2, pair[1])
        world.run(6)
        self.assertIn(payment.txid, world.final_txids())
        after = world.users.payment()
        assert after is not None
        world.submit(0, after)
        world.run(3)
        self.assertIn(after.txid, world.final_txids(), "it has learned to wait")
        world.run(80)
        self.assertEqual(len({tx.txid for tx in pair} & set(world.final_txids())), 1)
        invariants.check_end()


class StallTests(SynchronousTestCase):
    """Without a quorum nothing is final; with it back everything is (LESSONS: stall, not fork)."""

    def test_minority_finalizes_nothing_and_recovers(self) -> None:
        world = World(7, WorldSettings(nodes=3))
        invariants = Invariants(world)
        world.start()
        world.run(25)
        height = world.nodes[0].running.chain.tip_height
        world.nodes[1].kill()
        world.nodes[2].kill()
        payment = world.users.payment()
        assert payment is not None
        self.assertTrue(world.submit(0, payment))
        world.run(40)
        self.assertNotIn(payment.txid, world.final_txids())
        self.assertEqual(world.nodes[0].running.chain.tip_height, height)
        world.nodes[1].start()
        world.run(30)
        self.assertIn(payment.txid, world.final_txids())
        self.assertGreater(world.nodes[0].running.chain.tip_height, height)
        world.nodes[2].start()
        world.run(30)
        invariants.check_end()

    def test_certificates_carry_votes_of_other_nodes(self) -> None:
        world = World(8, WorldSettings(nodes=3))
        voters: list[int] = []

        def look(kind: int, payload: bytes) -> None:
            if kind == KIND_OF[Certified]:
                votes = decode(payload, Certified, MESSAGES[kind].max_bytes).certificate.votes
                voters.append(len({v.voter for v in votes if not has_leaf(v.reject_bitmap, 0)}))

        world.network.observers.append(look)
        world.start()
        world.run(2)
        payment = world.users.payment()
        assert payment is not None
        world.submit(0, payment)
        world.run(2)
        self.assertTrue(voters)
        self.assertGreaterEqual(min(voters), 2)


class InvariantTests(SynchronousTestCase):
    """The checker itself fails when a promise is broken."""

    def test_two_votes_of_one_validator_are_found(self) -> None:
        world = World(9, WorldSettings(nodes=1))
        Invariants(world)
        world.start()
        (node,), (tap,) = world.nodes, world.network.taps
        for block_hash, broken in ((b"a" * 32, False), (b"a" * 32, False), (b"b" * 32, True)):
            statement = prepare_statement(world.genesis.chain_id, 1, 0, block_hash)
            signature = node.voting_key.sign(statement)
            vote = BlockVote(VoteKind.PREPARE, 1, 0, block_hash, node.voting_key.public, signature)
            frame = (node.node_id, bytes(32), KIND_OF[BlockVote], encode(vote))
            if broken:
                self.assertRaises(InvariantBroken, tap, *frame)
            else:
                tap(*frame)

    def test_a_lost_final_transaction_is_found(self) -> None:
        world = World(10, WorldSettings(nodes=1))
        invariants = Invariants(world)
        world.start()
        world.run(1)
        world.final_ms[0, b"x" * 32] = 1
        self.assertRaises(InvariantBroken, invariants.check_end)
