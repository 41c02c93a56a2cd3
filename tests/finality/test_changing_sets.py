"""Finality while the active set changes: quorums in all snapshots demanded (PROTOCOL 4, 5).

Member 0 is in avs(0) to avs(2), member 4 from avs(3) on; the others always are.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.finality.test_calls import make_call
from tests.finality.world import CHAIN_ID, World, genesis_coin, key_of, make_set, pay
from timecoin import params
from timecoin.crypto.keys import verify
from timecoin.finality.messages import Query
from timecoin.finality.proof import FinalityProof, verify_proof
from timecoin.ledger.transaction import Transaction
from timecoin.quorum.certificate import CertificateError
from timecoin.quorum.snapshots import certificate_snapshots, receipt_snapshots, voter_index

CHANGE = 3
"""The first height whose snapshot is the new one."""
KEYS = [key_of(f"member {index}") for index in range(5)]
OLD = make_set((key, 100) for key in KEYS[:4])
NEW = make_set((key, 100) for key in KEYS[1:])


class ChangingSets(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(5)
        self.world.snapshots[:] = [OLD] * CHANGE + [NEW]

    def down(self, *members: int) -> None:
        for index in members:
            self.world.crash(self.world.nodes[index])

    def at_tip(self, height: int) -> None:
        while self.world.nodes[1].chain.tip_height < height:
            self.world.next_slot()
        # A poll within a second of a new tip is anchored below it.
        self.world.run(1_500)

    def paid(self, coin: int) -> Transaction:
        tx = pay([genesis_coin(coin)])
        self.world.submit(self.world.nodes[1], tx)
        self.world.run(1_500)
        return tx

    def is_final(self, tx: Transaction) -> bool:
        return self.world.nodes[1].is_final(tx.txid)

    def proof(self, tx: Transaction) -> FinalityProof:
        found = self.world.nodes[1].finality.proof(tx.txid)
        assert found is not None
        return found

    def voters(self, tx: Transaction) -> list[int]:
        """Members whose votes stand in the certificate of ``tx``."""
        proof = self.proof(tx)
        snapshots = certificate_snapshots(self.world.nodes[1].chain, proof.anchor)
        index = voter_index(snapshots or ())
        by_pubkey = {key.public: number for number, key in enumerate(KEYS)}
        return [by_pubkey[index[vote.voter]] for vote in proof.votes]

    def test_at_every_tip_across_the_change(self) -> None:
        for height in range(CHANGE + params.SNAPSHOT_DEPTH + 3):
            self.at_tip(height)
            self.assertTrue(self.is_final(self.paid(height)), height)

    def test_who_has_left_votes_for_five_more_blocks(self) -> None:
        """Without the leaver's vote the old members would have no quorum."""
        self.down(2)
        for height in range(CHANGE, CHANGE + params.SNAPSHOT_DEPTH):
            self.at_tip(height)
            tx = self.paid(height)
            self.assertTrue(self.is_final(tx), height)
            self.assertIn(0, self.voters(tx))

    def test_a_quorum_of_the_new_set_alone_is_not_enough(self) -> None:
        self.down(0, 2)
        self.at_tip(CHANGE)
        self.assertFalse(self.is_final(self.paid(1)))

    def test_nor_one_of_the_old_set(self) -> None:
        self.down(2, 4)
        self.at_tip(CHANGE)
        self.assertFalse(self.is_final(self.paid(1)))

    def test_then_it_is_not_asked_any_more(self) -> None:
        self.at_tip(CHANGE + params.SNAPSHOT_DEPTH)
        self.assertNotIn(0, self.voters(self.paid(1)))
        self.down(0)
        self.assertTrue(self.is_final(self.paid(2)))

    def test_who_has_not_heard_of_its_leave_is_not_served_and_not_blamed(self) -> None:
        """It was cut off; what it asks was right at the tip that it knows."""
        tip = CHANGE + params.SNAPSHOT_DEPTH
        self.at_tip(tip)
        self.assertEqual(self.blamed_for_asking(0, [0, CHANGE, tip - 1]), 0)
        self.assertEqual(len(self.world.nodes[1].pool), 0)
        self.assertEqual(self.blamed_for_asking(0, [tip]), 2)

    def test_nor_is_who_has_heard_of_its_join_before_others(self) -> None:
        self.assertEqual(self.blamed_for_asking(4, [CHANGE]), 0)
        self.assertEqual(len(self.world.nodes[1].pool), 0)
        self.assertEqual(self.blamed_for_asking(4, [0]), 2)

    def blamed_for_asking(self, member: int, anchors: list[int]) -> int:
        """How often node 1 blames ``member`` for a query and a call at each of ``anchors``."""
        node, asker = self.world.nodes[1], self.world.nodes[member]
        node.blames.clear()
        tx = pay([genesis_coin(9)])
        for anchor in anchors:
            self.world.receive(node, asker, Query(1, anchor, (tx.wtxid,), (tx,), True))
            self.world.receive(
                node, asker, make_call(self.world, KEYS[member], (tx,), anchor=anchor)
            )
        return len(node.blames)

    def test_receipts_of_the_change_need_both_sets(self) -> None:
        """At the tip of the change receipts need quorums in avs(tip) and avs(tip-1)."""
        self.at_tip(CHANGE)
        chain = self.world.nodes[1].chain
        proof = self.proof(self.paid(1))
        self.assertEqual(proof.tip, CHANGE)
        holders = receipt_snapshots(chain, proof.tip) or ()
        self.assertEqual({item.root for item in holders}, {OLD.root, NEW.root})

    def test_proofs_hold_in_just_the_snapshots_of_their_time(self) -> None:
        self.at_tip(CHANGE)
        chain = self.world.nodes[1].chain
        proof = self.proof(self.paid(1))
        voters = certificate_snapshots(chain, proof.anchor) or ()
        holders = receipt_snapshots(chain, proof.tip) or ()
        self.assertEqual((len(voters), len(holders)), (2, 2))
        verify_proof(proof, voters, holders, CHAIN_ID, verify)
        for wrong in ((OLD,), (NEW,)):
            with self.assertRaises(CertificateError):
                verify_proof(proof, wrong, holders, CHAIN_ID, verify)
            with self.assertRaises(CertificateError):
                verify_proof(proof, voters, wrong, CHAIN_ID, verify)
