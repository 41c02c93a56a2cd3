"""Evidence: one member's signature under two things of which it may sign one (PROTOCOL 6).

There are four offences: two proposals, two prepares or two precommits for one height and round,
and two votes that accept conflicting transactions. The proof is signed by the accused and needs
nothing but the snapshots of its time. Who is jailed for it, and for how long, is not decided here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes32, Bytes64, CodecError, Wire, decode, encode
from timecoin.crypto.hashing import tagged
from timecoin.crypto.keys import Verify
from timecoin.crypto.merkle import merkle_path, merkle_root, verify_path
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.bitmap import has_leaf, is_bitmap
from timecoin.quorum.snapshots import (
    Snapshots,
    block_snapshots,
    certificate_snapshots,
    voter_index,
)
from timecoin.quorum.statement import (
    NIL,
    VoteKind,
    precommit_statement,
    prepare_statement,
    proposal_statement,
    vote_statement,
)

MAX_EVIDENCE_BYTES = 2 * params.MAX_TX_BYTES + 2_000
"""Bound of an encoded :class:`Evidence`: two transactions, two paths of 6 hashes, signatures."""

_BATCH = params.BATCH_MAX_TRANSACTIONS
_Bitmap = Annotated[bytes, msgspec.Meta(min_length=1, max_length=(_BATCH + 7) // 8)]
_Path = Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=(_BATCH - 1).bit_length())]


class EvidenceError(ValueError):
    """Evidence that proves nothing; the text says why."""


class SnapshotsUnknown(EvidenceError):
    """The snapshots of that time are not at hand: too old, or of blocks not known yet."""


class SignedBlock(Wire, frozen=True):
    """A signature under a block hash; of a vote, ``valid_round`` and ``slot`` are 0."""

    valid_round: U32
    slot: U64
    block_hash: Bytes32
    signature: Bytes64


class DoubleSignature(Wire, frozen=True, tag=0):
    """Two signatures of one kind (:class:`VoteKind`) for the same height and round.

    They stand in the order of their block hashes, which differ; NIL is one too.
    """

    kind: U8
    height: U64
    round: U32
    signer: Bytes32
    first: SignedBlock
    second: SignedBlock


class AcceptedLeaf(Wire, frozen=True):
    """A finality vote and one leaf that it accepts, with the transaction that the leaf names.

    ``tx`` comes without witnesses: its txid does not cover them, and they prove nothing here.
    """

    anchor: U64
    root: Bytes32
    leaf_count: U32
    reject_bitmap: _Bitmap
    signature: Bytes64
    leaf: U32
    path: _Path
    tx: Transaction


class ConflictingVotes(Wire, frozen=True, tag=1):
    """Two votes of one member for transactions that spend a common output, lower txid first."""

    signer: Bytes32
    first: AcceptedLeaf
    second: AcceptedLeaf


class Evidence(Wire, frozen=True):
    """One proof, as it is sent and stands in blocks."""

    proof: DoubleSignature | ConflictingVotes

    @functools.cached_property
    def encoded(self) -> bytes:
        """Canonical bytes, as a block carries them."""
        return encode(self)

    @functools.cached_property
    def hash(self) -> bytes:
        """Identity of this very proof; several may prove one offence."""
        return tagged(params.TAG_EVIDENCE, self.encoded)

    @property
    def signer(self) -> bytes:
        """The accused."""
        return self.proof.signer

    @property
    def offence(self) -> str:
        """What the accused did, in the words of RPC and log; of checked evidence."""
        match self.proof:
            case DoubleSignature(kind=kind):
                return f"double-{VoteKind(kind).name.lower()}"
            case ConflictingVotes():
                return "conflicting-votes"

    @property
    def height(self) -> int:
        """When the offence was complete: the height voted on, or the later of two anchors."""
        match self.proof:
            case DoubleSignature(height=height):
                return height
            case ConflictingVotes(first=first, second=second):
                return max(first.anchor, second.anchor)


@dataclass(frozen=True, slots=True)
class Offence:
    """What checked evidence proves."""

    signer: bytes
    height: int


def decode_evidence(data: bytes) -> Evidence:
    """The evidence that ``data`` encodes; ``CodecError`` when it is none."""
    return decode(data, Evidence, MAX_EVIDENCE_BYTES)


def double_signature(
    kind: VoteKind, height: int, round_: int, signer: bytes, one: SignedBlock, other: SignedBlock
) -> Evidence:
    """Evidence of two signatures, in the order that the rules want."""
    first, second = sorted((one, other), key=lambda signed: signed.block_hash)
    return Evidence(DoubleSignature(int(kind), height, round_, signer, first, second))


def accepted_leaf(
    anchor: int,
    leaves: Sequence[bytes],
    reject_bitmap: bytes,
    signature: bytes,
    tx: Transaction,
) -> AcceptedLeaf:
    """The part of evidence that shows a vote on ``leaves`` (txids) which accepts ``tx``.

    ``ValueError`` when ``tx`` is no leaf.
    """
    leaf = leaves.index(tx.txid)
    path = merkle_path(leaves, leaf)
    bare = msgspec.structs.replace(tx, witnesses=())
    return AcceptedLeaf(
        anchor, merkle_root(leaves), len(leaves), reject_bitmap, signature, leaf, path, bare
    )


def conflicting_votes(signer: bytes, one: AcceptedLeaf, other: AcceptedLeaf) -> Evidence:
    """Evidence of two votes, in the order that the rules want."""
    first, second = sorted((one, other), key=lambda accepted: accepted.tx.txid)
    return Evidence(ConflictingVotes(signer, first, second))


def check_evidence(
    evidence: Evidence, source: Snapshots, chain_id: bytes, verify: Verify
) -> Offence:
    """What ``evidence`` proves; :class:`EvidenceError` when it proves nothing.

    The accused was staked in a snapshot whose quorum was demanded where it signed; ``source``
    gives the snapshots, :class:`SnapshotsUnknown` when it lacks one. Whether the offence lies
    after the last jailing of the accused is the caller's question. Cheap checks come first.
    """
    match evidence.proof:
        case DoubleSignature():
            _check_double(evidence.proof, source, chain_id, verify)
        case ConflictingVotes():
            _check_conflicting(evidence.proof, source, chain_id, verify)
    return Offence(evidence.signer, evidence.height)


def read_evidence(data: bytes, source: Snapshots, chain_id: bytes, verify: Verify) -> Offence:
    """:func:`check_evidence` of canonical bytes from a block."""
    try:
        evidence = decode_evidence(data)
    except CodecError as error:
        raise EvidenceError(str(error)) from error
    return check_evidence(evidence, source, chain_id, verify)


def _check_double(
    proof: DoubleSignature, source: Snapshots, chain_id: bytes, verify: Verify
) -> None:
    if proof.kind not in tuple(VoteKind):
        raise EvidenceError(f"unknown kind {proof.kind} of signature")
    if proof.first.block_hash >= proof.second.block_hash:
        raise EvidenceError("block hashes not strictly ascending")
    for signed in (proof.first, proof.second):
        if proof.kind == VoteKind.PROPOSAL:
            if signed.block_hash == NIL:
                raise EvidenceError("a proposal of no block")
        elif (signed.valid_round, signed.slot) != (0, 0):
            raise EvidenceError("a vote with the fields of a proposal")
    _check_voter(proof.signer, block_snapshots(source, proof.height), proof.height)
    for signed in (proof.first, proof.second):
        statement = _block_statement(proof, signed, chain_id)
        _check_signature(proof.signer, statement, signed.signature, verify)


def _block_statement(proof: DoubleSignature, signed: SignedBlock, chain_id: bytes) -> bytes:
    if proof.kind == VoteKind.PROPOSAL:
        return proposal_statement(
            chain_id,
            proof.height,
            proof.round,
            signed.valid_round,
            signed.slot,
            signed.block_hash,
        )
    statement = prepare_statement if proof.kind == VoteKind.PREPARE else precommit_statement
    return statement(chain_id, proof.height, proof.round, signed.block_hash)


def _check_conflicting(
    proof: ConflictingVotes, source: Snapshots, chain_id: bytes, verify: Verify
) -> None:
    both = (proof.first, proof.second)
    if proof.first.tx.txid >= proof.second.tx.txid:
        raise EvidenceError("txids not strictly ascending")
    if set(proof.first.tx.outpoints).isdisjoint(proof.second.tx.outpoints):
        raise EvidenceError("the transactions do not conflict")
    for accepted in both:
        _check_leaf(accepted)
    for accepted in both:
        snapshots = certificate_snapshots(source, accepted.anchor)
        _check_voter(proof.signer, snapshots, accepted.anchor)
    for accepted in both:
        statement = vote_statement(
            chain_id,
            accepted.anchor,
            accepted.root,
            accepted.leaf_count,
            accepted.reject_bitmap,
        )
        _check_signature(proof.signer, statement, accepted.signature, verify)


def _check_leaf(accepted: AcceptedLeaf) -> None:
    if accepted.tx.witnesses:
        raise EvidenceError("a transaction with witnesses")
    count, leaf = accepted.leaf_count, accepted.leaf
    if not 0 <= leaf < count <= _BATCH:
        raise EvidenceError(f"leaf {leaf} of {count}")
    if not is_bitmap(accepted.reject_bitmap, count):
        raise EvidenceError("malformed bitmap")
    if has_leaf(accepted.reject_bitmap, leaf):
        raise EvidenceError("the vote rejects the transaction")
    if not verify_path(accepted.root, accepted.tx.txid, leaf, count, accepted.path):
        raise EvidenceError("the transaction is no leaf of the root")


def _check_voter(signer: bytes, snapshots: tuple[ActiveSet, ...] | None, height: int) -> None:
    if not snapshots:
        raise SnapshotsUnknown(f"no snapshots for height {height}")
    if signer not in voter_index(snapshots):
        raise EvidenceError(f"{signer.hex()} was no voter at height {height}")


def _check_signature(signer: bytes, statement: bytes, signature: bytes, verify: Verify) -> None:
    if not verify(signer, statement, signature):
        raise EvidenceError(f"bad signature of {signer.hex()}")
