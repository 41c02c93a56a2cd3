"""Proofs that a transaction is final: made for others, and checked for them."""

from __future__ import annotations

from typing import Annotated

from timecoin.chain.entryproof import (
    MAX_ENTRY_PROOF_BYTES,
    EntryProof,
    decode_entry_proof,
    make_entry_proof,
    verify_entry_proof,
)
from timecoin.chain.views import ChainViews
from timecoin.codec import CodecError, encode
from timecoin.crypto.keys import verify
from timecoin.finality.proof import FinalityProof, decode_proof, verify_proof
from timecoin.quorum.certificate import CertificateError
from timecoin.quorum.snapshots import block_snapshots, certificate_snapshots, receipt_snapshots
from timecoin.rpc.errors import DECODE_ERROR, INVALID_PARAMETER, NOT_FOUND, RpcError
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import FinalityReader
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Hash, Hex

_PROOF = Hex(1, MAX_ENTRY_PROOF_BYTES, label="proof", code=DECODE_ERROR)
ProofHex = Annotated[bytes, _PROOF]

CERTIFICATE = "certificate"
ENTRY = "entry"


class ProofMethods:
    """Offline proofs; the active sets that they are checked against are those of this chain."""

    def __init__(self, chain_id: bytes, views: ChainViews, finality: FinalityReader) -> None:
        self._chain_id = chain_id
        self._views = views
        self._finality = finality

    @rpc_method()
    def getfinalityproof(self, txid: Hash) -> Json:
        """A self-contained proof that a transaction is final, in hex and as an object.

        type is certificate while it waits (votes, receipts, Merkle path) and entry once a block
        has archived it (header, precommits, Merkle path). Error -5 for an unknown transaction, one
        that is not final yet, and a reward, which its block proves.
        """
        waiting = self._finality.proof(txid)
        if waiting is not None:
            return _certificate_json(waiting)
        archived = make_entry_proof(self._views, txid)
        if archived is not None:
            return _entry_json(archived)
        found = self._views.transaction(txid)
        if found is not None:
            raise RpcError(NOT_FOUND, f"a reward: block {found.height} proves it")
        if self._finality.status(txid) is None:
            raise RpcError(NOT_FOUND, "No such transaction")
        raise RpcError(NOT_FOUND, "The transaction is not final yet")

    @rpc_method()
    def verifyfinalityproof(self, proof: ProofHex | dict[str, object]) -> Json:
        """Whether a proof holds: its hex, or the object of getfinalityproof.

        height is that of the block, or of the votes' anchor. weight is what signed and quorum what
        was needed, by that active set. reason says what is wrong. Error -22 for what is no proof.
        """
        if isinstance(proof, dict):
            if "proof" not in proof:
                raise RpcError(INVALID_PARAMETER, "proof: the object has no member proof")
            proof = _PROOF.read(proof["proof"], "proof.proof")
        read = _decoded(proof)
        shown: Json = {
            "valid": False,
            "txid": read.transaction.txid.hex(),
            "type": ENTRY if isinstance(read, EntryProof) else CERTIFICATE,
            "height": read.header.height if isinstance(read, EntryProof) else read.anchor,
            "weight": 0,
            "quorum": 0,
            "reason": None,
        }
        try:
            if isinstance(read, EntryProof):
                return shown | {"valid": True} | self._check_entry(read)
            return shown | {"valid": True} | self._check_certificate(read)
        except CertificateError as error:
            return shown | {"reason": str(error)}

    def _check_entry(self, proof: EntryProof) -> Json:
        snapshots = block_snapshots(self._views, proof.header.height)
        if not snapshots:
            raise CertificateError(f"height {proof.header.height} is not known here")
        proved = verify_entry_proof(proof, snapshots, self._chain_id, verify)
        return {"weight": proved.weight, "quorum": proved.quorum}

    def _check_certificate(self, proof: FinalityProof) -> Json:
        votes = certificate_snapshots(self._views, proof.anchor)
        receipts = receipt_snapshots(self._views, proof.tip)
        if not votes or not receipts:
            raise CertificateError(f"heights {proof.anchor} and {proof.tip} are not known here")
        proved = verify_proof(proof, votes, receipts, self._chain_id, verify)
        return {
            "weight": proved.vote_weight,
            "quorum": proved.vote_quorum,
            "receipts_weight": proved.receipt_weight,
            "receipts_quorum": proved.receipt_quorum,
        }


def _decoded(data: bytes) -> FinalityProof | EntryProof:
    """The kinds have different numbers of fields: no bytes are both."""
    try:
        return decode_entry_proof(data)
    except CodecError:
        try:
            return decode_proof(data)
        except CodecError as error:
            raise RpcError(DECODE_ERROR, f"not a proof: {error}") from error


def _certificate_json(proof: FinalityProof) -> Json:
    return {
        "txid": proof.transaction.txid.hex(),
        "type": CERTIFICATE,
        "proof": encode(proof).hex(),
        "transaction": proof.transaction.encoded.hex(),
        "anchor": proof.anchor,
        "root": proof.root.hex(),
        "leaf": proof.leaf,
        "leaf_count": proof.leaf_count,
        "path": [node.hex() for node in proof.path],
        "votes": [
            {
                "voter": vote.voter,
                "reject_bitmap": vote.reject_bitmap.hex(),
                "signature": vote.signature.hex(),
            }
            for vote in proof.votes
        ],
        "tip": proof.tip,
        "receipts": [
            {
                "voter": receipt.voter,
                "stored_bitmap": receipt.stored_bitmap.hex(),
                "signature": receipt.signature.hex(),
            }
            for receipt in proof.receipts
        ],
    }


def _entry_json(proof: EntryProof) -> Json:
    certificate = proof.certificate
    return {
        "txid": proof.transaction.txid.hex(),
        "type": ENTRY,
        "proof": encode(proof).hex(),
        "transaction": proof.transaction.encoded.hex(),
        "height": proof.header.height,
        "blockhash": proof.header.hash.hex(),
        "header": encode(proof.header).hex(),
        "position": proof.position,
        "entry_count": proof.entry_count,
        "merkle_root": proof.merkle_root.hex(),
        "path": [node.hex() for node in proof.path],
        "round": certificate.round,
        "precommits": [
            {"voter": item.voter, "signature": item.signature.hex()}
            for item in certificate.signatures
        ],
    }
