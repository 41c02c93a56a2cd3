"""Heartbeats: what is signed, who may attest, when one is verified."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.test_active_set import member, set_of
from tests.support.ledger_kit import key
from timecoin import params
from timecoin.codec import CodecError, decode, encode
from timecoin.crypto.keys import verify
from timecoin.masternodes.active_set import ActiveSet, Tier
from timecoin.masternodes.heartbeat import (
    MAX_ATTESTED_BYTES,
    Attestation,
    Attested,
    Heartbeat,
    HeartbeatError,
    attestation_statement,
    check_attested,
    heartbeat_hash,
    heartbeat_statement,
    needed_attestations,
    needed_for,
    sign_attestation,
    sign_heartbeat,
    witnesses,
)

replace = msgspec.structs.replace

CHAIN = b"\x03\0\0\0" + bytes(8)
OTHER_CHAIN = b"\x03\0\0\0" + bytes(7) + b"\1"
NUMBERS = range(1, 11)
TEN = set_of(*(member(number, 10) for number in NUMBERS))
KEYS = {key(number).public: key(number) for number in range(1, 30)}


def beat(number: int, sequence: int = 7) -> Heartbeat:
    return sign_heartbeat(key(number), CHAIN, sequence, 4, b"t" * 32, 1_800_000_000_000)


def attest(heartbeat: Heartbeat, snapshot: ActiveSet, count: int) -> Attested:
    hash_ = heartbeat_hash(CHAIN, heartbeat)
    drawn = sorted(witnesses(hash_, heartbeat.pubkey, snapshot)[:count])
    return Attested(
        heartbeat, tuple(sign_attestation(KEYS[pubkey], CHAIN, hash_) for pubkey in drawn)
    )


class WitnessTests(SynchronousTestCase):
    def test_six_others_are_drawn_by_the_hash_of_the_heartbeat(self) -> None:
        drawn = {witnesses(heartbeat_hash(CHAIN, beat(1, n)), key(1).public, TEN) for n in range(9)}
        self.assertGreater(len(drawn), 1)
        for found in drawn:
            self.assertEqual(len(set(found)), params.WITNESSES)
            self.assertNotIn(key(1).public, found)

    def test_free_members_are_no_witnesses(self) -> None:
        mixed = set_of(
            member(1, 10), member(2, 10), *(member(n, 1, Tier.FREE) for n in range(3, 9))
        )
        found = witnesses(heartbeat_hash(CHAIN, beat(1)), key(1).public, mixed)
        self.assertEqual(found, (key(2).public,))

    def test_every_member_is_drawn_about_as_often(self) -> None:
        counts = dict.fromkeys(TEN.weights, 0)
        for sequence in range(900):
            hash_ = heartbeat_hash(CHAIN, beat(20, sequence))
            for pubkey in witnesses(hash_, key(20).public, TEN):
                counts[pubkey] += 1
        self.assertTrue(all(480 < count < 600 for count in counts.values()), counts)


class NeededTests(SynchronousTestCase):
    def test_the_numbers_of_the_protocol(self) -> None:
        needed = {count: needed_attestations(count) for count in (1, 2, 3, 4, 5, 6, 100)}
        self.assertEqual(needed, {1: 0, 2: 1, 3: 1, 4: 2, 5: 3, 6: 3, 100: 3})

    def test_a_third_of_the_members_cannot_stop_a_heartbeat(self) -> None:
        for count in range(1, 200):
            self.assertLessEqual(needed_attestations(count), count - 1 - count // 3)

    def test_who_is_not_staked_is_counted_in(self) -> None:
        three = set_of(member(1, 10), member(2, 10), member(3, 10), member(4, 1, Tier.FREE))
        self.assertEqual(needed_for(key(1).public, three), 1)
        self.assertEqual(needed_for(key(4).public, three), 2)
        self.assertEqual(needed_for(key(9).public, three), 2)


class VerifiedTests(SynchronousTestCase):
    def refused(self, attested: Attested, reason: str, snapshot: ActiveSet = TEN) -> None:
        with self.assertRaisesRegex(HeartbeatError, reason):
            check_attested(attested, snapshot, CHAIN, verify)

    def test_with_enough_attestations(self) -> None:
        for count in range(3, 7):
            check_attested(attest(beat(1), TEN, count), TEN, CHAIN, verify)

    def test_a_joiner_is_verified_by_members(self) -> None:
        check_attested(attest(beat(20), TEN, 3), TEN, CHAIN, verify)

    def test_one_alone_needs_nobody(self) -> None:
        check_attested(Attested(beat(1), ()), set_of(member(1, 10)), CHAIN, verify)

    def test_too_few(self) -> None:
        self.refused(attest(beat(1), TEN, 2), "too few")

    def test_one_witness_counts_once(self) -> None:
        good = attest(beat(1), TEN, 1)
        self.refused(Attested(good.heartbeat, good.attestations * 3), "ascending")

    def test_forged_heartbeat(self) -> None:
        unsigned = replace(beat(1), signature=bytes(64))
        self.refused(attest(unsigned, TEN, 3), "bad signature of a heartbeat")

    def test_a_changed_field_breaks_the_signature(self) -> None:
        heartbeat = beat(1)
        for changed in (
            replace(heartbeat, sequence=8),
            replace(heartbeat, tip_height=5),
            replace(heartbeat, tip_hash=b"u" * 32),
            replace(heartbeat, timestamp=heartbeat.timestamp + 1),
        ):
            self.refused(attest(changed, TEN, 3), "bad signature of a heartbeat")

    def test_another_chain(self) -> None:
        good = attest(beat(1), TEN, 3)
        with self.assertRaises(HeartbeatError):
            check_attested(good, TEN, OTHER_CHAIN, verify)

    def test_self_made_witnesses(self) -> None:
        heartbeat = beat(1)
        hash_ = heartbeat_hash(CHAIN, heartbeat)
        own = sorted((key(number) for number in (21, 22, 23)), key=lambda k: k.public)
        made = Attested(heartbeat, tuple(sign_attestation(k, CHAIN, hash_) for k in own))
        self.refused(made, "no witness")

    def test_nobody_attests_to_himself(self) -> None:
        heartbeat = beat(1)
        hash_ = heartbeat_hash(CHAIN, heartbeat)
        good = attest(heartbeat, TEN, 2).attestations
        own = sign_attestation(key(1), CHAIN, hash_)
        made = sorted((*good, own), key=lambda found: found.witness)
        self.refused(Attested(heartbeat, tuple(made)), "no witness")

    def test_a_member_that_was_not_drawn(self) -> None:
        heartbeat = beat(1)
        hash_ = heartbeat_hash(CHAIN, heartbeat)
        drawn = witnesses(hash_, heartbeat.pubkey, TEN)
        idle = next(p for p in TEN.weights if p not in drawn and p != heartbeat.pubkey)
        made = [*attest(heartbeat, TEN, 2).attestations, sign_attestation(KEYS[idle], CHAIN, hash_)]
        made.sort(key=lambda found: found.witness)
        self.refused(Attested(heartbeat, tuple(made)), "no witness")

    def test_an_attestation_to_another_heartbeat(self) -> None:
        good = attest(beat(1), TEN, 3)
        first = good.attestations[0]
        other = sign_attestation(KEYS[first.witness], CHAIN, heartbeat_hash(CHAIN, beat(1, 8)))
        self.refused(
            Attested(good.heartbeat, (other, *good.attestations[1:])), "bad signature of an att"
        )


class WireTests(SynchronousTestCase):
    def test_bounds(self) -> None:
        most = attest(beat(1), TEN, 6)
        self.assertLess(len(encode(most)), MAX_ATTESTED_BYTES)
        self.assertEqual(decode(encode(most), Attested, MAX_ATTESTED_BYTES), most)
        seven = Attested(most.heartbeat, (*most.attestations, most.attestations[0]))
        with self.assertRaises(CodecError):
            decode(encode(seven), Attested, 2 * MAX_ATTESTED_BYTES)

    def test_statements_are_of_their_own_tag(self) -> None:
        self.assertTrue(heartbeat_statement(CHAIN, beat(1)).startswith(params.TAG_HEARTBEAT))
        statement = attestation_statement(CHAIN, bytes(32))
        self.assertTrue(statement.startswith(params.TAG_ATTESTATION))

    @given(st.binary(max_size=300))
    def test_garbage_is_refused_and_nothing_else_happens(self, data: bytes) -> None:
        for kind in (Heartbeat, Attestation, Attested):
            try:
                value: object = decode(data, kind, MAX_ATTESTED_BYTES)
            except CodecError:
                continue
            self.assertEqual(encode(value), data)
