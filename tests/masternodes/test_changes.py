"""Changes of the active set: what is signed, and that only canonical bytes are read."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.test_heartbeat import CHAIN, OTHER_CHAIN, TEN, attest, beat
from tests.support.ledger_kit import key
from timecoin import params
from timecoin.codec import CodecError, encode
from timecoin.crypto import vrf
from timecoin.crypto.keys import verify
from timecoin.masternodes.changes import (
    MAX_CHANGE_BYTES,
    Change,
    Removal,
    decode_change,
    join_statement,
    leave_statement,
    sign_join,
    sign_leave,
    vrf_possession,
)

replace = msgspec.structs.replace

STAKE = b"s" * 36
VRF_SEED = b"v" * 32


def examples() -> tuple[Change, ...]:
    attested = attest(beat(1), TEN, params.WITNESSES)
    return (
        sign_join(key(1), CHAIN, attested, stake=STAKE, vrf_seed=VRF_SEED),
        sign_join(key(1), CHAIN, attested, payout_hash=b"p" * 20),
        sign_join(key(1), CHAIN, attested),
        sign_leave(key(2), CHAIN, key(1).public, 7),
        Removal(key(1).public),
    )


class CodingTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        for change in examples():
            data = encode(change)
            self.assertEqual(decode_change(data), change)
            self.assertLessEqual(len(data), MAX_CHANGE_BYTES)

    def test_every_kind_names_its_masternode(self) -> None:
        self.assertEqual({change.pubkey for change in examples()}, {key(1).public})

    def test_other_bytes(self) -> None:
        for data in (b"", encode((4, bytes(32))), encode(()), encode(examples()[3]) + b"\0"):
            with self.assertRaises(CodecError):
                decode_change(data)
        with self.assertRaisesRegex(CodecError, "exceed the limit"):
            decode_change(bytes(MAX_CHANGE_BYTES + 1))

    @given(st.binary(max_size=300))
    def test_random_bytes(self, data: bytes) -> None:
        try:
            change = decode_change(data)
        except CodecError:
            return
        self.assertEqual(encode(change), data)

    @given(st.sampled_from(examples()), st.data())
    def test_damaged_bytes(self, change: Change, data: st.DataObject) -> None:
        damaged = bytearray(encode(change))
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
        try:
            found = decode_change(bytes(damaged))
        except CodecError:
            return
        self.assertNotEqual(found, change)
        self.assertEqual(encode(found), bytes(damaged))


class StatementTests(SynchronousTestCase):
    def test_a_join_covers_chain_heartbeat_and_claim(self) -> None:
        statements = {
            join_statement(CHAIN, beat(1)),
            join_statement(OTHER_CHAIN, beat(1)),
            join_statement(CHAIN, beat(2)),
            join_statement(CHAIN, beat(1, 8)),
            join_statement(CHAIN, beat(1), stake=STAKE),
            join_statement(CHAIN, beat(1), stake=STAKE[1:] + b"t"),
            join_statement(CHAIN, beat(1), payout_hash=b"p" * 20),
        }
        self.assertEqual(len(statements), 7)

    def test_a_join_does_not_cover_attestations(self) -> None:
        few, many = (
            sign_join(key(1), CHAIN, attest(beat(1), TEN, count), stake=STAKE, vrf_seed=VRF_SEED)
            for count in (3, 6)
        )
        self.assertEqual(few.signature, many.signature)

    def test_the_vrf_key_is_bound_to_chain_and_voting_key(self) -> None:
        inputs = {
            vrf_possession(CHAIN, key(1).public),
            vrf_possession(OTHER_CHAIN, key(1).public),
            vrf_possession(CHAIN, key(2).public),
        }
        self.assertEqual(len(inputs), 3)

    def test_signatures_and_proof_verify(self) -> None:
        join = sign_join(key(1), CHAIN, attest(beat(1), TEN, 3), stake=STAKE, vrf_seed=VRF_SEED)
        statement = join_statement(CHAIN, beat(1), STAKE)
        self.assertTrue(verify(key(1).public, statement, join.signature))
        possession = vrf_possession(CHAIN, key(1).public)
        self.assertIsNotNone(vrf.verify(vrf.vrf_public(VRF_SEED), possession, join.vrf_proof))
        leave = sign_leave(key(2), CHAIN, key(1).public, 7)
        self.assertTrue(
            verify(key(2).public, leave_statement(CHAIN, key(1).public, 7), leave.signature)
        )

    def test_a_leave_is_for_one_membership_on_one_chain(self) -> None:
        statements = {
            leave_statement(CHAIN, key(1).public, 7),
            leave_statement(CHAIN, key(1).public, 8),
            leave_statement(CHAIN, key(2).public, 7),
            leave_statement(OTHER_CHAIN, key(1).public, 7),
        }
        self.assertEqual(len(statements), 4)
