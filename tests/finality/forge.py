"""Certificates and receipts made by hand with the members' own keys: what faulty members can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.finality.world import CHAIN_ID, Node, World
from timecoin.crypto.merkle import merkle_root
from timecoin.finality.messages import SignedReceipt, VoteReply
from timecoin.ledger.transaction import Transaction
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.certificate import BatchCertificate, BatchVote, Receipt, ReceiptSet
from timecoin.quorum.snapshots import certificate_snapshots, receipt_snapshots, voter_index
from timecoin.quorum.statement import stored_statement, vote_statement


def certificate(
    world: World,
    batch: Sequence[Transaction],
    signers: Iterable[Node],
    anchor: int = 0,
    rejects: dict[Node, list[int]] | None = None,
) -> BatchCertificate:
    """A certificate on ``batch`` with the votes of ``signers``, each rejecting what is said."""
    leaves = tuple(tx.txid for tx in batch)
    snapshots = certificate_snapshots(world.nodes[0].chain, anchor)
    assert snapshots is not None
    index = voter_index(snapshots)
    votes = []
    for node in signers:
        assert node.key is not None
        bitmap = make_bitmap(len(leaves), (rejects or {}).get(node, []))
        statement = vote_statement(CHAIN_ID, anchor, merkle_root(leaves), len(leaves), bitmap)
        votes.append(BatchVote(index.index(node.key.public), bitmap, node.key.sign(statement)))
    return BatchCertificate(anchor, leaves, tuple(sorted(votes, key=lambda vote: vote.voter)))


def receipt(
    node: Node, batch: BatchCertificate, tip: int = 0, leaves: Iterable[int] | None = None
) -> SignedReceipt:
    """The receipt of ``node`` for ``leaves`` of ``batch`` (all of them), whatever it holds."""
    assert node.key is not None
    count = batch.leaf_count
    bitmap = make_bitmap(count, range(count) if leaves is None else leaves)
    statement = stored_statement(CHAIN_ID, tip, batch.anchor, batch.root, count, bitmap)
    return SignedReceipt(
        tip, batch.anchor, batch.root, count, bitmap, node.key.public, node.key.sign(statement)
    )


def receipt_set(
    world: World, batch: BatchCertificate, signers: Iterable[Node], tip: int = 0
) -> ReceiptSet:
    """The receipts of ``signers`` for all of ``batch``."""
    snapshots = receipt_snapshots(world.nodes[0].chain, tip)
    assert snapshots is not None
    index = voter_index(snapshots)
    items = [receipt(node, batch, tip) for node in signers]
    receipts = sorted(
        (Receipt(index.index(i.voter), i.stored_bitmap, i.signature) for i in items),
        key=lambda item: item.voter,
    )
    return ReceiptSet(tip, batch.anchor, batch.root, batch.leaf_count, tuple(receipts))


def vote(node: Node, batch: Sequence[Transaction], anchor: int) -> VoteReply:
    """The vote of ``node`` for all of ``batch``."""
    assert node.key is not None
    root, bitmap = merkle_root([tx.txid for tx in batch]), make_bitmap(len(batch), ())
    statement = vote_statement(CHAIN_ID, anchor, root, len(batch), bitmap)
    return VoteReply(bitmap, node.key.sign(statement))
