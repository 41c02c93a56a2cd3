"""The proof that a block archived a transaction holds without a node, and for nothing else."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.rpc.methods.net import RpcTestCase
from timecoin.chain.entryproof import (
    EntryProof,
    decode_entry_proof,
    make_entry_proof,
    verify_entry_proof,
)
from timecoin.codec import CodecError, encode
from timecoin.crypto.keys import verify
from timecoin.masternodes.active_set import genesis_set
from timecoin.quorum.certificate import CertificateError

replace = msgspec.structs.replace


class EntryProofTests(RpcTestCase):
    """Three validators, three payments in block 1, checked against the genesis file alone."""

    count = 3

    def setUp(self) -> None:
        super().setUp()
        self.payments = [self.net.payment(number) for number in range(3)]
        for tx in self.payments:
            self.call("sendrawtransaction", tx.encoded.hex())
        self.net.run_to_height(1)
        self.snapshots = (genesis_set(self.net.genesis),)
        self.chain_id = self.net.genesis.chain_id

    def proof(self, number: int) -> EntryProof:
        made = make_entry_proof(self.node.node.views, self.payments[number].txid)
        assert made is not None
        return made

    def test_each_entry_is_proved(self) -> None:
        positions = set()
        for number, tx in enumerate(self.payments):
            proof = decode_entry_proof(encode(self.proof(number)))
            proved = verify_entry_proof(proof, self.snapshots, self.chain_id, verify)
            self.assertEqual((proved.txid, proved.height, proved.quorum), (tx.txid, 1, 200))
            self.assertGreaterEqual(proved.weight, 200)
            positions.add(proof.position)
        self.assertEqual(positions, {0, 1, 2})

    def test_no_entry(self) -> None:
        reward = bytes.fromhex(self.call("getblock", 1)["tx"][0])
        for txid in (reward, bytes(32), self.net.payment(3).txid):
            self.assertIsNone(make_entry_proof(self.node.node.views, txid))

    def test_another_chain_or_other_members(self) -> None:
        proof = self.proof(0)
        for snapshots, chain_id in (
            (self.snapshots, bytes(12)),
            ((replace(self.snapshots[0], members=self.snapshots[0].members[:1]),), self.chain_id),
        ):
            self.assertRaises(
                CertificateError, verify_entry_proof, proof, snapshots, chain_id, verify
            )

    def test_a_path_proves_its_own_place_only(self) -> None:
        first, second = self.proof(0), self.proof(1)
        for forged in (
            replace(first, transaction=second.transaction),
            replace(first, path=second.path),
            replace(first, path=()),
            replace(first, position=second.position),
            replace(first, merkle_root=bytes(32)),
            replace(first, entry_count=4),
        ):
            with self.assertRaisesRegex(CertificateError, "Merkle path"):
                verify_entry_proof(forged, self.snapshots, self.chain_id, verify)

    @given(st.binary(max_size=300))
    def test_random_bytes(self, raw: bytes) -> None:
        self.assertRaises(CodecError, decode_entry_proof, raw)
