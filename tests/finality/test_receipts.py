"""Receipts: what is vouched for, at which tip, by whom, and when that makes a thing final."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.test_calls import join
from tests.finality.world import Node, World, genesis_coin, key_of, make_set, output_of, pay
from timecoin.finality import early
from timecoin.finality.events import Status
from timecoin.finality.messages import Certified, Finalized, GetCertificate, Receipts
from timecoin.ledger.transaction import Transaction
from timecoin.machine import LinkDown, Record, Spread
from timecoin.quorum.certificate import BatchCertificate


class ReceiptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node, self.peer = self.world.nodes[:2]
        self.tx = pay([genesis_coin(0)])
        self.certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])

    def hold(self) -> None:
        self.world.receive(self.node, self.peer, Certified(self.certificate, (self.tx,)))

    def is_final(self) -> bool:
        return self.node.is_final(self.tx.txid)

    def test_quorum_of_one_tip(self) -> None:
        self.hold()
        for other in self.world.nodes[1:3]:
            self.assertFalse(self.is_final())
            self.world.receive(
                self.node, other, Receipts((forge.receipt(other, self.certificate),))
            )
        self.assertTrue(self.is_final())  # with its own: 300 of 400
        self.assertEqual(self.node.statuses(self.tx.txid).count(Status.FINAL), 1)

    def test_receipts_of_different_tips_do_not_add_up(self) -> None:
        self.hold()
        first, second = self.world.nodes[1:3]
        self.world.receive(self.node, first, Receipts((forge.receipt(first, self.certificate),)))
        self.world.next_slot()
        late = forge.receipt(second, self.certificate, tip=1)
        self.world.receive(self.node, second, Receipts((late,)))
        self.assertFalse(self.is_final())
        again = forge.receipt(first, self.certificate, tip=1)
        self.world.receive(self.node, first, Receipts((again,)))
        self.assertTrue(self.is_final())

    def test_again_at_each_tip(self) -> None:
        self.hold()
        self.world.next_slot()
        self.world.next_slot()
        tips = [m.items[0].tip for p, m in self.node.sent if isinstance(m, Receipts)]
        self.assertEqual(sorted(set(tips)), [0, 1, 2])
        self.assertEqual(tips.count(2), 3)  # to each other member

    def test_no_receipts_while_catching_up(self) -> None:
        self.hold()
        self.world.catch_up(self.node, True)
        self.world.next_slot()
        tips = [m.items[0].tip for p, m in self.node.sent if isinstance(m, Receipts)]
        self.assertNotIn(1, tips)
        self.world.catch_up(self.node, False)
        tips = [m.items[0].tip for p, m in self.node.sent if isinstance(m, Receipts)]
        self.assertIn(1, tips)

    def test_voter_outside_is_refused_before_its_signature(self) -> None:
        self.hold()
        stranger = self.world.nodes[1]
        receipt = forge.receipt(stranger, self.certificate)
        forged = msgspec.structs.replace(receipt, voter=key_of("stranger").public)
        before = self.node.verified
        self.world.receive(self.node, self.peer, Receipts((forged,)))
        self.assertEqual(self.node.verified, before)
        self.assertEqual(len(self.node.blames), 1)

    def test_bad_ones_are_charged(self) -> None:
        self.hold()
        good = forge.receipt(self.peer, self.certificate)
        for bad in (
            msgspec.structs.replace(good, signature=bytes(64)),
            msgspec.structs.replace(good, leaf_count=2),
            msgspec.structs.replace(good, stored_bitmap=b"\x03"),
            msgspec.structs.replace(good, stored_bitmap=b"\x01\x00"),
        ):
            self.node.blames.clear()
            self.world.receive(self.node, self.peer, Receipts((bad,)))
            self.assertEqual(len(self.node.blames), 1, bad)
        tips = self.node.finality._parts.tally._tips.values()
        self.assertEqual([len(voters) for tip in tips for voters in tip.values()], [1])

    def test_receipts_prove_themselves_whoever_brings_them(self) -> None:
        world = World(4, followers=1)
        world.cut = lambda source, target, message: True
        node, follower = world.nodes[0], world.nodes[4]
        certificate = forge.certificate(world, [self.tx], world.nodes[1:4])
        world.receive(node, world.nodes[1], Certified(certificate, (self.tx,)))
        stranger = forge.receipt(world.nodes[1], certificate)
        forged = msgspec.structs.replace(stranger, voter=world.nodes[2].chain.snapshots[0].root)
        world.receive(node, follower, Receipts((forged,)))
        self.assertEqual([blame.peer for blame in node.blames], [follower.name])
        receipts = tuple(forge.receipt(other, certificate) for other in world.nodes[1:4])
        world.receive(node, follower, Receipts(receipts))
        self.assertTrue(node.is_final(self.tx.txid))

    def test_final_is_told_once_however_many_certificates(self) -> None:
        other = pay([genesis_coin(1)])
        signers = self.world.nodes[1:]
        both = forge.certificate(self.world, [self.tx, other], signers)
        self.hold()
        self.world.receive(self.node, self.peer, Certified(both, (self.tx, other)))
        for certificate in (self.certificate, both):
            quorum = forge.receipt_set(self.world, certificate, signers)
            self.world.receive(self.node, self.peer, Finalized(quorum))
        self.assertEqual(self.node.statuses(self.tx.txid).count(Status.FINAL), 1)
        self.assertEqual(self.node.finality.statistics().finalized, 2)

    def test_checked_once(self) -> None:
        self.hold()
        message = Receipts((forge.receipt(self.peer, self.certificate),))
        self.world.receive(self.node, self.peer, message)
        before = self.node.verified
        self.world.receive(self.node, self.peer, message)
        self.assertEqual(self.node.verified, before)

    def test_unknown_certificate_is_asked_for(self) -> None:
        receipt = forge.receipt(self.peer, self.certificate)
        self.world.receive(self.node, self.peer, Receipts((receipt,)))
        self.assertEqual(self.node.sent, [(self.peer.name, GetCertificate(self.certificate.root))])

    def test_finalized(self) -> None:
        self.hold()
        quorum = forge.receipt_set(self.world, self.certificate, self.world.nodes[1:])
        effects = self.world.receive(self.node, self.peer, Finalized(quorum))
        self.assertTrue(self.is_final())
        rows = [e for e in effects if isinstance(e, Record) and e.table == "finals"]
        self.assertEqual(len(rows), 1)

    def test_finalized_without_quorum(self) -> None:
        self.hold()
        few = forge.receipt_set(self.world, self.certificate, self.world.nodes[2:])
        self.world.receive(self.node, self.peer, Finalized(few))
        self.assertFalse(self.is_final())
        self.assertEqual(len(self.node.blames), 1)

    def test_finalized_with_a_bad_signature(self) -> None:
        self.hold()
        quorum = forge.receipt_set(self.world, self.certificate, self.world.nodes[1:])
        bad = msgspec.structs.replace(quorum.receipts[0], signature=bytes(64))
        forged = msgspec.structs.replace(quorum, receipts=(bad, *quorum.receipts[1:]))
        self.world.receive(self.node, self.peer, Finalized(forged))
        self.assertFalse(self.is_final())
        self.assertEqual(len(self.node.blames), 1)

    def test_quorum_is_demanded_in_both_snapshots(self) -> None:
        """avs(tip) and avs(tip-1)."""
        self.hold()
        keys = [key_of(f"member {index}") for index in range(4)]
        self.world.snapshots.append(make_set([(key, 100) for key in keys[:3]] + [(keys[3], 1_000)]))
        self.world.next_slot()
        for other in self.world.nodes[1:3]:
            receipt = forge.receipt(other, self.certificate, tip=1)
            self.world.receive(self.node, other, Receipts((receipt,)))
        self.assertFalse(self.is_final())  # 300 of 400 in avs(0), but 300 of 1,300 in avs(1)
        heavy = self.world.nodes[3]
        receipt = forge.receipt(heavy, self.certificate, tip=1)
        self.world.receive(self.node, heavy, Receipts((receipt,)))
        self.assertTrue(self.is_final())

    def test_final_with_a_missing_body_is_told_when_it_comes(self) -> None:
        self.world.receive(self.node, self.peer, Certified(self.certificate, ()))
        quorum = forge.receipt_set(self.world, self.certificate, self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Finalized(quorum))
        self.assertNotIn(Status.FINAL, self.node.statuses(self.tx.txid))
        self.hold()
        self.assertIs(self.node.statuses(self.tx.txid)[-1], Status.FINAL)
        self.assertTrue(self.is_final())

    def test_early_receipts_wait_for_the_block(self) -> None:
        self.hold()
        for other in self.world.nodes[1:3]:
            receipt = forge.receipt(other, self.certificate, tip=1)
            self.world.receive(self.node, other, Receipts((receipt,)))
        self.assertFalse(self.is_final())
        self.world.next_slot()
        self.assertTrue(self.is_final())

    def test_only_what_is_near_waits_and_members_have_most_of_the_room(self) -> None:
        self.patch(early, "MAX_EARLY_BYTES_OF_OTHERS", 100)
        world = World(4, followers=1)
        world.cut = lambda source, target, message: True
        node, peer, follower = world.nodes[0], world.nodes[1], world.nodes[4]
        certificate = forge.certificate(world, [self.tx], world.nodes[1:4])
        world.receive(node, peer, Certified(certificate, (self.tx,)))
        world.receive(node, peer, Receipts((forge.receipt(peer, certificate, tip=3),)))
        ahead = msgspec.structs.replace(certificate, anchor=1)
        world.receive(node, follower, Certified(ahead, ()))
        self.assertEqual(node.finality.statistics().early, 0)
        world.receive(node, peer, Receipts((forge.receipt(peer, certificate, tip=2),)))
        world.receive(node, peer, Certified(ahead, (self.tx,)))
        self.assertEqual(node.finality.statistics().early, 2)
        world.connect()
        self.assertEqual(node.finality.statistics().early, 1)
        world.connect()
        self.assertEqual(node.finality.statistics().early, 0)

    def test_old_tips_are_dropped(self) -> None:
        self.hold()
        for tip in range(1, 8):
            self.world.next_slot()
            receipt = forge.receipt(self.peer, self.certificate, tip=tip)
            self.world.receive(self.node, self.peer, Receipts((receipt,)))
        tips = next(iter(self.node.finality._parts.tally._tips.values()))
        self.assertEqual(sorted(tips), [5, 6, 7])

    def test_never_for_two_conflicting(self) -> None:
        self.hold()
        rival = pay([genesis_coin(0)], nonce=1)
        other = forge.certificate(self.world, [rival], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(other, (rival,)))
        self.world.next_slot()
        roots = {i.root for _, m in self.node.sent if isinstance(m, Receipts) for i in m.items}
        self.assertEqual(roots, {self.certificate.root})

    def test_never_for_two_conflicting_after_a_restart(self) -> None:
        self.hold()
        self.world.crash(self.node)
        # Only the memory of the receipt is left, not what it was for.
        keep = ("receipts", "certificates")
        self.node.rows = {k: v for k, v in self.node.rows.items() if k[0] in keep}
        self.world.restart(self.node)
        rival = pay([genesis_coin(0)], nonce=1)
        other = forge.certificate(self.world, [rival], self.world.nodes[1:])
        self.node.sent.clear()
        self.world.receive(self.node, self.peer, Certified(other, (rival,)))
        self.world.next_slot()
        roots = {i.root for _, m in self.node.sent if isinstance(m, Receipts) for i in m.items}
        self.assertEqual(roots, set())

    def test_none_for_a_child_of_a_conflicting_parent(self) -> None:
        self.hold()
        rival = pay([genesis_coin(0)], nonce=1)
        child = pay([output_of(rival)])
        signers = self.world.nodes[1:]
        for tx in (rival, child):
            certificate = forge.certificate(self.world, [tx], signers)
            self.world.receive(self.node, self.peer, Certified(certificate, (tx,)))
        self.world.next_slot()
        roots = {i.root for _, m in self.node.sent if isinstance(m, Receipts) for i in m.items}
        self.assertEqual(roots, {self.certificate.root})


class OnTheWayTests(SynchronousTestCase):
    """A payment is certified, and not final yet, when a block comes."""

    def held_up(self, world: World, poller: Node) -> Transaction:
        """A payment of ``poller`` whose certificate everybody holds; receipts came nowhere."""
        world.cut = lambda source, target, message: isinstance(message, Receipts)
        tx = pay([genesis_coin(0)])
        world.submit(poller, tx)
        world.run(500)
        for node in world.nodes:
            self.assertFalse(node.is_final(tx.txid))
            self.assertEqual(node.finality.statistics().certificates, 1)
            node.sent.clear()
        world.cut = lambda source, target, message: False
        return tx

    def assert_final_everywhere(self, world: World, tx: Transaction) -> None:
        for node in world.nodes:
            self.assertTrue(node.is_final(tx.txid), node.name)
            self.assertEqual(node.blames, [], node.name)

    def test_each_receipt_comes_to_the_collector_once(self) -> None:
        for count in (4, 16, 64):
            world = World(count)
            poller = world.nodes[0]
            tx = self.held_up(world, poller)
            world.connect()
            world.run(300)
            self.assert_final_everywhere(world, tx)
            told = [
                message
                for node in world.nodes
                for target, message in node.sent
                if target == poller.name and isinstance(message, Receipts)
            ]
            self.assertEqual(len(told), count - 1)

    def test_by_relays_where_members_are_not_linked_with_the_collector(self) -> None:
        # 2 overhears the receipt of 3, which makes a quorum there, before 1 asks it to carry it on.
        world = World(4, followers=1, linked=False)
        join(world, [(0, 4), (4, 2), (2, 1), (1, 3), (2, 3)])
        world.cut = lambda source, target, message: (
            isinstance(message, Receipts)
            or (isinstance(message, Certified) and {source, target} == {b"node 2", b"node 3"})
        )
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(500)
        held = [node.finality._parts.certificates.all()[0] for node in world.nodes]
        self.assertEqual([each.source for each in held[2:4]], [b"node 4", b"node 1"])
        self.assertFalse(world.nodes[0].is_final(tx.txid))
        world.cut = lambda source, target, message: False
        world.connect()
        world.run(100)
        self.assert_final_everywhere(world, tx)
        brought = [
            item.voter
            for target, message in world.nodes[2].sent
            if target == world.nodes[4].name and isinstance(message, Receipts)
            for item in message.items
            if item.tip == 1
        ]
        voters = [node.key.public for node in world.nodes[1:4] if node.key is not None]
        self.assertEqual(sorted(brought), sorted(voters))

    def test_a_way_back_that_keeps_them_to_itself(self) -> None:
        world = World(4, followers=2, linked=False)
        join(world, [(0, 4), (4, 1), (4, 2), (4, 3), (0, 5), (5, 1), (5, 2), (5, 3)])
        poller = world.nodes[0]
        tx = self.held_up(world, poller)
        world.cut = lambda source, target, message: (
            source == b"node 4" and isinstance(message, Receipts)
        )
        world.connect()
        world.run(6_000)
        self.assert_final_everywhere(world, tx)

    def test_a_collector_that_is_gone(self) -> None:
        world = World(7)
        tx = self.held_up(world, world.nodes[0])
        world.crash(world.nodes[0])
        world.connect()
        world.run(300)
        self.assertEqual([node.is_final(tx.txid) for node in world.nodes[1:]], [True] * 6)

    def test_who_has_lost_its_way_back_asks_everybody(self) -> None:
        world = World(4, followers=2, linked=False)
        join(world, [(0, 4), (4, 1), (4, 2), (4, 3), (3, 1), (5, 1), (5, 2), (1, 2)])
        poller, _, _, cut_off = world.nodes[:4]
        self.held_up(world, poller)
        world.deliver(cut_off, LinkDown(b"node 4"))
        world.deliver(world.nodes[4], LinkDown(cut_off.name))
        world.connect(nodes=[cut_off])
        told = [m for to, m in cut_off.sent if to == b"node 1" and isinstance(m, Receipts)]
        self.assertEqual([message.asked for message in told], [1])

    def told_alone(self) -> tuple[World, BatchCertificate]:
        """The first node holds a certificate of the second; nobody hears what it says."""
        world = World(4)
        world.cut = lambda source, target, message: True
        tx = pay([genesis_coin(0)])
        certificate = forge.certificate(world, [tx], world.nodes[1:])
        world.receive(world.nodes[0], world.nodes[1], Certified(certificate, (tx,)))
        world.nodes[0].sent.clear()
        return world, certificate

    def test_asked_of_one_that_has_overheard_it(self) -> None:
        world, certificate = self.told_alone()
        node, source, other = world.nodes[:3]
        receipt = forge.receipt(other, certificate)
        forged = msgspec.structs.replace(receipt, signature=bytes(64))
        expected: list[tuple[int, list[object]]] = [
            (0, []),
            (1, [(source.name, Receipts((receipt,), 1))]),
            (1, []),
        ]
        for asked, sent in expected:
            item = forged if asked else receipt  # known by now: what was checked goes on
            world.receive(node, other, Receipts((item,), asked))
            self.assertEqual(node.sent, sent)
            node.sent.clear()
        self.assertEqual(node.blames, [])

    def test_asked_before_the_block_is_here(self) -> None:
        world, certificate = self.told_alone()
        node, source, other = world.nodes[:3]
        asked = forge.receipt(other, certificate, tip=1)
        unasked = forge.receipt(source, certificate, tip=1)
        world.receive(node, other, Receipts((asked, unasked), 1))
        self.assertEqual(node.sent, [])
        world.connect()
        self.assertIn((source.name, Receipts((asked,), 1)), node.sent)

    def test_to_everybody_once_when_the_way_back_has_brought_nothing(self) -> None:
        world, certificate = self.told_alone()
        node, _, other = world.nodes[:3]
        receipt = forge.receipt(other, certificate)
        world.receive(node, other, Receipts((receipt,), 1))
        world.run(world.tuning.repoll_ms)
        spread = Spread(Receipts((receipt,)), receipt.voter, (other.name,))
        for expected in ([spread], []):
            effects = world.receive(node, other, Receipts((receipt,), 1))
            self.assertEqual([each for each in effects if isinstance(each, Spread)], expected)
