"""Proofs of finality by RPC: made by one node, checked by another."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rpc.methods.net import RpcFailure, RpcTestCase
from timecoin.chain.entryproof import decode_entry_proof
from timecoin.codec import encode
from timecoin.finality.proof import decode_proof
from timecoin.rpc.errors import (
    DECODE_ERROR,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    NOT_FOUND,
    TYPE_ERROR,
)


class ProofTests(RpcTestCase):
    """Three validators of weight 100; the second one checks."""

    count = 3

    def setUp(self) -> None:
        super().setUp()
        self.tx = self.net.payment(0)
        self.other = self.net.payment(2)
        self.txid = self.tx.txid.hex()
        for tx in (self.tx, self.other):
            self.call("sendrawtransaction", tx.encoded.hex())

    def check(self, proof: object) -> Any:
        return self.net.nodes[1].call("verifyfinalityproof", proof)

    def waiting(self) -> Any:
        self.net.run(1)
        return self.call("getfinalityproof", self.txid)

    def archived(self) -> Any:
        self.net.run_to_height(2)
        self.net.run(1)
        return self.call("getfinalityproof", self.txid)

    def test_while_it_waits(self) -> None:
        shown = self.waiting()
        self.assertEqual((shown["txid"], shown["type"]), (self.txid, "certificate"))
        self.assertEqual(shown["transaction"], self.tx.encoded.hex())
        verdict = self.check(shown["proof"])
        self.assertIs(verdict["valid"], True)
        self.assertEqual((verdict["txid"], verdict["height"]), (self.txid, 0))
        self.assertGreaterEqual(verdict["weight"], 200)
        self.assertGreaterEqual(verdict["receipts_weight"], 200)
        self.assertEqual((verdict["quorum"], verdict["reason"]), (200, None))
        self.assertEqual(self.check(shown), verdict, "the whole object is taken as well")
        proof = decode_proof(bytes.fromhex(shown["proof"]))
        self.assertEqual(len(shown["votes"]), len(proof.votes))
        self.assertEqual(shown["path"], [node.hex() for node in proof.path])

    def test_once_it_is_archived(self) -> None:
        shown = self.archived()
        self.assertEqual((shown["txid"], shown["type"]), (self.txid, "entry"))
        self.assertEqual((shown["height"], shown["entry_count"]), (1, 2))
        self.assertEqual(shown["blockhash"], self.call("getblockhash", 1))
        verdict = self.check(shown)
        self.assertIs(verdict["valid"], True)
        self.assertEqual((verdict["txid"], verdict["height"]), (self.txid, 1))
        self.assertEqual(verdict["weight"], self.call("getblock", 1)["signed_weight"])
        self.assertEqual((verdict["type"], verdict["quorum"]), ("entry", 200))

    def test_another_transaction_in_its_place(self) -> None:
        proof = decode_proof(bytes.fromhex(self.waiting()["proof"]))
        self.lacks(msgspec.structs.replace(proof, transaction=self.other), "Merkle path")
        self.lacks(msgspec.structs.replace(proof, votes=proof.votes[:1]), "no quorum of votes")
        self.lacks(msgspec.structs.replace(proof, receipts=()), "no quorum of receipts")
        for unknown in (1, 2**63, 2**64 - 1):
            self.lacks(msgspec.structs.replace(proof, anchor=unknown), "not known here")
            self.lacks(msgspec.structs.replace(proof, tip=unknown), "not known here")

    def test_entries_that_are_none(self) -> None:
        proof = decode_entry_proof(bytes.fromhex(self.archived()["proof"]))
        replace = msgspec.structs.replace
        forged = replace(self.tx, witnesses=((b"", b""),))
        self.lacks(replace(proof, transaction=self.other), "Merkle path")
        self.lacks(replace(proof, transaction=forged), "Merkle path")
        self.lacks(replace(proof, position=1 - proof.position), "Merkle path")
        self.lacks(replace(proof, entry_count=3), "Merkle path")
        self.lacks(replace(proof, header=replace(proof.header, seed=bytes(32))), "another block")
        self.lacks(
            replace(proof, certificate=replace(proof.certificate, signatures=())), "no quorum"
        )
        first, *rest = proof.certificate.signatures
        bad = (replace(first, signature=bytes(64)), *rest)
        self.lacks(
            replace(proof, certificate=replace(proof.certificate, signatures=bad)), "bad signature"
        )
        for unknown in (0, 9, 2**64 - 1):
            header = replace(proof.header, height=unknown)
            self.lacks(replace(proof, header=header), "")

    def lacks(self, proof: object, reason: str) -> None:
        """A node finds ``proof`` wrong and says why."""
        verdict = self.check(encode(proof).hex())
        self.assertIs(verdict["valid"], False)
        self.assertIn(reason, verdict["reason"])
        self.assertEqual((verdict["weight"], verdict["quorum"]), (0, 0))

    def test_not_final(self) -> None:
        self.refused(NOT_FOUND, "getfinalityproof", self.txid)
        self.refused(NOT_FOUND, "getfinalityproof", "00" * 32)
        self.archived()
        reward = self.call("getblock", 1)["tx"][0]
        failure = self.refused(NOT_FOUND, "getfinalityproof", reward)
        self.assertIn("reward", failure.message)

    def test_refused(self) -> None:
        self.refused(INVALID_PARAMETER, "getfinalityproof", "00")
        self.refused(TYPE_ERROR, "getfinalityproof", 5)
        self.refused(INVALID_PARAMS, "getfinalityproof")
        for text in ("", "0", "zz", "00", self.tx.encoded.hex()):
            self.refused(DECODE_ERROR, "verifyfinalityproof", text)
        self.refused(TYPE_ERROR, "verifyfinalityproof", 5)
        self.refused(TYPE_ERROR, "verifyfinalityproof", {"proof": 5})
        self.refused(INVALID_PARAMETER, "verifyfinalityproof", {})
        self.refused(INVALID_PARAMS, "verifyfinalityproof")


class MutationTests(RpcTestCase):
    """No changed bit of a proof leaves it valid for another transaction."""

    @settings(max_examples=60)
    @given(st.data())
    def test_mutated(self, drawn: st.DataObject) -> None:
        kind = drawn.draw(st.sampled_from(("waiting", "archived")))
        raw = bytearray(self.proofs()[kind])
        raw[drawn.draw(st.integers(0, len(raw) - 1))] ^= drawn.draw(st.integers(1, 255))
        try:
            verdict = self.call("verifyfinalityproof", raw.hex())
        except RpcFailure as failure:
            self.assertEqual(failure.code, DECODE_ERROR)
        else:
            if verdict["valid"]:  # a txid does not cover witnesses, and votes name the txid
                self.assertEqual(kind, "waiting")
                self.assertEqual(verdict["txid"], self.net.payment(0).txid.hex())

    @given(st.binary(max_size=200))
    def test_random_bytes(self, raw: bytes) -> None:
        self.refused(DECODE_ERROR, "verifyfinalityproof", raw.hex())

    def proofs(self) -> dict[str, bytes]:
        """Both kinds, made once."""
        if not hasattr(self, "_proofs"):
            tx = self.net.payment(0)
            self.call("sendrawtransaction", tx.encoded.hex())
            self.net.run(1)
            first = self.call("getfinalityproof", tx.txid.hex())
            self.net.run_to_height(1)
            second = self.call("getfinalityproof", tx.txid.hex())
            self._proofs = {
                "waiting": bytes.fromhex(first["proof"]),
                "archived": bytes.fromhex(second["proof"]),
            }
        return self._proofs
