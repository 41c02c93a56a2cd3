"""Proofs of finality hold offline, and nothing else does."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import CHAIN_ID, World, genesis_coin, key_of, make_set, pay
from timecoin.codec import CodecError, encode
from timecoin.crypto.keys import verify
from timecoin.finality.proof import FinalityProof, decode_proof, verify_proof
from timecoin.quorum.certificate import CertificateError
from timecoin.quorum.snapshots import certificate_snapshots, receipt_snapshots


def make() -> tuple[World, FinalityProof]:
    """A world and a proof from a batch of several leaves."""
    world = World(4)
    txs = [pay([genesis_coin(index)]) for index in range(6)]
    for tx in txs:
        world.submit(world.nodes[0], tx)
    world.run(1_000)
    proof = world.nodes[2].finality.proof(txs[3].txid)
    assert proof is not None
    assert proof.leaf_count == 5
    return world, proof


WORLD, PROOF = make()
VOTERS = certificate_snapshots(WORLD.nodes[0].chain, PROOF.anchor) or ()
HOLDERS = receipt_snapshots(WORLD.nodes[0].chain, PROOF.tip) or ()


class ProofTests(SynchronousTestCase):
    def check(self, proof: FinalityProof) -> None:
        verify_proof(proof, VOTERS, HOLDERS, CHAIN_ID, verify)

    def test_proves(self) -> None:
        proved = verify_proof(PROOF, VOTERS, HOLDERS, CHAIN_ID, verify)
        self.assertEqual(proved.txid, PROOF.transaction.txid)
        self.assertEqual((proved.vote_quorum, proved.receipt_quorum), (267, 267))
        self.assertGreaterEqual(proved.vote_weight, 267)
        self.assertGreaterEqual(proved.receipt_weight, 267)

    def test_survives_its_encoding(self) -> None:
        self.assertEqual(decode_proof(encode(PROOF)), PROOF)
        self.check(decode_proof(encode(PROOF)))

    def test_as_long_as_it_waits(self) -> None:
        """Also when blocks leave it out for long, and after a restart."""
        world = World(4)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(1_000)
        for _ in range(5):
            world.next_slot()
            world.run(500)
        world.crash(world.nodes[0])
        world.restart(world.nodes[0])
        for node in world.nodes[:2]:
            proof = node.finality.proof(tx.txid)
            assert proof is not None
            holders = receipt_snapshots(node.chain, proof.tip) or ()
            self.assertEqual(verify_proof(proof, VOTERS, holders, CHAIN_ID, verify).txid, tx.txid)
            status = node.finality.status(tx.txid)
            assert status is not None
            self.assertGreaterEqual(status.receipts_weight, 267)

    def test_none_before_it_is_final(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        self.assertIsNone(world.nodes[0].finality.proof(tx.txid))

    def test_any_change_breaks_it(self) -> None:
        other = pay([genesis_coin(9)])
        changed = {
            "transaction": other,
            "anchor": PROOF.anchor + 1,
            "root": bytes(32),
            "leaf": PROOF.leaf ^ 1,
            "leaf_count": PROOF.leaf_count + 1,
            "path": PROOF.path[:-1],
            "votes": PROOF.votes[:2],
            "tip": PROOF.tip + 1,
            "receipts": PROOF.receipts[:2],
        }
        for name, value in changed.items():
            forged = msgspec.structs.replace(PROOF, **{name: value})
            self.assertRaises(CertificateError, self.check, forged)

    def test_repeated_voters_do_not_add_up(self) -> None:
        for name in ("votes", "receipts"):
            items = getattr(PROOF, name)
            forged = msgspec.structs.replace(PROOF, **{name: (items[0],) * 3})
            self.assertRaises(CertificateError, self.check, forged)

    def test_voters_stand_in_order(self) -> None:
        for name in ("votes", "receipts"):
            forged = msgspec.structs.replace(PROOF, **{name: getattr(PROOF, name)[::-1]})
            self.assertRaises(CertificateError, self.check, forged)

    def test_votes_against_do_not_count(self) -> None:
        votes = tuple(
            msgspec.structs.replace(vote, reject_bitmap=bytes([1 << PROOF.leaf]))
            for vote in PROOF.votes
        )
        forged = msgspec.structs.replace(PROOF, votes=votes)
        self.assertRaises(CertificateError, self.check, forged)

    def test_other_snapshots_or_chain(self) -> None:
        strangers = (make_set((key_of(f"stranger {i}"), 100) for i in range(4)),)
        self.assertRaises(
            CertificateError, verify_proof, PROOF, strangers, HOLDERS, CHAIN_ID, verify
        )
        self.assertRaises(
            CertificateError, verify_proof, PROOF, VOTERS, strangers, CHAIN_ID, verify
        )
        self.assertRaises(CertificateError, verify_proof, PROOF, (), (), CHAIN_ID, verify)
        self.assertRaises(CertificateError, verify_proof, PROOF, VOTERS, HOLDERS, bytes(12), verify)

    @given(st.data())
    def test_mutated_bytes(self, data: st.DataObject) -> None:
        raw = bytearray(encode(PROOF))
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        if bytes(raw) == encode(PROOF):
            return
        try:
            proof = decode_proof(bytes(raw))
        except CodecError:
            return
        try:
            self.check(proof)
        except CertificateError:
            return
        # What still holds may differ in nothing but bitmap bits or witnesses that prove as much.
        self.assertEqual(proof.transaction.txid, PROOF.transaction.txid)
