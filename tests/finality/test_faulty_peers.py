"""What faulty members, crashes and unlucky moments must not bring about."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.test_votes import ask
from tests.finality.world import World, genesis_coin, output_of, pay
from timecoin.codec import CodecError, decode, encode
from timecoin.finality.events import Connected
from timecoin.finality.messages import Certified, Finalized, GetCertificate, Receipts
from timecoin.finality.parameters import MAX_EARLY_BYTES, MAX_EARLY_PER_PEER
from timecoin.ledger.block import Resolution
from timecoin.ledger.transaction import Transaction
from timecoin.machine import LinkDown
from timecoin.mempool.policy import PoolLimits
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.certificate import BatchCertificate, BatchVote, Receipt, ReceiptSet


def forged(tx: Transaction) -> Transaction:
    """``tx`` with witnesses that verify nothing: the same txid, another wtxid."""
    witnesses = tuple((pubkey, bytes(64)) for pubkey, _ in tx.witnesses)
    return msgspec.structs.replace(tx, witnesses=witnesses)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node, self.peer = self.world.nodes[:2]

    def certify(self, *batch: Transaction, bodies: bool = True) -> None:
        """The node gets a certificate of the others on ``batch``."""
        certificate = forge.certificate(self.world, batch, self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, batch if bodies else ()))


class ForgedBodies(Case):
    """A txid does not cover witnesses: what is kept is the body that the pool has verified."""

    def test_a_vote_on_a_forged_body_keeps_the_verified_one(self) -> None:
        tx = pay([genesis_coin(0)])
        self.node.pool.submit(tx, self.world.now_ms)
        self.assertIsNotNone(ask(self.world, self.node, self.peer, (forged(tx),)).vote)
        self.assertEqual(self.node.rows["pool", tx.txid], tx.encoded)

    def test_a_receipted_body_is_never_overwritten(self) -> None:
        tx = pay([genesis_coin(0)])
        self.certify(tx)
        ask(self.world, self.node, self.peer, (forged(tx),))
        self.world.crash(self.node)
        self.world.restart(self.node)
        self.assertEqual(self.node.pool.get(tx.txid), tx)


class FullPools(SynchronousTestCase):
    def test_what_is_locked_comes_back_before_what_is_not(self) -> None:
        """Rows of evicted transactions outlive them a little: more than the pool takes."""
        world = World(4, limits=PoolLimits(max_pending=2))
        world.cut = lambda source, target, message: True
        node, peer = world.nodes[:2]
        others = [pay([genesis_coin(index)], nonce=10_000 + index) for index in (1, 2)]
        tx = next(
            tx
            for nonce in range(1_000)
            if (tx := pay([genesis_coin(0)], nonce=nonce)).txid > max(o.txid for o in others)
        )
        self.assertIsNotNone(ask(world, node, peer, (tx,)).vote)
        for other in others:
            ask(world, node, peer, (other,), want_vote=False)
        self.assertEqual(len(node.pool), 2)
        world.crash(node)
        world.restart(node)
        entry = node.pool.entry(tx.txid)
        self.assertTrue(entry is not None and entry.pinned)


class Conflicts(Case):
    def receipted(self) -> set[bytes]:
        """Txids in receipts that this node has sent."""
        leaves = {
            (item.certificate.anchor, item.certificate.root): item.certificate.leaves
            for item in self.node.finality._parts.certificates.all()
        }
        return {
            txid
            for _, message in self.node.sent
            if isinstance(message, Receipts)
            for item in message.items
            for leaf, txid in enumerate(leaves[item.anchor, item.root])
            if has_leaf(item.stored_bitmap, leaf)
        }

    def test_never_both_of_two_conflicting_in_one_pass(self) -> None:
        """The second is looked at, as a parent, before the first is receipted."""
        first, second = pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)
        child = pay([output_of(second), genesis_coin(1)])
        winner, loser = pay([genesis_coin(1)]), pay([genesis_coin(1)], nonce=1)
        resolution = Resolution(winner.txid, genesis_coin(1)[0], loser)
        self.node.finality.ban_for(self.world.draft([winner], (resolution,)), (winner,))
        self.world.catch_up(self.node, True)
        self.certify(child, bodies=False)
        self.certify(first)
        self.certify(second)
        self.node.pool.admit(child, self.world.now_ms)
        self.certify(child)
        self.world.catch_up(self.node, False)
        self.assertEqual(self.receipted() & {first.txid, second.txid, child.txid}, {first.txid})


class Judging(Case):
    """What is certified here counts in judging, whether or not it is receipted."""

    def objection(
        self, entries: tuple[Transaction, ...], resolutions: tuple[Resolution, ...] = ()
    ) -> str | None:
        for tx in entries:
            self.node.pool.admit(tx, self.world.now_ms)
        now = self.world.now_ms
        block = self.world.draft(entries, resolutions)
        found = self.node.finality.objection(block, 0, now, now)
        return None if found is None else found.reason

    def test_no_resolution_for_a_conflict_of_what_is_certified(self) -> None:
        """The loser shown may be another than the certified one."""
        tx = pay([genesis_coin(0)])
        winner = pay([genesis_coin(0), genesis_coin(1)])
        loser = pay([genesis_coin(1)], nonce=1)
        self.world.catch_up(self.node, True)
        self.certify(tx)
        resolution = Resolution(winner.txid, genesis_coin(1)[0], loser)
        reason = self.objection((winner,), (resolution,))
        self.assertIn("resolves against", str(reason))

    def test_nothing_is_left_out_that_conflicts_with_the_block(self) -> None:
        tx, rival = pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)
        self.world.catch_up(self.node, True)
        self.certify(tx)
        self.world.run(5_000)
        self.assertIn("leaves out", str(self.objection(())))
        self.assertIsNone(self.objection((rival,)))

    def test_each_leaf_needs_a_receipt_quorum_of_its_own(self) -> None:
        first, second = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        self.world.catch_up(self.node, True)
        certificate = forge.certificate(self.world, [first, second], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, (first, second)))
        for other, leaves in zip(self.world.nodes[1:], ([0, 1], [0, 1], [0]), strict=True):
            receipt = forge.receipt(other, certificate, leaves=leaves)
            self.world.receive(self.node, other, Receipts((receipt,)))
        self.assertTrue(self.node.is_final(first.txid))
        self.assertFalse(self.node.is_final(second.txid))


class Bans(Case):
    """Having prepared a resolution: no receipt against any input of its winner."""

    def setUp(self) -> None:
        super().setUp()
        self.winner = pay([genesis_coin(0), genesis_coin(1)])
        self.loser = pay([genesis_coin(0)], nonce=1)
        self.rival = pay([genesis_coin(1)], nonce=1)
        self.resolution = Resolution(self.winner.txid, genesis_coin(0)[0], self.loser)

    def prepare(self, height: int) -> None:
        block = self.world.draft([self.winner], (self.resolution,), height=height)
        records = self.node.finality.ban_for(block, (self.winner,))
        self.world.carry_out(self.node, records)

    def receipts(self) -> int:
        return sum(isinstance(message, Receipts) for _, message in self.node.sent)

    def test_also_on_an_input_that_is_not_disputed(self) -> None:
        self.prepare(1)
        self.certify(self.rival)
        self.assertEqual(self.receipts(), 0)

    def test_also_after_a_restart(self) -> None:
        self.prepare(1)
        self.world.crash(self.node)
        self.world.restart(self.node)
        self.certify(self.rival)
        self.assertEqual(self.receipts(), 0)

    def test_the_block_before_heard_of_late_lifts_nothing(self) -> None:
        """Consensus may prepare on a new tip that finality has not been told of yet."""
        block = self.world.draft([])
        self.node.chain.connect(block, ())
        self.prepare(2)
        self.world.deliver(self.node, Connected(block, ()))
        self.certify(self.rival)
        self.assertEqual(self.receipts(), 0)


class Locks(Case):
    def test_a_lock_on_an_output_not_yet_archived_survives_a_restart(self) -> None:
        parent = pay([genesis_coin(0)])
        child, rival = pay([output_of(parent)]), pay([output_of(parent)], nonce=1)
        self.certify(parent)
        self.assertIsNotNone(ask(self.world, self.node, self.peer, (child,)).vote)
        self.world.crash(self.node)
        self.world.restart(self.node)
        self.assertIsNone(ask(self.world, self.node, self.world.nodes[2], (rival,)).vote)
        self.assertIn(("locks", child.outpoints[0]), self.node.rows)


class Moments(Case):
    """A block is history before the pool hears of it: questions in between are answered right."""

    def test_nothing_archived_is_said_to_be_left_out(self) -> None:
        tx = pay([genesis_coin(0)])
        self.certify(tx)
        self.world.run(5_000)
        block = self.world.draft([tx])
        self.node.chain.connect(block, (tx,))
        late = self.world.draft([], height=2)
        now = self.world.now_ms
        self.assertIsNone(self.node.finality.objection(late, 1, now, now))

    def test_a_certificate_heard_again_keeps_what_it_is_known_by(self) -> None:
        """More votes come, and a body proves void, between a block and the news of it."""
        first, second = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        rival = pay([genesis_coin(1)], nonce=1)
        batch = (first, second)
        certificate = forge.certificate(self.world, batch, self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, (first,)))
        block = self.world.draft([first, rival])
        self.node.chain.connect(block, (first, rival))
        more = forge.certificate(self.world, batch, self.world.nodes)
        self.world.receive(self.node, self.peer, Certified(more, (second,)))
        self.world.deliver(self.node, Connected(block, (first, rival)))
        self.assertEqual(len(self.node.finality._parts.certificates), 0)
        self.assertNotIn("certificates", {table for table, _ in self.node.rows})

    def test_what_a_certificate_covers_stays_closed_once_it_is_void(self) -> None:
        first, second = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        rival = pay([genesis_coin(1)], nonce=1)
        batch = (first, second)
        certificate = forge.certificate(self.world, batch, self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, batch))
        self.world.connect([rival])
        more = forge.certificate(self.world, batch, self.world.nodes)
        self.world.receive(self.node, self.peer, Certified(more, ()))
        self.assertFalse(self.node.finality._parts.certificates.covers(second.txid))
        self.world.connect([first])
        self.assertEqual(len(self.node.finality._parts.certificates), 0)

    def test_nothing_void_is_said_to_be_left_out(self) -> None:
        tx, rival = pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)
        self.certify(tx)
        self.world.run(5_000)
        self.node.chain.connect(self.world.draft([rival]), (rival,))
        late = self.world.draft([], height=2)
        now = self.world.now_ms
        self.assertIsNone(self.node.finality.objection(late, 1, now, now))


class Questioning(Case):
    """Two nodes that lack the same thing do not ask each other without end."""

    def questions(self) -> int:
        return sum(
            isinstance(message, GetCertificate) and peer == self.peer.name
            for peer, message in self.node.sent
        )

    def test_a_body_that_the_sender_lacks_too(self) -> None:
        self.certify(pay([genesis_coin(0)]), bodies=False)
        self.assertEqual(self.questions(), 1)
        self.certify(pay([genesis_coin(0)]), bodies=False)
        self.assertEqual(self.questions(), 1)
        self.world.run(2_000)
        self.certify(pay([genesis_coin(0)]), bodies=False)
        self.assertGreaterEqual(self.questions(), 2)

    def test_what_this_node_has_archived_and_the_sender_not(self) -> None:
        tx = pay([genesis_coin(0)])
        certificate = forge.certificate(self.world, [tx], self.world.nodes)
        final = forge.receipt_set(self.world, certificate, self.world.nodes)
        self.world.connect([tx], nodes=[self.node])
        for _ in range(5):  # what the peer answers to each question
            self.world.receive(self.node, self.peer, Certified(certificate, (tx,)))
            self.world.receive(self.node, self.peer, Finalized(final))
        self.assertEqual(self.questions(), 1)

    def test_receipts_for_what_is_unknown(self) -> None:
        certificate = forge.certificate(self.world, [pay([genesis_coin(0)])], self.world.nodes)
        for _ in range(5):
            message = Receipts((forge.receipt(self.peer, certificate),))
            self.world.receive(self.node, self.peer, message)
        self.assertEqual(self.questions(), 1)


class Bounds(Case):
    """What nobody can check yet is kept only within bounds."""

    def assert_bounded(self, message: BatchCertificate | ReceiptSet) -> None:
        self.assertRaises(CodecError, decode, encode(message), type(message), 10_000_000)

    def test_leaves_and_bitmaps_are_bounded_before_anything_is_computed(self) -> None:
        leaves = tuple(index.to_bytes(32, "big") for index in range(65))
        self.assert_bounded(BatchCertificate(0, leaves, ()))
        self.assert_bounded(BatchCertificate(0, (), ()))
        self.assert_bounded(BatchCertificate(0, leaves[:1], (BatchVote(0, bytes(9), bytes(64)),)))
        receipt = Receipt(0, bytes(9), bytes(64))
        self.assert_bounded(ReceiptSet(0, 0, bytes(32), 1, (receipt,)))

    def early(self) -> list[tuple[bytes, int]]:
        """Senders and sizes of what waits for a block."""
        kept = self.node.finality._parts.early._messages
        return [(peer, len(encode(message))) for _, peer, message in kept]

    def test_messages_ahead_of_the_tip_are_bounded_in_number_for_each_peer(self) -> None:
        one = forge.certificate(self.world, [pay([genesis_coin(0)])], self.world.nodes)
        for _ in range(MAX_EARLY_PER_PEER + 10):
            ahead = msgspec.structs.replace(one, anchor=1)
            self.world.receive(self.node, self.peer, Certified(ahead, ()))
        self.assertEqual(len(self.early()), MAX_EARLY_PER_PEER)
        other = self.world.nodes[2]
        self.world.receive(self.node, other, Certified(ahead, ()))
        self.assertEqual(self.early()[-1][0], other.name)

    def test_a_lost_link_takes_its_early_messages_with_it_and_costs_the_peer_nothing(self) -> None:
        """Else a restart at a block boundary looks like receipts of a stranger: an honest ban."""
        tx = pay([genesis_coin(0)])
        certificate = forge.certificate(self.world, [tx], self.world.nodes)
        self.world.receive(self.node, self.peer, Certified(certificate, (tx,)))
        ahead = Receipts((forge.receipt(self.peer, certificate, tip=1),))
        self.world.receive(self.node, self.peer, ahead)
        self.assertEqual([peer for peer, _ in self.early()], [self.peer.name])
        self.world.deliver(self.node, LinkDown(self.peer.name))
        self.assertEqual(self.early(), [])
        self.world.next_slot()
        self.assertEqual(self.node.blames, [])

    def test_messages_ahead_of_the_tip_are_bounded_in_bytes(self) -> None:
        votes = tuple(BatchVote(index, b"\x00", bytes(64)) for index in range(60_000))
        ahead = BatchCertificate(1, (bytes(32),), votes)
        for _ in range(20):
            self.world.receive(self.node, self.peer, Certified(ahead, ()))
        total = sum(size for _, size in self.early())
        self.assertLessEqual(total, MAX_EARLY_BYTES)
        self.assertGreater(total, 0)
        self.world.next_slot()
        self.assertEqual(self.early(), [])
        self.world.receive(self.node, self.peer, Finalized(ReceiptSet(2, 0, bytes(32), 1, ())))
