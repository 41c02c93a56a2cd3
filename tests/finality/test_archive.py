"""What a proposer archives, what a member objects to, and the bans (PROTOCOL 5, 6)."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.world import Node, World, genesis_coin, output_of, pay
from timecoin import params
from timecoin.codec import encode
from timecoin.finality.archive import ENTRY_BYTES, SLACK_BYTES, Contents, Objection
from timecoin.finality.messages import Certified, Receipts
from timecoin.ledger.block import Resolution
from timecoin.ledger.transaction import Transaction

HOLD_MS = params.CONSENSUS_TIMING[params.Network.DEVNET].inclusion_hold_ms


class ArchiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node, self.peer = self.world.nodes[:2]

    def certify(self, *batch: Transaction, node: Node | None = None, anchor: int = 0) -> None:
        """Let ``node`` hold a certificate on ``batch``."""
        certificate = forge.certificate(self.world, batch, self.world.nodes[1:], anchor)
        self.world.receive(node or self.node, self.peer, Certified(certificate, batch))

    def contents(
        self, max_entries: int = 1_000, max_bytes: int = params.MAX_BLOCK_BYTES
    ) -> Contents:
        return self.node.finality.contents(self.world.now_ms, max_entries, max_bytes)

    def objection(
        self,
        transactions: Iterable[Transaction],
        resolutions: tuple[Resolution, ...] = (),
        judged_ms: int | None = None,
    ) -> Objection | None:
        """What the node has against a block with these entries."""
        block = self.world.draft(transactions, resolutions)
        judged = self.world.now_ms if judged_ms is None else judged_ms
        return self.node.finality.objection(block, block.height - 1, judged, self.world.now_ms)

    def receipted(self) -> set[bytes]:
        """Roots that the node has sent receipts for since the last call."""
        roots = {i.root for _, m in self.node.sent if isinstance(m, Receipts) for i in m.items}
        self.node.sent.clear()
        return roots


class ContentsTests(ArchiveTests):
    def test_nothing_without_a_certificate(self) -> None:
        self.world.submit(self.node, pay([genesis_coin(0)]))
        self.assertEqual(self.contents(), Contents((), (), ()))

    def test_parents_come_along(self) -> None:
        parent = pay([genesis_coin(0)])
        child = pay([output_of(parent)])
        grandchild = pay([output_of(child)])
        for tx in (parent, child, grandchild):
            self.certify(tx)
        self.assertEqual(self.contents().transactions, (parent, child, grandchild))
        # What does not fit takes nothing with it: a child never comes without its parent.
        self.assertEqual(self.contents(max_entries=2).transactions, (parent, child))

    def test_one_certificate_for_many(self) -> None:
        batch = [pay([genesis_coin(index)]) for index in range(5)]
        self.certify(*batch)
        found = self.contents()
        self.assertEqual(set(found.transactions), set(batch))
        self.assertEqual(len(found.certificates), 1)

    def test_bytes_are_bounded(self) -> None:
        batches = [[pay([genesis_coin(index)])] for index in range(5)]
        for batch in batches:
            self.certify(*batch)
        size = self.node.finality._parts.certificates.all()[0].size
        found = self.contents(max_bytes=2 * (size + ENTRY_BYTES + 8))
        self.assertEqual(len(found.transactions), 2)

    def test_body_missing(self) -> None:
        certificate = forge.certificate(self.world, [pay([genesis_coin(0)])], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, ()))
        self.assertEqual(self.contents(), Contents((), (), ()))

    def test_receipted_come_first_then_oldest_anchors(self) -> None:
        for _ in range(2):
            self.world.next_slot()
        late, early, receipted = (pay([genesis_coin(index)]) for index in range(3))
        self.world.catch_up(self.node, True)  # holds without receipting
        self.certify(late, anchor=2)
        self.certify(early, anchor=1)
        self.node.finality._context.catching_up = False
        self.certify(receipted, anchor=2)
        self.assertEqual(self.contents().transactions, (receipted, early, late))

    def test_conflicting_certificates_are_both_left_out(self) -> None:
        first, second = pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)
        child = pay([output_of(first)])
        for tx in (first, child, second):
            self.certify(tx)
        self.assertEqual(self.contents(), Contents((), (), ()))
        signers = self.world.nodes[1:]
        certificate = forge.certificate(self.world, [first], signers)
        for other in signers:
            message = Receipts((forge.receipt(other, certificate),))
            self.world.receive(self.node, other, message)
        self.assertEqual(self.contents().transactions, (first, child))


class InclusionTests(ArchiveTests):
    def setUp(self) -> None:
        super().setUp()
        self.tx = pay([genesis_coin(0)])

    def test_held_for_two_seconds(self) -> None:
        self.certify(self.tx)
        since = self.world.now_ms
        self.world.run(10_000)
        self.assertIsNone(self.objection([], judged_ms=since + HOLD_MS - 1))
        found = self.objection([], judged_ms=since + HOLD_MS)
        assert found is not None
        message = found.messages[0]
        assert isinstance(message, Certified)
        self.assertEqual(message.bodies, (self.tx,))
        self.assertIsNone(self.objection([self.tx], judged_ms=since + HOLD_MS))

    def test_receipted_below_the_parent(self) -> None:
        self.certify(self.tx)
        self.world.connect()
        # Receipted at tip 0; the block after tip 1 has a parent of height 1.
        self.assertIsNotNone(self.objection([], judged_ms=0))

    def test_receipted_at_the_parent_is_not_enough(self) -> None:
        self.world.connect()
        self.certify(self.tx)
        self.assertIsNone(self.objection([], judged_ms=0))

    def test_uncertified_or_without_body_may_be_left_out(self) -> None:
        self.world.submit(self.node, self.tx)
        other = pay([genesis_coin(1)])
        certificate = forge.certificate(self.world, [other], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, ()))
        self.world.run(10_000)
        self.assertIsNone(self.objection([]))

    def test_child_only_with_its_parent(self) -> None:
        child = pay([output_of(self.tx)])
        self.certify(self.tx)
        self.certify(child)
        self.world.run(5_000)
        found = self.objection([])
        assert found is not None
        self.assertIn("1 certified", found.reason)
        found = self.objection([self.tx])
        assert found is not None
        self.assertIn(child.txid.hex(), found.reason)
        self.assertIsNone(self.objection([self.tx, child]))

    def test_emergency_obliges_nobody(self) -> None:
        self.world.catch_up(self.node, True)
        self.certify(self.tx)
        self.certify(pay([genesis_coin(0)], nonce=1))
        self.world.run(5_000)
        self.assertIsNone(self.objection([]))

    def test_full_block(self) -> None:
        """Receipted ones go before others, in a full block too; else a full block may omit."""
        others = [pay([genesis_coin(index)]) for index in range(1, 4)]
        self.certify(self.tx)
        self.node.finality._parts.archive._max_entries = 3
        self.world.connect()
        self.assertIsNotNone(self.objection(others[:2]))
        for other in others:
            self.node.pool.admit(other, self.world.now_ms)
        self.assertIsNone(self.objection(others))
        self.world.catch_up(self.node, True)
        self.certify(*others)
        self.assertIsNotNone(self.objection(others))

    def test_block_full_of_bytes_or_bodies(self) -> None:
        self.world.catch_up(self.node, True)
        self.certify(self.tx)
        self.world.run(5_000)
        self.assertIsNotNone(self.objection([]))
        bound = len(encode(self.world.draft([]))) + SLACK_BYTES
        self.patch(params, "MAX_BLOCK_BYTES", bound)
        self.assertIsNone(self.objection([]))
        self.patch(params, "MAX_BLOCK_BYTES", bound + 1_000)
        self.assertIsNotNone(self.objection([]))
        self.patch(params, "MAX_BLOCK_BODIES_BYTES", len(self.tx.encoded) - 1)
        self.assertIsNone(self.objection([]))

    def test_entry_without_body(self) -> None:
        found = self.objection([self.tx])
        assert found is not None
        self.assertIn("no body", found.reason)


class ConflictTests(ArchiveTests):
    def setUp(self) -> None:
        super().setUp()
        self.tx = pay([genesis_coin(0)])
        self.rival = pay([genesis_coin(0)], nonce=1)
        self.node.pool.admit(self.rival, self.world.now_ms)
        self.resolved = Resolution(self.rival.txid, genesis_coin(0)[0], self.tx)

    def test_against_a_receipt_by_any_means(self) -> None:
        self.certify(self.tx)
        for resolutions in ((), (self.resolved,)):
            found = self.objection([self.rival], resolutions)
            assert found is not None
            self.assertIn("receipted", found.reason)
            self.assertTrue(found.messages)

    def test_resolution_against_a_certificate(self) -> None:
        self.world.catch_up(self.node, True)
        self.certify(self.tx)
        found = self.objection([self.rival], (self.resolved,))
        assert found is not None
        self.assertIn("resolves against", found.reason)

    def test_resolution_against_a_certificate_whose_body_is_in_the_block_only(self) -> None:
        certificate = forge.certificate(self.world, [self.tx], self.world.nodes[1:])
        self.world.receive(self.node, self.peer, Certified(certificate, ()))
        self.assertIsNotNone(self.objection([self.rival], (self.resolved,)))

    def test_archived_conflict_releases(self) -> None:
        """Void certificates aside: what a block has decided binds nobody any more."""
        both = pay([genesis_coin(0), genesis_coin(1)])
        self.certify(both)
        self.world.next_slot([self.rival])
        fresh = pay([genesis_coin(1)], nonce=2)
        self.node.pool.admit(fresh, self.world.now_ms)
        self.assertIsNone(self.objection([fresh]))

    def test_ban_holds_until_the_height_is_decided(self) -> None:
        block = self.world.draft([self.rival], (self.resolved,))
        self.assertIsNone(self.objection([self.rival], (self.resolved,)))
        records = self.node.finality.ban_for(block, (self.rival,))
        self.assertEqual([(r.table, r.durable) for r in records], [("bans", True)])
        child = pay([output_of(self.tx)])
        self.certify(self.tx)
        self.certify(child)
        self.assertEqual(self.receipted(), set())
        self.world.connect()  # that height is decided otherwise
        self.assertEqual(len(self.receipted()), 2)

    def test_ban_survives_a_restart(self) -> None:
        block = self.world.draft([self.rival], (self.resolved,))
        self.world.carry_out(self.node, self.node.finality.ban_for(block, (self.rival,)))
        self.world.crash(self.node)
        self.world.restart(self.node)
        self.certify(self.tx)
        self.assertEqual(self.receipted(), set())
        self.world.crash(self.node)
        self.node.chain.connect(self.world.draft([]), ())
        self.world.restart(self.node)
        self.assertEqual(len(self.receipted()), 0)  # nobody linked heard it: at the next tip
        self.assertNotIn("bans", {table for table, _ in self.node.rows})
        self.certify(self.tx)
        self.assertEqual(len(self.receipted()), 1)

    def test_ban_needs_no_body_of_its_own(self) -> None:
        """After a restart the winner may be held by the consensus journal alone."""
        both = pay([genesis_coin(0), genesis_coin(1)])
        block = self.world.draft([both], (Resolution(both.txid, both.outpoints[0], self.tx),))
        self.assertIsNone(self.node.pool.get(both.txid))
        self.assertEqual(len(self.node.finality.ban_for(block, (both,))), 2)
        self.certify(self.tx)
        self.assertEqual(self.receipted(), set())

    def test_winner_itself_is_not_banned(self) -> None:
        block = self.world.draft([self.rival], (self.resolved,))
        self.node.finality.ban_for(block, (self.rival,))
        self.certify(self.rival)
        self.assertEqual(len(self.receipted()), 1)

    def test_own_proposal_never_resolves_against_certificate_or_receipt(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        for number, node in enumerate(world.nodes):
            world.submit(node, (self.tx, self.rival)[number // 2])
        node = world.nodes[0]
        node.pool.admit(self.rival, world.now_ms)
        for _ in range(4):
            world.next_slot()
        limits = (1_000, params.MAX_BLOCK_BYTES)
        self.assertEqual(len(node.finality.contents(world.now_ms, *limits).resolutions), 1)
        certificate = forge.certificate(world, [self.rival], world.nodes[1:])
        world.catch_up(node, True)  # holds it without a receipt
        world.receive(node, world.nodes[1], Certified(certificate, ()))
        found = node.finality.contents(world.now_ms, *limits)
        self.assertEqual(found.resolutions, ())
        self.assertEqual(found.transactions, (self.rival,))
