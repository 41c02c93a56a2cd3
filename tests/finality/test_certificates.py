"""Certificates from peers: what is checked, stored, asked for, passed on."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.world import World, genesis_coin, key_of, make_set, output_of, pay
from timecoin.finality.certificates import merged
from timecoin.finality.events import Status
from timecoin.finality.messages import Certified, GetCertificate, Receipts
from timecoin.gossip.machine import RELAY_MS
from timecoin.machine import Record, Send


class Incoming(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node, self.peer = self.world.nodes[:2]
        self.tx = pay([genesis_coin(0)])

    def status(self, txid: bytes) -> Status | None:
        found = self.node.finality.status(txid)
        return None if found is None else found.status

    def assert_refused(self, message: Certified) -> None:
        effects = self.world.receive(self.node, self.peer, message)
        self.assertEqual(len(self.node.blames), 1)
        self.assertFalse(any(isinstance(e, Record | Send) for e in effects))
        self.assertEqual(len(self.node.finality._parts.certificates), 0)
        self.assertEqual(len(self.node.pool), 0)

    def test_stored_before_the_receipt_leaves(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        effects = self.world.receive(self.node, self.peer, Certified(certificate, (self.tx,)))
        durable = [e.table for e in effects if isinstance(e, Record) and e.durable]
        self.assertEqual(sorted(durable), ["certificates", "pool", "receipts"])
        replies = [e.message for e in effects if isinstance(e, Send) and e.peer == self.peer.name]
        self.assertEqual([type(m) for m in replies], [Receipts])
        self.assertIs(self.status(self.tx.txid), Status.CERTIFIED)

    def test_same_again_costs_no_check_and_gets_the_same_receipt(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        message = Certified(certificate, (self.tx,))
        self.world.receive(self.node, self.peer, message)
        verified, first = self.node.verified, self.node.sent[-1]
        effects = self.world.receive(self.node, self.peer, message)
        self.assertEqual(self.node.verified, verified)
        self.assertEqual(self.node.sent[-1], first)
        self.assertFalse(any(isinstance(e, Record) for e in effects))

    def test_no_quorum(self) -> None:
        """LESSONS 4: weights come from the snapshots."""
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[2:])
        self.assert_refused(Certified(certificate, (self.tx,)))
        self.assertEqual(self.node.verified, 0)

    def test_no_quorum_in_one_of_the_snapshots(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        keys = [key_of(f"member {index}") for index in range(4)]
        world.snapshots.append(make_set([(keys[0], 100), (keys[1], 100), (keys[2], 1_000)]))
        world.next_slot()
        node, peer = world.nodes[:2]
        without = [world.nodes[i] for i in (0, 1, 3)]  # 300 of 400, but 200 of 1,200
        with_all = [world.nodes[i] for i in (0, 1, 2)]
        certificate = forge.certificate(world, [self.tx], without, anchor=1)
        world.receive(node, peer, Certified(certificate, (self.tx,)))
        self.assertEqual(len(node.blames), 1)
        certificate = forge.certificate(world, [self.tx], with_all, anchor=1)
        world.receive(node, peer, Certified(certificate, (self.tx,)))
        self.assertEqual(len(node.blames), 1)
        self.assertEqual(len(node.finality._parts.certificates), 1)

    def test_bad_signature(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        votes = (msgspec.structs.replace(certificate.votes[0], signature=bytes(64)),)
        forged = msgspec.structs.replace(certificate, votes=votes + certificate.votes[1:])
        self.assert_refused(Certified(forged, (self.tx,)))

    def test_votes_of_another_batch(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        other = pay([genesis_coin(1)])
        self.assert_refused(
            Certified(msgspec.structs.replace(certificate, leaves=(other.txid,)), (other,))
        )

    def test_body_of_no_leaf(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.assert_refused(Certified(certificate, (pay([genesis_coin(1)]),)))

    def test_forged_body_is_charged_and_not_passed_on(self) -> None:
        world = World(4, followers=1)
        world.cut = lambda source, target, message: True
        node, peer, follower = world.nodes[0], world.nodes[1], world.nodes[4]
        certificate = forge.certificate(world, [self.tx], world.nodes[1:4])
        witnesses = ((self.tx.witnesses[0][0], bytes(64)),)
        forged = msgspec.structs.replace(self.tx, witnesses=witnesses)
        world.receive(node, peer, Certified(certificate, (forged,)))
        self.assertEqual([blame.peer for blame in node.blames], [peer.name])
        passed_on = (follower.name, Certified(certificate, ()))
        self.assertNotIn(passed_on, node.sent)
        world.receive(node, peer, Certified(certificate, (self.tx,)))
        self.assertEqual(node.pool.get(self.tx.txid), self.tx)
        world.run(RELAY_MS)
        self.assertIn(passed_on, node.sent)

    def test_passed_on_after_a_while_even_without_its_body(self) -> None:
        world = World(4, followers=1)
        world.cut = lambda source, target, message: True
        node, follower = world.nodes[0], world.nodes[4]
        certificate = forge.certificate(world, [self.tx], world.nodes[1:4])
        world.receive(node, world.nodes[1], Certified(certificate, ()))
        world.run(10_000)
        sent = [m for peer, m in node.sent if peer == follower.name]
        self.assertEqual(sent.count(Certified(certificate, ())), 1)

    def test_rejected_leaf_is_not_certified(self) -> None:
        good, bad = self.tx, pay([genesis_coin(1)])
        signers = self.world.nodes[1:]
        rejects = {signers[0]: [1]}
        certificate = forge.certificate(self.world, [good, bad], signers, rejects=rejects)
        self.world.receive(self.node, self.peer, Certified(certificate, (good, bad)))
        self.assertIs(self.status(good.txid), Status.CERTIFIED)
        self.assertIsNone(self.status(bad.txid))
        receipt = next(m for _, m in self.node.sent if isinstance(m, Receipts)).items[0]
        self.assertEqual(receipt.stored_bitmap, b"\x01")

    def test_more_votes_certify_more(self) -> None:
        good, late = self.tx, pay([genesis_coin(1)])
        first, second = self.world.nodes[1:4], [self.world.nodes[i] for i in (0, 2, 3)]
        rejects = {self.world.nodes[1]: [1]}
        one = forge.certificate(self.world, [good, late], first, rejects=rejects)
        two = forge.certificate(self.world, [good, late], second)
        self.world.receive(self.node, self.peer, Certified(one, (good, late)))
        self.world.receive(self.node, self.peer, Certified(two, (good, late)))
        self.assertIs(self.status(late.txid), Status.CERTIFIED)
        held = self.node.finality._parts.certificates.all()
        self.assertEqual([item.certificate for item in held], [merged(one, two)])
        self.assertEqual(len(held[0].certificate.votes), 4)

    def test_missing_body_is_asked_for_and_the_certificate_kept(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, ()))
        self.assertIs(self.status(self.tx.txid), Status.CERTIFIED_BODY_MISSING)
        self.assertEqual(self.node.sent, [(self.peer.name, GetCertificate(self.tx.txid))])
        self.world.run(5_000)
        questions = [m for _, m in self.node.sent if isinstance(m, GetCertificate)]
        self.assertGreater(len(questions), 2)
        self.world.receive(self.node, self.peer, Certified(certificate, (self.tx,)))
        self.assertIs(self.status(self.tx.txid), Status.CERTIFIED)
        self.assertTrue(any(isinstance(m, Receipts) for _, m in self.node.sent))

    def test_no_receipt_without_the_body(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, ()))
        self.world.next_slot()
        self.assertFalse(any(isinstance(m, Receipts) for _, m in self.node.sent))

    def test_parent_is_asked_for(self) -> None:
        child = pay([output_of(self.tx)])
        signers = self.world.nodes[1:]
        of_child = forge.certificate(self.world, [child], signers)
        self.world.receive(self.node, self.peer, Certified(of_child, (child,)))
        self.assertEqual(self.node.sent, [(self.peer.name, GetCertificate(self.tx.txid))])
        self.assertFalse(any(isinstance(m, Receipts) for _, m in self.node.sent))
        of_parent = forge.certificate(self.world, [self.tx], signers)
        self.world.receive(self.node, self.peer, Certified(of_parent, (self.tx,)))
        for txid in (self.tx.txid, child.txid):
            self.assertIs(self.status(txid), Status.CERTIFIED)
        roots = [m.items[0].root for _, m in self.node.sent if isinstance(m, Receipts)]
        self.assertEqual(set(roots), {of_child.root, of_parent.root})

    def test_full_pool_takes_certified_ones(self) -> None:
        self.node.pool._limits = type(self.node.pool._limits)(max_pending=0)
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, (self.tx,)))
        self.assertIs(self.status(self.tx.txid), Status.CERTIFIED)

    def test_void_certificate(self) -> None:
        """Another spend was archived: the certificate has lost its object."""
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.world.next_slot([pay([genesis_coin(0)], nonce=1)])
        self.world.receive(self.node, self.peer, Certified(certificate, (self.tx,)))
        self.assertEqual(len(self.node.finality._parts.certificates), 0)
        self.assertFalse(any(isinstance(m, Receipts) for _, m in self.node.sent))
        self.assertNotIn("certificates", {table for table, _ in self.node.rows})

    def test_held_certificate_becomes_void(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, (self.tx,)))
        self.world.next_slot([pay([genesis_coin(0)], nonce=1)])
        self.assertIs(self.status(self.tx.txid), Status.REJECTED)
        self.assertEqual(len(self.node.finality._parts.certificates), 0)
        self.assertEqual({table for table, _ in self.node.rows}, set())

    def test_ahead_of_the_tip_waits_a_moment(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        node, peer = world.nodes[3], world.nodes[0]
        world.connect(nodes=world.nodes[:3])
        certificate = forge.certificate(world, [self.tx], world.nodes[:3], anchor=1)
        world.receive(node, peer, Certified(certificate, (self.tx,)))
        self.assertEqual(len(node.finality._parts.certificates), 0)
        world.connect(nodes=[node])
        self.assertEqual(len(node.finality._parts.certificates), 1)
        self.assertEqual(node.blames, [])

    def test_archived_ones_are_not_stored_again(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.world.next_slot([self.tx])
        effects = self.world.receive(self.node, self.peer, Certified(certificate, (self.tx,)))
        self.assertFalse(any(isinstance(e, Record) for e in effects))
        self.assertEqual(len(self.node.finality._parts.certificates), 0)

    def test_bounded_number_for_one_transaction(self) -> None:
        signers = self.world.nodes[1:]
        for index in range(1, 40):
            batch = [self.tx, pay([genesis_coin(index)])]
            rejects = {node: [1] for node in signers}
            certificate = forge.certificate(self.world, batch, signers, rejects=rejects)
            self.world.receive(self.node, self.peer, Certified(certificate, (self.tx,)))
        self.assertEqual(len(self.node.finality._parts.certificates), 16)


class Answering(SynchronousTestCase):
    def test_by_root_and_by_txid(self) -> None:
        world = World(4)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(500)
        node, peer = world.nodes[:2]
        root = node.finality._parts.certificates.all()[0].certificate.root
        for name in (root, tx.txid):
            sent = len(node.sent)
            world.receive(node, peer, GetCertificate(name))
            message = node.sent[sent][1]
            assert isinstance(message, Certified)
            self.assertEqual(message.bodies, (tx,))
        sent = len(node.sent)
        world.receive(node, peer, GetCertificate(bytes(32)))
        self.assertEqual(len(node.sent), sent)

    def test_new_member_link_is_told_what_waits(self) -> None:
        world = World(4)
        late = world.nodes[3]
        world.crash(late)
        txs = [pay([genesis_coin(index)]) for index in range(3)]
        for tx in txs:
            world.submit(world.nodes[0], tx)
        world.run(1_000)
        world.restart(late)
        world.run(200)
        for tx in txs:
            self.assertTrue(late.is_final(tx.txid))
