"""A payment from submission to final and archived, in worlds of 1, 3, 4 and 7 members."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import CHAIN_ID, LATENCY_MS, World, genesis_coin, output_of, pay
from timecoin.codec import Wire
from timecoin.crypto.keys import verify
from timecoin.finality.events import Status
from timecoin.finality.messages import Answer, Certified, Finalized, Query, Receipts, Relay
from timecoin.quorum.certificate import BatchCertificate, check_batch_certificate
from timecoin.quorum.snapshots import certificate_snapshots, voter_index


class OneMember(SynchronousTestCase):
    def test_finalizes_alone_and_at_once(self) -> None:
        world = World(1)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        self.assertEqual(
            world.nodes[0].statuses(tx.txid),
            [Status.SEEN, Status.LOCALLY_ACCEPTED, Status.CERTIFIED, Status.FINAL],
        )
        self.assertEqual(world.nodes[0].sent, [])

    def test_tells_followers(self) -> None:
        world = World(1, followers=1)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(100)
        self.assertTrue(world.nodes[1].is_final(tx.txid))


class SeveralMembers(SynchronousTestCase):
    def assert_final_everywhere(self, world: World, txid: bytes) -> None:
        for node in world.nodes:
            if node.up:
                self.assertTrue(node.is_final(txid), f"{node.name!r} {node.finality.status(txid)}")

    def test_final_in_two_round_trips(self) -> None:
        for members in (3, 4, 7):
            world = World(members)
            tx = pay([genesis_coin(0)])
            world.submit(world.nodes[0], tx)
            world.run(4 * LATENCY_MS)
            self.assertTrue(world.nodes[0].is_final(tx.txid), members)
            world.run(LATENCY_MS)
            self.assert_final_everywhere(world, tx.txid)

    def test_votes_of_others_make_the_certificate(self) -> None:
        """LESSONS 1: votes were never sent; the tests did not notice."""
        world = World(4)
        entry = world.nodes[0]
        tx = pay([genesis_coin(0)])
        world.submit(entry, tx)
        world.run(1_000)
        certificate = next(m.certificate for _, m in entry.sent if isinstance(m, Certified))
        snapshots = certificate_snapshots(entry.chain, certificate.anchor)
        assert snapshots is not None and entry.key is not None
        self.assertEqual(check_batch_certificate(certificate, snapshots, CHAIN_ID, verify), (0,))
        index = voter_index(snapshots)
        voters = [index[vote.voter] for vote in certificate.votes]
        self.assertGreaterEqual(len([v for v in voters if v != entry.key.public]), 2)

    def test_no_quorum_no_certificate(self) -> None:
        """LESSONS 5: nothing is final without a certificate of a quorum."""
        world = World(4)
        for node in world.nodes[2:]:
            world.crash(node)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(30_000)
        for node in world.nodes[:2]:
            status = node.finality.status(tx.txid)
            assert status is not None
            self.assertIs(status.status, Status.LOCALLY_ACCEPTED)
            self.assertEqual(len(node.finality._parts.certificates), 0)

    def test_quorum_returns(self) -> None:
        world = World(4)
        for node in world.nodes[2:]:
            world.crash(node)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(9_000)
        world.restart(world.nodes[2])
        world.run(1_000)
        self.assert_final_everywhere(world, tx.txid)

    def test_two_collectors_at_once_and_nobody_to_spare(self) -> None:
        """Both make the same certificate, and each needs the other's receipt."""
        world = World(4)
        world.crash(world.nodes[3])
        tx = pay([genesis_coin(0)])
        for node in world.nodes[:2]:
            world.submit(node, tx)
        world.run(10 * LATENCY_MS)
        self.assert_final_everywhere(world, tx.txid)

    def test_one_of_three_may_be_down(self) -> None:
        world = World(3)
        world.crash(world.nodes[2])
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(100)
        self.assert_final_everywhere(world, tx.txid)

    def test_silent_members_of_the_first_wave(self) -> None:
        """Links that say nothing: the second wave brings the quorum."""
        world = World(7)
        silent = [node.name for node in world.nodes[5:]]
        world.cut = lambda source, target, message: source in silent
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(300)
        self.assertTrue(world.nodes[0].is_final(tx.txid))

    def test_first_wave_is_q_and_a_tenth(self) -> None:
        world = World(7)
        world.submit(world.nodes[0], pay([genesis_coin(0)]))
        asked = [peer for peer, m in world.nodes[0].sent if isinstance(m, Query)]
        self.assertEqual(len(asked), 5)  # with its own 100 of 700: Q = 467, and 10 % is 513

    def test_chain_of_payments(self) -> None:
        """An output of a certified transaction is spent at once, at another node."""
        world = World(4)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        for hop in range(10):
            world.run(5 * LATENCY_MS)
            child = pay([output_of(tx)])
            verdict = world.submit(world.nodes[hop % 4], child)
            self.assertEqual(verdict.rule, "")
            tx = child
        world.run(100)
        self.assert_final_everywhere(world, tx.txid)

    def test_many_payments_share_batches(self) -> None:
        world = World(4)
        entry = world.nodes[0]
        for index in range(200):
            world.submit(entry, pay([genesis_coin(index)]))
        world.run(2_000)
        self.assertEqual(entry.finality.statistics().finalized, 200)
        for node in world.nodes:
            self.assertEqual(node.finality.statistics().finalized, 200)
        self.assertLessEqual(entry.finality.statistics().polls_begun, 6)
        self.assertGreaterEqual(entry.finality.statistics().votes_received, 8)

    def test_cost_of_a_batch(self) -> None:
        """64 transactions: a member signs one vote and one receipt, and checks each other
        member's vote and receipt once (LESSONS 23: messages and checks are counted)."""
        world = World(4)
        entry = world.nodes[0]
        world.submit(entry, pay([genesis_coin(199)]))  # occupies the poll: the rest shares a batch
        for index in range(64):
            world.submit(entry, pay([genesis_coin(index)]))
        sent_before = len(entry.sent)
        world.run(3_000)
        self.assertEqual(entry.finality.statistics().polls_begun, 2)
        self.assertEqual(entry.finality.statistics().votes_cast, 2)
        member = max(world.nodes[1:], key=lambda node: node.finality.statistics().votes_cast)
        self.assertIn(member.finality.statistics().votes_cast, (1, 2))
        # 65 transactions, then per batch at most 4 votes, 4 receipts.
        self.assertLessEqual(member.verified, 65 + 2 * 8)
        self.assertLessEqual(entry.verified, 65 + 2 * 6)
        kinds = [type(m) for _, m in entry.sent[sent_before:]]
        self.assertLessEqual(kinds.count(Query), 3)
        self.assertLessEqual(kinds.count(Certified), 6)
        self.assertLessEqual(kinds.count(Finalized), 6)
        self.assertLessEqual(len([m for _, m in member.sent if isinstance(m, Receipts)]), 2)

    def test_entry_crashes_before_its_certificate(self) -> None:
        """Others poll by themselves: a crashed entry node loses nothing."""
        world = World(4)
        entry = world.nodes[0]
        tx = pay([genesis_coin(0)])
        world.submit(entry, tx)
        world.run(LATENCY_MS)
        world.crash(entry)
        world.run(1_900)
        self.assertFalse(any(node.is_final(tx.txid) for node in world.nodes[1:]))
        world.run(2_500)
        self.assert_final_everywhere(world, tx.txid)

    def test_entry_crashes_after_its_certificate(self) -> None:
        """Members tell each other their receipts when the collector does not speak."""
        world = World(4)
        entry = world.nodes[0]
        tx = pay([genesis_coin(0)])
        world.submit(entry, tx)
        world.run(3 * LATENCY_MS)
        world.crash(entry)
        self.assertFalse(any(node.is_final(tx.txid) for node in world.nodes[1:]))
        world.run(4_000)
        self.assert_final_everywhere(world, tx.txid)

    def test_lost_messages(self) -> None:
        for seed in range(5):
            world = World(4, seed=seed)
            world.loss_percent = 30
            txs = [pay([genesis_coin(index)]) for index in range(12)]
            for index, tx in enumerate(txs):
                world.submit(world.nodes[index % 4], tx)
                world.run(37)
            for _ in range(4):
                world.next_slot()
            world.run(9_000)
            for tx in txs:
                self.assert_final_everywhere(world, tx.txid)

    def test_a_block_archives_what_is_final(self) -> None:
        """LESSONS 2: final implies archived or still waiting."""
        world = World(4)
        txs = [pay([genesis_coin(index)]) for index in range(5)]
        for tx in txs:
            world.submit(world.nodes[0], tx)
        world.run(1_000)
        child = pay([output_of(txs[0])])
        world.submit(world.nodes[1], child)
        world.run(1_000)
        block = world.propose(world.nodes[2])
        self.assertEqual(
            {entry.txid for entry in block.body.entries}, {tx.txid for tx in (*txs, child)}
        )
        for node in world.nodes:
            self.assertEqual(len(node.pool), 0)
            self.assertEqual(node.finality.statistics().locks, 0)
            self.assertEqual(node.finality.statistics().certificates, 0)
            self.assertEqual(node.finality.statistics().scheduled, 0)
            tables = {table for table, _ in node.rows}
            self.assertLessEqual(tables, {"votes"})
            for tx in (*txs, child):
                self.assertIs(node.statuses(tx.txid)[-1], Status.ARCHIVED)
                self.assertTrue(node.is_final(tx.txid))

    def test_block_without_some_keeps_them(self) -> None:
        world = World(4)
        txs = [pay([genesis_coin(index)]) for index in range(3)]
        for tx in txs:
            world.submit(world.nodes[0], tx)
        world.run(1_000)
        world.next_slot(txs[:1])
        for node in world.nodes:
            for tx in txs:
                self.assertTrue(node.is_final(tx.txid))
        world.run(1_000)
        rest = world.propose(world.nodes[3])
        self.assertEqual({entry.txid for entry in rest.body.entries}, {tx.txid for tx in txs[1:]})

    def test_status_figures(self) -> None:
        world = World(4)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(1_000)
        status = world.nodes[0].finality.status(tx.txid)
        assert status is not None
        self.assertEqual((status.anchor_height, status.quorum), (0, 267))
        self.assertGreaterEqual(status.weight, 267)
        self.assertGreaterEqual(status.receipts_weight, 267)
        assert status.final_ms is not None and status.first_seen_ms is not None
        self.assertEqual(status.final_ms - status.first_seen_ms, 4 * LATENCY_MS)
        self.assertIsNone(world.nodes[0].finality.status(bytes(32)))

    def test_stale_tip(self) -> None:
        """A node whose tip is older than two slots calls nothing final."""
        world = World(3)
        world.run(25_000)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(1_000)
        for node in world.nodes:
            status = node.finality.status(tx.txid)
            assert status is not None
            self.assertIs(status.status, Status.CERTIFIED_STALE)
            self.assertNotIn(Status.FINAL, node.statuses(tx.txid))
        world.next_slot()
        world.next_slot()
        world.next_slot()
        world.run(1_000)
        self.assert_final_everywhere(world, tx.txid)

    def test_final_stays_final_when_the_tip_grows_old(self) -> None:
        world = World(3)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(60_000)
        self.assert_final_everywhere(world, tx.txid)


