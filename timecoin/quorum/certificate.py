"""Certificates: batches of transactions, receipts and blocks, and how each is checked.

Shared by finality, consensus, sync and the light client; weights come from snapshots only.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import msgspec

from timecoin import params
from timecoin.codec import U32, U64, Bytes32, Bytes64, Wire
from timecoin.crypto.hashing import blake3_256
from timecoin.crypto.keys import Verify
from timecoin.crypto.merkle import merkle_root
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.bitmap import has_leaf, is_bitmap
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.statement import (
    precommit_statement,
    prepare_statement,
    stored_statement,
    vote_statement,
)
from timecoin.quorum.tally import has_quorum


class CertificateError(ValueError):
    """A certificate that proves nothing; the text says which rule it breaks."""


_BATCH = params.BATCH_MAX_TRANSACTIONS
_Bitmap = Annotated[bytes, msgspec.Meta(min_length=1, max_length=(_BATCH + 7) // 8)]
# Bounds that hold before anything is hashed or looked up; the checks below are exact.


class BatchVote(Wire, frozen=True):
    """One member's vote inside a certificate; ``voter`` indexes the snapshots' sorted union."""

    voter: U32
    reject_bitmap: _Bitmap
    signature: Bytes64


class BatchCertificate(Wire, frozen=True):
    """Votes on a batch of transactions (PROTOCOL 5). ``leaves`` are its txids in root order."""

    anchor: U64
    leaves: Annotated[tuple[Bytes32, ...], msgspec.Meta(min_length=1, max_length=_BATCH)]
    votes: tuple[BatchVote, ...]

    @functools.cached_property
    def root(self) -> bytes:
        """Merkle root over the leaves; what the votes sign."""
        return merkle_root(self.leaves)

    @property
    def leaf_count(self) -> int:
        """Number of leaves; signed with the root."""
        return len(self.leaves)


class Receipt(Wire, frozen=True):
    """One member's receipt inside a receipt set."""

    voter: U32
    stored_bitmap: _Bitmap
    signature: Bytes64


class ReceiptSet(Wire, frozen=True):
    """Receipts of one tip for one batch."""

    tip: U64
    anchor: U64
    root: Bytes32
    leaf_count: U32
    receipts: tuple[Receipt, ...]


class BlockSignature(Wire, frozen=True):
    """One member's prepare or precommit inside a quorum of one round."""

    voter: U32
    signature: Bytes64


class BlockCertificate(Wire, frozen=True):
    """Votes of one round for one block: a prepare quorum, or the precommits that finalize it."""

    height: U64
    round: U32
    block_hash: Bytes32
    signatures: tuple[BlockSignature, ...]


def certificate_name(encoded: bytes) -> bytes:
    """What a proposal names a certificate by: the hash of its bytes, votes included."""
    return blake3_256(encoded)


def check_leaves(leaves: Sequence[bytes]) -> None:
    """A batch has 1 to 64 distinct leaves."""
    if not 1 <= len(leaves) <= params.BATCH_MAX_TRANSACTIONS:
        raise CertificateError(f"{len(leaves)} leaves in a batch")
    if len(set(leaves)) != len(leaves):
        raise CertificateError("duplicate leaf")


def _signers(indices: Sequence[int], snapshots: Sequence[ActiveSet]) -> list[bytes]:
    voters = voter_index(snapshots)
    if any(later <= earlier for earlier, later in pairwise(indices)):
        raise CertificateError("voters not strictly ascending")
    if indices and indices[-1] >= len(voters):
        raise CertificateError("unknown voter")
    return [voters[index] for index in indices]


def _check_signature(signer: bytes, statement: bytes, signature: bytes, verify: Verify) -> None:
    if not verify(signer, statement, signature):
        raise CertificateError(f"bad signature of {signer.hex()}")


