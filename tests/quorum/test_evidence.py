"""Evidence: the four offences, every way to be refused, and nothing forged gets through."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.quorum.members import CHAIN_ID, KEYS, active_set
from tests.quorum.proofs import signed_twice, spend, vote_for, voted_twice
from timecoin.codec import CodecError, encode
from timecoin.crypto.keys import SigningKey, verify
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.evidence import (
    MAX_EVIDENCE_BYTES,
    ConflictingVotes,
    DoubleSignature,
    Evidence,
    EvidenceError,
    Offence,
    SnapshotsUnknown,
    check_evidence,
    conflicting_votes,
    decode_evidence,
    read_evidence,
)
from timecoin.quorum.statement import NIL, VoteKind

replace = msgspec.structs.replace

OTHER_CHAIN = b"\x01" + CHAIN_ID[1:]
CULPRIT = KEYS[2]


class Kept:
    """The same four members at every height up to the tip, 20; ``since``: kept from there on."""

    def __init__(self, members: ActiveSet | None = None, since: int = 0) -> None:
        self.members = members or active_set({0: 100, 1: 100, 2: 100, 3: 100})
        self.since = since
        self.changes: dict[int, ActiveSet] = {}

    def active_set(self, height: int) -> ActiveSet | None:
        if not self.since <= height <= 20:
            return None
        return self.changes.get(height, self.members)


def no_verify(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    raise AssertionError("a signature was checked before the cheap rules")


class EvidenceCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept = Kept()

    def check(self, evidence: Evidence, chain_id: bytes = CHAIN_ID) -> Offence:
        return check_evidence(evidence, self.kept, chain_id, verify)

    def refuse(self, evidence: Evidence, words: str) -> None:
        """Refused with ``words``, and before any signature is looked at."""
        error = self.assertRaises(
            EvidenceError, check_evidence, evidence, self.kept, CHAIN_ID, no_verify
        )
        self.assertIn(words, str(error))

    def refuse_signature(self, evidence: Evidence, chain_id: bytes = CHAIN_ID) -> None:
        error = self.assertRaises(EvidenceError, self.check, evidence, chain_id)
        self.assertIn("bad signature", str(error))


class DoubleSignatureTests(EvidenceCase):
    def changed(self, evidence: Evidence, **fields: object) -> Evidence:
        return Evidence(replace(evidence.proof, **fields))

    def double(self, evidence: Evidence) -> DoubleSignature:
        assert isinstance(evidence.proof, DoubleSignature)
        return evidence.proof

    def test_each_kind(self) -> None:
        for kind in VoteKind:
            evidence = signed_twice(CULPRIT, CHAIN_ID, 9, kind)
            self.assertEqual(self.check(evidence), Offence(CULPRIT.public, 9))

    def test_a_vote_for_no_block_and_one_for_a_block(self) -> None:
        for kind in (VoteKind.PREPARE, VoteKind.PRECOMMIT):
            self.check(signed_twice(CULPRIT, CHAIN_ID, 9, kind, (b"a" * 32, NIL)))
        proposals = signed_twice(CULPRIT, CHAIN_ID, 9, VoteKind.PROPOSAL, (b"a" * 32, NIL))
        self.refuse(proposals, "no block")

    def test_one_block_is_no_offence(self) -> None:
        evidence = signed_twice(CULPRIT, CHAIN_ID, 9)
        proof = self.double(evidence)
        self.refuse(self.changed(evidence, second=proof.first), "ascending")

    def test_one_order_only(self) -> None:
        evidence = signed_twice(CULPRIT, CHAIN_ID, 9)
        proof = self.double(evidence)
        swapped = self.changed(evidence, first=proof.second, second=proof.first)
        self.refuse(swapped, "ascending")
        other_way = signed_twice(CULPRIT, CHAIN_ID, 9, hashes=(b"b" * 32, b"a" * 32))
        self.assertEqual(other_way, evidence)

    def test_unknown_kind(self) -> None:
        self.refuse(self.changed(signed_twice(CULPRIT, CHAIN_ID, 9), kind=3), "kind")

    def test_votes_have_no_fields_of_proposals(self) -> None:
        evidence = signed_twice(CULPRIT, CHAIN_ID, 9)
        first = self.double(evidence).first
        self.refuse(self.changed(evidence, first=replace(first, slot=1)), "fields")
        self.refuse(self.changed(evidence, first=replace(first, valid_round=1)), "fields")

    def test_every_field_is_signed(self) -> None:
        for kind in VoteKind:
            evidence = signed_twice(CULPRIT, CHAIN_ID, 9, kind)
            self.refuse_signature(evidence, OTHER_CHAIN)
            self.refuse_signature(self.changed(evidence, height=10))
            self.refuse_signature(self.changed(evidence, round=3))
            self.refuse_signature(self.changed(evidence, signer=KEYS[1].public))
            second = replace(self.double(evidence).second, block_hash=b"c" * 32)
            self.refuse_signature(self.changed(evidence, second=second))
        proposals = signed_twice(CULPRIT, CHAIN_ID, 9, VoteKind.PROPOSAL)
        for field in ("slot", "valid_round"):
            first = replace(self.double(proposals).first, **{field: 1})
            self.refuse_signature(self.changed(proposals, first=first))

    def test_a_prepare_is_no_precommit(self) -> None:
        prepares = signed_twice(CULPRIT, CHAIN_ID, 9, VoteKind.PREPARE)
        self.refuse_signature(self.changed(prepares, kind=int(VoteKind.PRECOMMIT)))

    def test_who_was_no_voter(self) -> None:
        self.refuse(signed_twice(KEYS[7], CHAIN_ID, 9), "no voter")
        self.kept.members = active_set({0: 100, 1: 100}, free=[2])
        self.refuse(signed_twice(CULPRIT, CHAIN_ID, 9), "no voter")

    def test_who_has_just_left_is_a_voter(self) -> None:
        left = active_set({0: 100, 1: 100, 3: 100})
        self.kept.changes = {8: left, 9: left, 10: left}
        self.check(signed_twice(CULPRIT, CHAIN_ID, 9))
        self.refuse(signed_twice(CULPRIT, CHAIN_ID, 10), "no voter")

    def test_snapshots_that_are_not_at_hand(self) -> None:
        self.kept.since = 8
        for height in (0, 9, 22, 2**64 - 1):
            with self.assertRaises(SnapshotsUnknown):
                self.check(signed_twice(CULPRIT, CHAIN_ID, height))
        self.check(signed_twice(CULPRIT, CHAIN_ID, 10))
        self.check(signed_twice(CULPRIT, CHAIN_ID, 21))


class ConflictingVotesTests(EvidenceCase):
    def votes(self, evidence: Evidence) -> ConflictingVotes:
        assert isinstance(evidence.proof, ConflictingVotes)
        return evidence.proof

    def changed(self, evidence: Evidence, **fields: object) -> Evidence:
        """``evidence`` with other fields of its first vote."""
        proof = self.votes(evidence)
        return Evidence(replace(proof, first=replace(proof.first, **fields)))

    def test_proved(self) -> None:
        self.assertEqual(self.check(voted_twice(CULPRIT, CHAIN_ID)), Offence(CULPRIT.public, 9))

    def test_the_later_anchor_completes_it(self) -> None:
        for anchors in ((9, 12), (12, 9)):
            self.assertEqual(self.check(voted_twice(CULPRIT, CHAIN_ID, anchors)).height, 12)

    def test_two_leaves_of_one_vote(self) -> None:
        batch = [spend(1, 10), spend(1, 11)]
        both = [vote_for(CULPRIT, CHAIN_ID, 9, batch, leaf) for leaf in (0, 1)]
        self.check(conflicting_votes(CULPRIT.public, *both))

    def test_transactions_that_do_not_conflict(self) -> None:
        both = [vote_for(CULPRIT, CHAIN_ID, 9, [spend(point, 10)], 0) for point in (1, 2)]
        self.refuse(conflicting_votes(CULPRIT.public, *both), "do not conflict")

    def test_one_transaction_twice(self) -> None:
        both = [vote_for(CULPRIT, CHAIN_ID, anchor, [spend(1, 10)], 0) for anchor in (8, 9)]
        self.refuse(conflicting_votes(CULPRIT.public, *both), "ascending")

    def test_one_order_only(self) -> None:
        proof = self.votes(voted_twice(CULPRIT, CHAIN_ID))
        swapped = Evidence(replace(proof, first=proof.second, second=proof.first))
        self.refuse(swapped, "ascending")

    def test_a_rejected_leaf(self) -> None:
        batch = [spend(1, 10), spend(2, 11)]
        rejected = vote_for(CULPRIT, CHAIN_ID, 9, batch, 0, rejects=(0,))
        accepted = vote_for(CULPRIT, CHAIN_ID, 9, [spend(1, 12)], 0)
        self.refuse(conflicting_votes(CULPRIT.public, rejected, accepted), "rejects")

    def test_leaves_and_paths(self) -> None:
        good = voted_twice(CULPRIT, CHAIN_ID)
        first = self.votes(good).first
        self.refuse(self.changed(good, leaf=0), "no leaf of the root")
        self.refuse(self.changed(good, path=first.path[::-1]), "no leaf of the root")
        self.refuse(self.changed(good, path=first.path[:1]), "no leaf of the root")
        self.refuse(self.changed(good, leaf=3), "leaf 3 of 3")
        self.refuse(self.changed(good, leaf_count=65, reject_bitmap=bytes(9)), "leaf 1 of 65")
        self.refuse(self.changed(good, leaf_count=0), "leaf 1 of 0")
        self.refuse(self.changed(good, reject_bitmap=b"\x00\x00"), "bitmap")
        self.refuse(self.changed(good, reject_bitmap=b"\x80"), "bitmap")

    def test_witnesses_would_give_one_offence_many_proofs(self) -> None:
        good = voted_twice(CULPRIT, CHAIN_ID)
        tx = replace(self.votes(good).first.tx, witnesses=((b"x",),))
        self.refuse(self.changed(good, tx=tx), "witnesses")

    def test_every_field_is_signed(self) -> None:
        good = voted_twice(CULPRIT, CHAIN_ID)
        self.refuse_signature(good, OTHER_CHAIN)
        self.refuse_signature(self.changed(good, anchor=10))
        self.refuse_signature(self.changed(good, reject_bitmap=b"\x01"))
        self.refuse_signature(self.changed(good, signature=bytes(64)))
        stranger = replace(self.votes(good), signer=KEYS[1].public)
        self.refuse_signature(Evidence(stranger))

    def test_who_was_no_voter(self) -> None:
        self.refuse(voted_twice(KEYS[7], CHAIN_ID), "no voter")

    def test_who_left_within_five_blocks_is_a_voter(self) -> None:
        left = active_set({0: 100, 1: 100, 3: 100})
        self.kept.changes = dict.fromkeys(range(5, 21), left)
        self.check(voted_twice(CULPRIT, CHAIN_ID, (8, 8)))
        self.refuse(voted_twice(CULPRIT, CHAIN_ID, (8, 9)), "no voter")

    def test_snapshots_that_are_not_at_hand(self) -> None:
        self.kept.since = 5
        for anchors in ((8, 12), (12, 8), (12, 21)):
            with self.assertRaises(SnapshotsUnknown):
                self.check(voted_twice(CULPRIT, CHAIN_ID, anchors))
        self.check(voted_twice(CULPRIT, CHAIN_ID, (9, 20)))


class BytesTests(EvidenceCase):
    samples = (
        signed_twice(CULPRIT, CHAIN_ID, 9, VoteKind.PROPOSAL),
        signed_twice(CULPRIT, CHAIN_ID, 9, VoteKind.PRECOMMIT),
        voted_twice(CULPRIT, CHAIN_ID),
    )

    def test_round_trip(self) -> None:
        for sample in self.samples:
            self.assertEqual(decode_evidence(sample.encoded), sample)
            self.assertEqual(
                read_evidence(sample.encoded, self.kept, CHAIN_ID, verify),
                Offence(CULPRIT.public, 9),
            )

    def test_the_largest_fits(self) -> None:
        output = replace(spend(1, 2).outputs[0], lock_script=bytes(99_000))
        batches = []
        for number in range(2):
            batch = [spend(1, 100 + leaf) for leaf in range(64)]
            batch[number] = replace(batch[number], outputs=(output,), lock_time=number)
            batches.append(vote_for(SigningKey(bytes(32)), CHAIN_ID, 9, batch, number))
        encoded = conflicting_votes(bytes(32), *batches).encoded
        self.assertLess(len(encoded), MAX_EVIDENCE_BYTES - 1_000)
        decode_evidence(encoded)

    def test_what_is_no_evidence(self) -> None:
        for data in (b"", b"\x90", encode((2, 0)), bytes(MAX_EVIDENCE_BYTES + 1)):
            with self.assertRaises(EvidenceError):
                read_evidence(data, self.kept, CHAIN_ID, verify)

    @given(st.sampled_from(samples), st.data())
    def test_mutated_bytes_prove_nothing(self, sample: Evidence, data: st.DataObject) -> None:
        """One changed bit: undecodable or refused, as every byte is signed or rules apply to it."""
        mutated = bytearray(sample.encoded)
        bit = data.draw(st.integers(0, 8 * len(mutated) - 1))
        mutated[bit // 8] ^= 1 << bit % 8
        with self.assertRaises(EvidenceError):
            read_evidence(bytes(mutated), self.kept, CHAIN_ID, verify)

    @given(st.binary(max_size=400))
    def test_random_bytes(self, data: bytes) -> None:
        try:
            value = decode_evidence(data)
        except CodecError:
            return
        self.assertEqual(value.encoded, data)