class Followers(SynchronousTestCase):
    def test_follower_hands_over_to_three_members(self) -> None:
        world = World(5, followers=1)
        follower = world.nodes[-1]
        tx = pay([genesis_coin(0)])
        world.submit(follower, tx)
        relayed = [peer for peer, m in follower.sent if isinstance(m, Relay)]
        self.assertEqual(len(relayed), 3)
        world.run(500)
        self.assertTrue(follower.is_final(tx.txid))
        self.assertEqual([m for _, m in follower.sent if isinstance(m, Query | Receipts)], [])

    def test_follower_tries_others_when_nothing_comes(self) -> None:
        world = World(4, followers=1)
        follower = world.nodes[-1]
        lost: list[Wire] = []

        def cut(source: bytes, target: bytes, message: Wire) -> bool:
            if isinstance(message, Relay) and len(lost) < 3:
                lost.append(message)
                return True
            return False

        world.cut = cut
        tx = pay([genesis_coin(0)])
        world.submit(follower, tx)
        world.run(4_000)
        self.assertEqual(len(lost), 3)
        self.assertTrue(follower.is_final(tx.txid))

    def test_follower_behind_a_follower(self) -> None:
        """Certificates and receipt quorums are passed on to those who have no other source."""
        world = World(3, followers=2, linked=False)
        for first in world.nodes[:4]:
            for second in world.nodes[:4]:
                if first is not second:
                    world.link(first, second)
        world.link(world.nodes[3], world.nodes[4])
        world.link(world.nodes[4], world.nodes[3])
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(500)
        self.assertTrue(world.nodes[4].is_final(tx.txid))
        counts = [len([m for p, m in n.sent if p == b"node 4"]) for n in world.nodes[:4]]
        # Beside the bundle of both that gossip brought: the answer about the missing body.
        self.assertEqual(counts, [0, 0, 0, 2])
        self.assertEqual(len(world.nodes[4].sent), 1)


class Certificates(SynchronousTestCase):
    def test_leaf_order_is_that_of_the_query(self) -> None:
        world = World(3)
        entry = world.nodes[0]
        for index in range(10):
            world.submit(entry, pay([genesis_coin(index)]))
        world.run(500)
        queries = {m.request: m for _, m in entry.sent if isinstance(m, Query)}
        found: list[BatchCertificate] = [
            m.certificate for _, m in entry.sent if isinstance(m, Certified)
        ]
        for query in queries.values():
            leaves = tuple(tx.txid for tx in query.bodies)
            self.assertIn(leaves, [certificate.leaves for certificate in found])

    def test_answers_are_quick(self) -> None:
        world = World(3)
        world.submit(world.nodes[0], pay([genesis_coin(0)]))
        world.run(LATENCY_MS)
        self.assertTrue(any(isinstance(m, Answer) for _, m in world.nodes[1].sent))
