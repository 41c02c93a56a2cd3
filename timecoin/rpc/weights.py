"""The weights behind a transaction's finality, for waiting and for archived ones alike."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin import params
from timecoin.chain.views import ChainViews
from timecoin.codec import decode
from timecoin.finality.events import TxStatus
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.certificate import BatchCertificate
from timecoin.quorum.snapshots import block_snapshots, certificate_snapshots, voter_index
from timecoin.quorum.tally import quorum_weight, weight_of
from timecoin.rpc.rendering import Json


@dataclass(frozen=True, slots=True)
class Weights:
    """``votes`` for the transaction, ``receipts`` of those who store it, ``quorum`` of each.

    ``anchor`` is the height whose active set they are measured by; None without a certificate.
    """

    anchor: int | None
    votes: int
    receipts: int
    quorum: int

    def json(self) -> Json:
        """In the names of RPC."""
        return {
            "anchor_height": self.anchor,
            "weight": self.votes,
            "receipts_weight": self.receipts,
            "quorum": self.quorum,
        }


def finality_weights(views: ChainViews, txid: bytes, status: TxStatus) -> Weights:
    """The weights behind ``status``.

    Of an archived transaction the votes are read from its block's certificate. Its receipts are
    the block's precommits: who signs one holds the block and all that it archives (PROTOCOL 6).
    """
    height = status.archived_height
    if height is None:
        return Weights(status.anchor_height, status.weight, status.receipts_weight, status.quorum)
    members = views.active_set(height - 1) if height else None
    if members is None:  # a genesis allocation: nobody votes on it
        return Weights(None, 0, 0, 0)
    receipts = weight_of(block_signers(views, height), members)
    found = _certificate(views, height, txid)
    if found is None:  # a reward, or the winner of a resolution
        return Weights(None, 0, receipts, quorum_weight(members.total_weight))
    snapshots = certificate_snapshots(views, found.anchor)
    snapshot = views.active_set(found.anchor)
    assert snapshots is not None and snapshot is not None  # the chain keeps all snapshots
    voters, leaf = voter_index(snapshots), found.leaves.index(txid)
    accepting = [
        voters[vote.voter] for vote in found.votes if not has_leaf(vote.reject_bitmap, leaf)
    ]
    return Weights(
        found.anchor,
        weight_of(accepting, snapshot),
        receipts,
        quorum_weight(snapshot.total_weight),
    )


def block_signers(views: ChainViews, height: int) -> list[bytes]:
    """The members whose precommits made the block at ``height`` (above 0) final."""
    certificate = views.certificate(height)
    snapshots = block_snapshots(views, height)
    assert certificate is not None and snapshots is not None  # kept with every block
    voters = voter_index(snapshots)
    return [voters[item.voter] for item in certificate.signatures]


def _certificate(views: ChainViews, height: int, txid: bytes) -> BatchCertificate | None:
    """The certificate in the block at ``height`` that names ``txid``."""
    block = views.block(height)
    if block is None:
        return None  # pruned
    for data in block.body.certificates:
        if txid in data:  # decoding costs more than looking
            certificate = decode(data, BatchCertificate, params.MAX_BLOCK_BYTES)
            if txid in certificate.leaves:
                return certificate
    return None