def check_batch_certificate(
    certificate: BatchCertificate, snapshots: Sequence[ActiveSet], chain_id: bytes, verify: Verify
) -> tuple[int, ...]:
    """The leaves that ``certificate`` certifies; ``CertificateError`` when there is none.

    ``snapshots`` are ``certificate_snapshots(anchor)``. Cheap checks come before signatures.
    """
    check_leaves(certificate.leaves)
    count = certificate.leaf_count
    signers = _signers([vote.voter for vote in certificate.votes], snapshots)
    certified = _leaves_with_quorum(
        count, signers, [vote.reject_bitmap for vote in certificate.votes], False, snapshots
    )
    for signer, vote in zip(signers, certificate.votes, strict=True):
        statement = vote_statement(
            chain_id, certificate.anchor, certificate.root, count, vote.reject_bitmap
        )
        _check_signature(signer, statement, vote.signature, verify)
    return certified


def check_receipt_set(
    receipts: ReceiptSet, snapshots: Sequence[ActiveSet], chain_id: bytes, verify: Verify
) -> tuple[int, ...]:
    """The leaves that ``receipts`` make final; ``snapshots`` are ``receipt_snapshots(tip)``."""
    count = receipts.leaf_count
    if not 1 <= count <= params.BATCH_MAX_TRANSACTIONS:
        raise CertificateError(f"{count} leaves in a batch")
    signers = _signers([receipt.voter for receipt in receipts.receipts], snapshots)
    final = _leaves_with_quorum(
        count, signers, [receipt.stored_bitmap for receipt in receipts.receipts], True, snapshots
    )
    for signer, receipt in zip(signers, receipts.receipts, strict=True):
        statement = stored_statement(
            chain_id, receipts.tip, receipts.anchor, receipts.root, count, receipt.stored_bitmap
        )
        _check_signature(signer, statement, receipt.signature, verify)
    return final


def _leaves_with_quorum(
    count: int,
    signers: Sequence[bytes],
    bitmaps: Sequence[bytes],
    counted: bool,
    snapshots: Sequence[ActiveSet],
) -> tuple[int, ...]:
    """The leaves whose signers, those with the leaf's bit equal to ``counted``, are a quorum."""
    if not all(is_bitmap(bitmap, count) for bitmap in bitmaps):
        raise CertificateError("malformed bitmap")
    # Most leaves of a batch have the same signers.
    is_quorum = functools.cache(lambda subset: has_quorum(subset, snapshots))
    found = tuple(
        leaf
        for leaf in range(count)
        if is_quorum(
            tuple(
                signer
                for signer, bitmap in zip(signers, bitmaps, strict=True)
                if has_leaf(bitmap, leaf) is counted
            )
        )
    )
    if not found:
        raise CertificateError("no leaf has a quorum")
    return found


def _check_block_votes(
    certificate: BlockCertificate,
    snapshots: Sequence[ActiveSet],
    statement: bytes,
    verify: Verify,
) -> None:
    signers = _signers([item.voter for item in certificate.signatures], snapshots)
    if not has_quorum(signers, snapshots):
        raise CertificateError("no quorum of block votes")
    for signer, item in zip(signers, certificate.signatures, strict=True):
        _check_signature(signer, statement, item.signature, verify)


def check_prepare_quorum(
    certificate: BlockCertificate, snapshots: Sequence[ActiveSet], chain_id: bytes, verify: Verify
) -> None:
    """Raise unless ``certificate`` is a prepare quorum; ``snapshots`` are block_snapshots(h)."""
    statement = prepare_statement(
        chain_id, certificate.height, certificate.round, certificate.block_hash
    )
    _check_block_votes(certificate, snapshots, statement, verify)


def check_precommit_certificate(
    certificate: BlockCertificate, snapshots: Sequence[ActiveSet], chain_id: bytes, verify: Verify
) -> None:
    """Raise unless ``certificate`` finalizes its block; ``snapshots`` are block_snapshots(h)."""
    statement = precommit_statement(
        chain_id, certificate.height, certificate.round, certificate.block_hash
    )
    _check_block_votes(certificate, snapshots, statement, verify)
