"""Certificates: what is accepted, and every way to be refused."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.quorum.members import (
    CHAIN_ID,
    KEYS,
    active_set,
    batch_certificate,
    block_certificate,
    receipt_set,
)
from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.crypto.keys import verify
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    BlockCertificate,
    CertificateError,
    Receipt,
    ReceiptSet,
    check_batch_certificate,
    check_precommit_certificate,
    check_prepare_quorum,
    check_receipt_set,
)
from timecoin.quorum.statement import (
    precommit_statement,
    prepare_statement,
    stored_statement,
    vote_statement,
)

replace = msgspec.structs.replace

LEAVES = (b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
FOUR = active_set({0: 100, 1: 100, 2: 100, 3: 100})
OTHER_CHAIN = b"\x01" + CHAIN_ID[1:]


def no_verify(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    raise AssertionError("a signature was checked before the cheap rules")


class BatchCertificateTests(SynchronousTestCase):
    def check(
        self, certificate: BatchCertificate, *snapshots: ActiveSet, chain_id: bytes = CHAIN_ID
    ) -> tuple[int, ...]:
        return check_batch_certificate(certificate, snapshots or (FOUR,), chain_id, verify)

    def refuse(self, certificate: BatchCertificate, words: str, *snapshots: ActiveSet) -> None:
        """Refused with ``words``, and before any signature is looked at."""
        error = self.assertRaises(
            CertificateError,
            check_batch_certificate,
            certificate,
            snapshots or (FOUR,),
            CHAIN_ID,
            no_verify,
        )
        self.assertIn(words, str(error))

    def refuse_signature(self, certificate: BatchCertificate, chain_id: bytes = CHAIN_ID) -> None:
        error = self.assertRaises(CertificateError, self.check, certificate, chain_id=chain_id)
        self.assertIn("bad signature", str(error))

    def test_all_leaves(self) -> None:
        self.assertEqual(self.check(batch_certificate(LEAVES, (0, 1, 2))), (0, 1, 2))

    def test_full_batch_of_64(self) -> None:
        leaves = [bytes([number]) * 32 for number in range(64)]
        self.assertEqual(self.check(batch_certificate(leaves, (1, 2, 3))), tuple(range(64)))

    def test_each_leaf_by_its_own_voters(self) -> None:
        certificate = batch_certificate(LEAVES, (0, 1, 2, 3), {0: (0, 1), 1: (1,), 2: (2,)})
        self.assertEqual(self.check(certificate), (0, 2))

    def test_no_leaf(self) -> None:
        self.refuse(batch_certificate(LEAVES[:1], (0, 1, 2), {2: (0,)}), "no leaf")
        self.refuse(batch_certificate(LEAVES, (0, 1)), "no leaf")
        self.refuse(batch_certificate(LEAVES, ()), "no leaf")

    def test_one_unit_below_two_thirds(self) -> None:
        certificate = batch_certificate(LEAVES, (0, 1))
        exact = active_set({0: 100, 1: 100, 2: 100})
        below = active_set({0: 100, 1: 99, 2: 101})
        self.assertEqual(self.check(certificate, exact), (0, 1, 2))
        self.refuse(certificate, "no leaf", below)

    def test_quorum_in_every_snapshot(self) -> None:
        grown = active_set({0: 100, 1: 100, 2: 100, 3: 100, 4: 1000})
        certificate = batch_certificate(LEAVES, (0, 1, 2, 4))
        self.assertEqual(self.check(certificate, FOUR, grown), (0, 1, 2))
        self.refuse(batch_certificate(LEAVES, (0, 1, 2)), "no leaf", FOUR, grown)
        self.refuse(batch_certificate(LEAVES, (0, 1, 4)), "no leaf", FOUR, grown)

    def test_no_snapshot(self) -> None:
        certificate = batch_certificate(LEAVES, (0, 1, 2))
        self.assertRaises(
            CertificateError, check_batch_certificate, certificate, (), CHAIN_ID, verify
        )

    def test_duplicate_signer(self) -> None:
        good = batch_certificate(LEAVES, (0, 1, 2))
        self.refuse(replace(good, votes=(good.votes[0], *good.votes)), "ascending")
        self.refuse(replace(good, votes=(good.votes[0],) * 3), "ascending")

    def test_voters_out_of_order(self) -> None:
        good = batch_certificate(LEAVES, (0, 1, 2))
        self.refuse(replace(good, votes=good.votes[::-1]), "ascending")

    def test_unknown_voter(self) -> None:
        good = batch_certificate(LEAVES, (0, 1, 2, 3))
        self.refuse(
            replace(good, votes=(*good.votes[:3], replace(good.votes[3], voter=4))), "unknown"
        )
        free = active_set({0: 100, 1: 100, 2: 100}, free=[3])
        self.refuse(good, "unknown", free)

    def test_leaves(self) -> None:
        self.refuse(batch_certificate((), (0, 1, 2)), "0 leaves")
        leaves = [number.to_bytes(32, "little") for number in range(65)]
        self.refuse(batch_certificate(leaves, (0, 1, 2)), "65 leaves")
        self.refuse(batch_certificate((*LEAVES, LEAVES[0]), (0, 1, 2)), "duplicate leaf")

    def test_bitmaps(self) -> None:
        good = batch_certificate(LEAVES, (0, 1, 2))
        for bitmap in (b"", b"\x00\x00", b"\x08", b"\x80"):
            vote = replace(good.votes[1], reject_bitmap=bitmap)
            self.refuse(replace(good, votes=(good.votes[0], vote, good.votes[2])), "bitmap")

    def test_every_signature_counts(self) -> None:
        """Even one that the quorum would not need: bytes that prove nothing have no place."""
        good = batch_certificate(LEAVES, (0, 1, 2, 3))
        for index, vote in enumerate(good.votes):
            forged = replace(vote, signature=bytes(64))
            votes = (*good.votes[:index], forged, *good.votes[index + 1 :])
            self.refuse_signature(replace(good, votes=votes))

    def test_signed_fields(self) -> None:
        good = batch_certificate(LEAVES, (0, 1, 2, 3))
        self.refuse_signature(good, OTHER_CHAIN)
        self.refuse_signature(replace(good, anchor=10))
        self.refuse_signature(replace(good, leaves=LEAVES[::-1]))
        self.refuse_signature(replace(good, leaves=(*LEAVES, b"\x04" * 32)))
        flipped = replace(good.votes[3], reject_bitmap=b"\x01")
        self.refuse_signature(replace(good, votes=(*good.votes[:3], flipped)))

    def test_a_vote_of_another_member(self) -> None:
        good = batch_certificate(LEAVES, (0, 1, 3))
        moved = replace(good.votes[2], voter=2)
        self.refuse_signature(replace(good, votes=(*good.votes[:2], moved)))

    def test_a_receipt_is_no_vote(self) -> None:
        empty = BatchCertificate(9, LEAVES, ())
        votes = tuple(
            BatchVote(
                voter,
                b"\x00",
                KEYS[voter].sign(stored_statement(CHAIN_ID, 9, 9, empty.root, 3, b"\x00")),
            )
            for voter in range(3)
        )
        self.refuse_signature(replace(empty, votes=votes))


class ReceiptSetTests(SynchronousTestCase):
    def check(
        self, receipts: ReceiptSet, *snapshots: ActiveSet, chain_id: bytes = CHAIN_ID
    ) -> tuple[int, ...]:
        return check_receipt_set(receipts, snapshots or (FOUR,), chain_id, verify)

    def refuse(self, receipts: ReceiptSet, words: str, *snapshots: ActiveSet) -> None:
        error = self.assertRaises(
            CertificateError,
            check_receipt_set,
            receipts,
            snapshots or (FOUR,),
            CHAIN_ID,
            no_verify,
        )
        self.assertIn(words, str(error))

    def refuse_signature(self, receipts: ReceiptSet, chain_id: bytes = CHAIN_ID) -> None:
        error = self.assertRaises(CertificateError, self.check, receipts, chain_id=chain_id)
        self.assertIn("bad signature", str(error))

    def test_each_leaf_by_those_who_store_it(self) -> None:
        receipts = receipt_set({0: (0, 1), 1: (0,), 2: (0, 1, 2), 3: (1, 2)})
        self.assertEqual(self.check(receipts), (0, 1))

    def test_no_leaf(self) -> None:
        self.refuse(receipt_set({0: (0,), 1: (1,), 2: (2,), 3: ()}), "no leaf")
        self.refuse(receipt_set({0: (0,), 1: (0,)}), "no leaf")
        self.refuse(receipt_set({}), "no leaf")

    def test_one_unit_below_two_thirds(self) -> None:
        receipts = receipt_set({0: (0,), 1: (0,)})
        self.assertEqual(self.check(receipts, active_set({0: 100, 1: 100, 2: 100})), (0,))
        self.refuse(receipts, "no leaf", active_set({0: 100, 1: 99, 2: 101}))

    def test_quorum_in_both_snapshots(self) -> None:
        receipts = receipt_set({0: (0,), 1: (0,), 2: (0,)})
        self.refuse(receipts, "no leaf", FOUR, active_set({2: 100, 3: 100}))

    def test_one_and_sixty_four_leaves(self) -> None:
        for count in (1, 64):
            stored = dict.fromkeys(range(3), range(count))
            self.assertEqual(self.check(receipt_set(stored, count)), tuple(range(count)))

    def test_leaf_count(self) -> None:
        good = receipt_set({0: (0,), 1: (0,), 2: (0,)})
        for count in (0, 65):
            self.refuse(replace(good, leaf_count=count), f"{count} leaves")

    def test_voters(self) -> None:
        good = receipt_set({0: (0,), 1: (0,), 2: (0,)})
        items = good.receipts
        self.refuse(replace(good, receipts=items[::-1]), "ascending")
        self.refuse(replace(good, receipts=(*items, items[2])), "ascending")
        self.refuse(replace(good, receipts=(*items, replace(items[2], voter=4))), "unknown")

    def test_bitmaps(self) -> None:
        good = receipt_set({0: (0,), 1: (0,), 2: (0,)})
        for bitmap in (b"", b"\x01\x00", b"\x09", b"\x81"):
            forged = replace(good.receipts[0], stored_bitmap=bitmap)
            self.refuse(replace(good, receipts=(forged, *good.receipts[1:])), "bitmap")

    def test_signed_fields(self) -> None:
        good = receipt_set({0: (0,), 1: (0,), 2: (0,), 3: (0,)})
        self.refuse_signature(good, OTHER_CHAIN)
        self.refuse_signature(replace(good, tip=13))
        self.refuse_signature(replace(good, anchor=8))
        self.refuse_signature(replace(good, root=b"s" * 32))
        self.refuse_signature(replace(good, leaf_count=4))
        more = replace(good.receipts[3], stored_bitmap=b"\x03")
        self.refuse_signature(replace(good, receipts=(*good.receipts[:3], more)))
        forged = replace(good.receipts[3], signature=bytes(64))
        self.refuse_signature(replace(good, receipts=(*good.receipts[:3], forged)))

    def test_a_vote_is_no_receipt(self) -> None:
        statement = vote_statement(CHAIN_ID, 9, b"r" * 32, 3, b"\x07")
        receipts = tuple(Receipt(voter, b"\x07", KEYS[voter].sign(statement)) for voter in range(3))
        self.refuse_signature(ReceiptSet(12, 9, b"r" * 32, 3, receipts))


CheckBlock = Callable[..., None]


class BlockCertificateTests(SynchronousTestCase):
    kinds: tuple[tuple[CheckBlock, object], ...] = (
        (check_prepare_quorum, prepare_statement),
        (check_precommit_certificate, precommit_statement),
    )

    def refuse(
        self, check: CheckBlock, certificate: BlockCertificate, words: str, *snapshots: ActiveSet
    ) -> None:
        error = self.assertRaises(
            CertificateError, check, certificate, snapshots or (FOUR,), CHAIN_ID, no_verify
        )
        self.assertIn(words, str(error))

    def refuse_signature(
        self, check: CheckBlock, certificate: BlockCertificate, chain_id: bytes = CHAIN_ID
    ) -> None:
        error = self.assertRaises(CertificateError, check, certificate, (FOUR,), chain_id, verify)
        self.assertIn("bad signature", str(error))

    def test_quorum(self) -> None:
        for check, statement in self.kinds:
            check(block_certificate((0, 1, 3), statement), (FOUR,), CHAIN_ID, verify)

    def test_one_unit_below_two_thirds(self) -> None:
        exact = active_set({0: 100, 1: 100, 2: 100})
        below = active_set({0: 100, 1: 99, 2: 101})
        for check, statement in self.kinds:
            certificate = block_certificate((0, 1), statement)
            check(certificate, (exact,), CHAIN_ID, verify)
            self.refuse(check, certificate, "no quorum", below)
            self.refuse(check, certificate, "no quorum", exact, below)
            self.refuse(check, block_certificate((), statement), "no quorum")

    def test_no_snapshot(self) -> None:
        for check, statement in self.kinds:
            certificate = block_certificate((0, 1, 2), statement)
            self.assertRaises(CertificateError, check, certificate, (), CHAIN_ID, verify)

    def test_voters(self) -> None:
        for check, statement in self.kinds:
            good = block_certificate((0, 1, 2), statement)
            items = good.signatures
            self.refuse(check, replace(good, signatures=items[::-1]), "ascending")
            self.refuse(check, replace(good, signatures=(*items, items[2])), "ascending")
            stranger = replace(items[2], voter=4)
            self.refuse(check, replace(good, signatures=(*items, stranger)), "unknown")

    def test_signed_fields(self) -> None:
        for check, statement in self.kinds:
            good = block_certificate((0, 1, 2, 3), statement)
            self.refuse_signature(check, good, OTHER_CHAIN)
            self.refuse_signature(check, replace(good, height=8))
            self.refuse_signature(check, replace(good, round=3))
            self.refuse_signature(check, replace(good, block_hash=b"c" * 32))
            forged = replace(good.signatures[3], signature=bytes(64))
            self.refuse_signature(check, replace(good, signatures=(*good.signatures[:3], forged)))

    def test_prepares_do_not_finalize(self) -> None:
        prepared = block_certificate((0, 1, 2), prepare_statement)
        self.refuse_signature(check_precommit_certificate, prepared)

    def test_precommits_are_no_prepare_quorum(self) -> None:
        committed = block_certificate((0, 1, 2), precommit_statement)
        self.refuse_signature(check_prepare_quorum, committed)


class DecodingTests(SynchronousTestCase):
    samples = (
        batch_certificate(LEAVES, (0, 1, 2)),
        receipt_set({0: (0,), 1: (0,), 2: (0,)}),
        block_certificate((0, 1, 2)),
    )

    def test_round_trip(self) -> None:
        for sample in self.samples:
            self.assertEqual(decode(encode(sample), type(sample), 10_000), sample)

    @given(st.sampled_from(samples), st.data())
    def test_mutated_bytes_certify_nothing_else(
        self,
        sample: BatchCertificate | ReceiptSet | BlockCertificate,
        data: st.DataObject,
    ) -> None:
        """One changed bit: undecodable or refused, as every byte is signed or rules apply to it."""
        mutated = bytearray(encode(sample))
        bit = data.draw(st.integers(0, 8 * len(mutated) - 1))
        mutated[bit // 8] ^= 1 << bit % 8
        try:
            other = decode(bytes(mutated), type(sample), 10_000)
        except CodecError:
            return
        with self.assertRaises(CertificateError):
            if isinstance(other, BatchCertificate):
                check_batch_certificate(other, (FOUR,), CHAIN_ID, verify)
            elif isinstance(other, ReceiptSet):
                check_receipt_set(other, (FOUR,), CHAIN_ID, verify)
            else:
                check_precommit_certificate(other, (FOUR,), CHAIN_ID, verify)

    @given(
        st.binary(max_size=300), st.sampled_from([BatchCertificate, ReceiptSet, BlockCertificate])
    )
    def test_random_bytes(self, data: bytes, kind: type[Wire]) -> None:
        try:
            value = decode(data, kind, 10_000)
        except CodecError:
            return
        self.assertEqual(encode(value), data)
