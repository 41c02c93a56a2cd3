"""A proof that a transaction is final, to be checked offline (PROTOCOL 5, 10).

It carries one Merkle path instead of the batch, the votes and the receipts. The snapshots of the
active set come from whoever verifies, who has them from headers that he trusts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from timecoin import params
from timecoin.codec import U32, U64, Bytes32, Wire, decode
from timecoin.crypto.keys import Verify
from timecoin.crypto.merkle import merkle_path, verify_path
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.bitmap import has_leaf, is_bitmap
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    CertificateError,
    Receipt,
    ReceiptSet,
)
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.statement import stored_statement, vote_statement
from timecoin.quorum.tally import has_quorum, quorum_weight, weight_of

MAX_PROOF_BYTES = params.MAX_FRAME_BYTES


class FinalityProof(Wire, frozen=True):
    """Votes and receipts for one transaction of a batch."""

    transaction: Transaction
    anchor: U64
    root: Bytes32
    leaf: U32
    leaf_count: U32
    path: tuple[Bytes32, ...]
    votes: tuple[BatchVote, ...]
    tip: U64
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof proves: weights and quorums are those of the newest snapshots given."""

    txid: bytes
    anchor: int
    tip: int
    vote_weight: int
    vote_quorum: int
    receipt_weight: int
    receipt_quorum: int


def make_proof(
    transaction: Transaction, certificate: BatchCertificate, receipts: ReceiptSet
) -> FinalityProof:
    """The proof for ``transaction``; ``ValueError`` if it is no leaf of ``certificate``."""
    leaf = certificate.leaves.index(transaction.txid)
    return FinalityProof(
        transaction=transaction,
        anchor=certificate.anchor,
        root=certificate.root,
        leaf=leaf,
        leaf_count=certificate.leaf_count,
        path=merkle_path(certificate.leaves, leaf),
        votes=certificate.votes,
        tip=receipts.tip,
        receipts=receipts.receipts,
    )


def decode_proof(data: bytes) -> FinalityProof:
    """The proof that ``data`` encodes; ``CodecError`` when it is none."""
    return decode(data, FinalityProof, MAX_PROOF_BYTES)


def verify_proof(
    proof: FinalityProof,
    vote_snapshots: Sequence[ActiveSet],
    receipt_snapshots: Sequence[ActiveSet],
    chain_id: bytes,
    verify: Verify,
) -> Proved:
    """Check ``proof``; ``CertificateError`` says what it lacks.

    ``vote_snapshots`` are ``certificate_snapshots(proof.anchor)``, ``receipt_snapshots`` those of
    ``proof.tip``; whoever gives others gets a verdict about others.
    """
    txid = proof.transaction.txid
    if not 1 <= proof.leaf_count <= params.BATCH_MAX_TRANSACTIONS:
        raise CertificateError(f"{proof.leaf_count} leaves in a batch")
    if not verify_path(proof.root, txid, proof.leaf, proof.leaf_count, proof.path):
        raise CertificateError("the Merkle path does not lead from the transaction to the root")
    for_it: list[tuple[int, bytes, bytes]] = []
    for vote in proof.votes:
        _check_bitmap(vote.reject_bitmap, proof.leaf_count)
        if not has_leaf(vote.reject_bitmap, proof.leaf):
            statement = vote_statement(
                chain_id, proof.anchor, proof.root, proof.leaf_count, vote.reject_bitmap
            )
            for_it.append((vote.voter, statement, vote.signature))
    holding: list[tuple[int, bytes, bytes]] = []
    for receipt in proof.receipts:
        _check_bitmap(receipt.stored_bitmap, proof.leaf_count)
        if has_leaf(receipt.stored_bitmap, proof.leaf):
            statement = stored_statement(
                chain_id,
                proof.tip,
                proof.anchor,
                proof.root,
                proof.leaf_count,
                receipt.stored_bitmap,
            )
            holding.append((receipt.voter, statement, receipt.signature))
    voters = _checked("votes", for_it, vote_snapshots, verify)
    holders = _checked("receipts", holding, receipt_snapshots, verify)
    return Proved(
        txid=txid,
        anchor=proof.anchor,
        tip=proof.tip,
        vote_weight=weight_of(voters, vote_snapshots[-1]),
        vote_quorum=quorum_weight(vote_snapshots[-1].total_weight),
        receipt_weight=weight_of(holders, receipt_snapshots[-1]),
        receipt_quorum=quorum_weight(receipt_snapshots[-1].total_weight),
    )


def _check_bitmap(bitmap: bytes, leaf_count: int) -> None:
    if not is_bitmap(bitmap, leaf_count):
        raise CertificateError("malformed bitmap")


def _checked(
    name: str,
    signed: Sequence[tuple[int, bytes, bytes]],
    snapshots: Sequence[ActiveSet],
    verify: Verify,
) -> list[bytes]:
    """The signers, when they are distinct members with a quorum and every signature is good."""
    index = voter_index(snapshots)
    places = [place for place, _, _ in signed]
    if any(later <= earlier for earlier, later in pairwise(places)):
        raise CertificateError(f"{name}: voters not strictly ascending")
    if places and places[-1] >= len(index):
        raise CertificateError(f"{name}: unknown voter")
    signers = [index[place] for place in places]
    if not has_quorum(signers, snapshots):
        raise CertificateError(f"no quorum of {name}")
    for signer, (_, statement, signature) in zip(signers, signed, strict=True):
        if not verify(signer, statement, signature):
            raise CertificateError(f"{name}: bad signature")
    return signers
