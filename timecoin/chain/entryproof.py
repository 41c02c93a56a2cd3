"""A proof that a block archived a transaction, to be checked offline (PROTOCOL 6, 10).

It leads from the transaction over ``entries_root`` and the header to the precommits that made the
block final. The snapshots of the active set come from whoever verifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from timecoin import params
from timecoin.chain.views import ChainViews
from timecoin.codec import U32, Bytes32, Wire, decode, encode
from timecoin.crypto.hashing import tagged
from timecoin.crypto.keys import Verify
from timecoin.crypto.merkle import merkle_path, merkle_root, verify_path
from timecoin.ledger.block import Entry, Header
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import (
    BlockCertificate,
    CertificateError,
    check_precommit_certificate,
)
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.tally import quorum_weight, weight_of

MAX_ENTRY_PROOF_BYTES = 1_000_000
"""Far above a header, the largest transaction, its path and the signatures of 2,000 members."""


class EntryProof(Wire, frozen=True):
    """``transaction`` is entry ``position`` of ``entry_count`` in the block of ``header``."""

    transaction: Transaction
    position: U32
    entry_count: U32
    merkle_root: Bytes32
    path: tuple[Bytes32, ...]
    header: Header
    certificate: BlockCertificate


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """What a proof proves: weight and quorum are those of the newest snapshot given."""

    txid: bytes
    height: int
    weight: int
    quorum: int


def make_entry_proof(views: ChainViews, txid: bytes) -> EntryProof | None:
    """The proof that ``txid`` is archived; None for a reward, which is no entry, and the unknown.

    Takes time in proportion to the entries of its block.
    """
    archived = views.transaction(txid)
    if archived is None or archived.reward:
        return None
    block, certificate = views.block(archived.height), views.certificate(archived.height)
    assert block is not None and certificate is not None  # kept with every block
    leaves = [encode(entry) for entry in block.body.entries]
    return EntryProof(
        transaction=archived.tx,
        position=archived.position,
        entry_count=len(leaves),
        merkle_root=merkle_root(leaves),
        path=merkle_path(leaves, archived.position),
        header=block.header,
        certificate=certificate,
    )


def decode_entry_proof(data: bytes) -> EntryProof:
    """The proof that ``data`` encodes; ``CodecError`` when it is none."""
    return decode(data, EntryProof, MAX_ENTRY_PROOF_BYTES)


def verify_entry_proof(
    proof: EntryProof, snapshots: Sequence[ActiveSet], chain_id: bytes, verify: Verify
) -> ProvedEntry:
    """Check ``proof``; ``CertificateError`` says what it lacks.

    ``snapshots`` are ``block_snapshots(proof.header.height)``; whoever gives others gets a verdict
    about others.
    """
    tx, header = proof.transaction, proof.header
    leaf = encode(Entry(tx.txid, tx.wtxid))
    if not verify_path(
        proof.merkle_root, leaf, proof.position, proof.entry_count, proof.path
    ) or header.entries_root != tagged(
        params.TAG_ENTRIES, proof.entry_count.to_bytes(4, "little"), proof.merkle_root
    ):
        raise CertificateError("the Merkle path does not lead from the transaction to the header")
    certificate = proof.certificate
    if (certificate.block_hash, certificate.height) != (header.hash, header.height):
        raise CertificateError("the certificate is of another block")
    check_precommit_certificate(certificate, snapshots, chain_id, verify)
    voters = voter_index(snapshots)
    return ProvedEntry(
        txid=tx.txid,
        height=header.height,
        weight=weight_of([voters[item.voter] for item in certificate.signatures], snapshots[-1]),
        quorum=quorum_weight(snapshots[-1].total_weight),
    )
