"""Reads what goes over the wire: each signature for the pledges, each proof for a second check.

What was read once is not read again: the same bytes go to many. Faulty senders may send what they
like; what honest ones send or pass on has to prove what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from timecoin.codec import CodecError, Wire
from timecoin.consensus.messages import BlockVote, Proposal, Votes, vote_statement
from timecoin.crypto.merkle import merkle_root
from timecoin.finality.messages import (
    Answer,
    CallVotes,
    Certified,
    Finalized,
    Query,
    Receipts,
    ReturnVote,
    SignedReceipt,
    VoteReply,
    call_id,
)
from timecoin.gossip.messages import Bundle
from timecoin.ledger.block import Body
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.node.catalog import KIND_OF, MESSAGES
from timecoin.quorum import statement as signed
from timecoin.quorum.bitmap import has_leaf, is_bitmap
from timecoin.quorum.certificate import BatchCertificate, ReceiptSet
from timecoin.quorum.statement import VoteKind
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.pledges import Offered, Pledges
from timecoin.sim.proofs import Proofs
from timecoin.sim.world import SimNode, World

REMEMBERED = 20_000
"""Frames, questions and batches that are remembered; the oldest go first."""
READ = frozenset(
    KIND_OF[each]
    for each in (
        *(Bundle, BlockVote, Votes, Proposal, Query, Answer, CallVotes, ReturnVote),
        *(Certified, Receipts, Finalized),
    )
)
K = TypeVar("K")
V = TypeVar("V")

Batch = tuple[int, tuple[bytes, ...]]
"""Anchor and leaves of what a vote is asked for."""


class Wiretap:
    """Listens to all links of ``world``."""

    def __init__(
        self, world: World, proofs: Proofs, pledges: Pledges, faulty: frozenset[bytes]
    ) -> None:
        self._decode = world.shared.decode
        self._chain_id = world.genesis.chain_id
        self._proofs = proofs
        self._pledges = pledges
        self._faulty = faulty
        self._keys: dict[bytes, bytes] = {}
        self._seen: dict[tuple[int, bool, bytes], None] = {}
        self._asked: dict[tuple[bytes, bytes, int], Batch] = {}
        self._called: dict[bytes, Batch] = {}
        self._leaves: dict[bytes, tuple[bytes, ...]] = {}
        self._points: dict[bytes, tuple[Outpoint, ...]] = {}
        world.on_start(self._meet)
        world.network.taps.append(self._on_frame)

    def _meet(self, node: SimNode) -> None:
        self._keys[node.node_id] = node.voting_key.public

    def _on_frame(self, sender: bytes, receiver: bytes, kind: int, payload: bytes) -> None:
        if kind not in READ:
            return
        honest = self._keys[sender] not in self._faulty
        try:
            self._read(sender, receiver, honest, kind, payload)
        except CodecError:
            if honest:
                raise

    def _read(
        self, sender: bytes, receiver: bytes, honest: bool, kind: int, payload: bytes
    ) -> None:
        known = MESSAGES[kind]
        if known.type is Bundle:
            for inner, item in self._decode(payload, Bundle, known.max_bytes).items:
                if inner in READ:
                    self._read(sender, receiver, honest, inner, item)
            return
        if known.type in (Query, Answer):
            # What these mean depends on who asks whom.
            self._hear(sender, receiver, honest, self._decode(payload, known.type, known.max_bytes))
            return
        key = (kind, honest, payload)
        if key not in self._seen:
            _put(self._seen, key, None)
            self._hear(sender, receiver, honest, self._decode(payload, known.type, known.max_bytes))

    def _hear(self, sender: bytes, receiver: bytes, honest: bool, message: Wire) -> None:
        match message:
            case BlockVote():
                self._block_vote(message)
            case Votes(votes):
                for vote in votes:
                    self._block_vote(vote)
            case Proposal():
                self._proposal(message, honest)
            case Query(want_vote=True):
                if len(message.bodies) == len(message.wtxids):
                    batch = self._batch(message.anchor, message.bodies)
                    _put(self._asked, (sender, receiver, message.request), batch)
            case Answer(request, _, vote) if vote is not None:
                asked = self._asked.get((receiver, sender, request))
                if asked is not None:
                    self._vote(self._keys[sender], asked, vote)
            case CallVotes():
                batch = self._batch(message.anchor, message.bodies)
                _put(self._called, call_id(self._chain_id, message), batch)
            case ReturnVote(call, voter, vote):
                asked = self._called.get(call)
                if asked is not None:
                    self._vote(voter, asked, vote)
            case Certified(certificate, bodies):
                self._learn(bodies)
                self._certificate(certificate, honest)
            case Receipts(items):
                for item in items:
                    self._receipt(item)
            case Finalized(receipts):
                self._receipt_set(receipts, honest)

    # blocks

    def _block_vote(self, vote: BlockVote) -> None:
        statement = vote_statement(self._chain_id, vote)
        if vote.kind != VoteKind.PROPOSAL and self._proofs.verify(
            vote.voter, statement, vote.signature
        ):
            kind = VoteKind(vote.kind)
            self._pledges.on_block(vote.voter, vote.height, vote.round, kind, vote.block_hash)

    def _proposal(self, proposal: Proposal, honest: bool) -> None:
        height, round_, block_hash = proposal.height, proposal.round, proposal.block.hash
        statement = signed.proposal_statement(
            self._chain_id, height, round_, proposal.valid_round, proposal.slot, block_hash
        )
        if not self._proofs.verify(proposal.proposer, statement, proposal.signature):
            return
        quorum = proposal.prepare_quorum
        if quorum is not None:
            try:
                signers = self._proofs.prepares(quorum)
            except InvariantBroken:
                if honest:
                    raise
                signers = ()
            for signer in signers:
                self._pledges.on_block(
                    signer, height, quorum.round, VoteKind.PREPARE, quorum.block_hash
                )
        if not proposal.valid_round:
            self._pledges.on_fresh(height, round_, block_hash, self._offered(proposal.block.body))
        self._pledges.on_block(proposal.proposer, height, round_, VoteKind.PROPOSAL, block_hash)

    def _offered(self, body: Body) -> Offered:
        """Which outputs a block would spend, as far as bodies were seen; and its resolutions."""
        spends = {
            point: entry.txid
            for entry in body.entries
            for point in self._points.get(entry.txid, ())
        }
        return Offered(spends, frozenset(item.winner for item in body.resolutions))

    # payments

    def _batch(self, anchor: int, bodies: Sequence[Transaction]) -> Batch:
        self._learn(bodies)
        leaves = tuple(tx.txid for tx in bodies)
        _put(self._leaves, merkle_root(leaves), leaves)
        return anchor, leaves

    def _learn(self, bodies: Sequence[Transaction]) -> None:
        for tx in bodies:
            _put(self._points, tx.txid, tx.outpoints)

    def _vote(self, voter: bytes, asked: Batch, vote: VoteReply) -> None:
        anchor, leaves = asked
        root = merkle_root(leaves)
        statement = signed.vote_statement(
            self._chain_id, anchor, root, len(leaves), vote.reject_bitmap
        )
        if is_bitmap(vote.reject_bitmap, len(leaves)) and self._proofs.verify(
            voter, statement, vote.signature
        ):
            for txid, points in self._named(leaves, vote.reject_bitmap, False):
                self._pledges.on_vote(voter, txid, points)

    def _certificate(self, certificate: BatchCertificate, honest: bool) -> None:
        _put(self._leaves, certificate.root, certificate.leaves)
        if not honest:
            return
        found = self._proofs.batch(certificate)
        for voter, vote in zip(found.voters, certificate.votes, strict=True):
            for txid, points in self._named(certificate.leaves, vote.reject_bitmap, False):
                self._pledges.on_vote(voter, txid, points)

    def _receipt(self, item: SignedReceipt) -> None:
        leaves = self._leaves.get(item.root)
        statement = signed.stored_statement(
            self._chain_id, item.tip, item.anchor, item.root, item.leaf_count, item.stored_bitmap
        )
        if (
            leaves is not None
            and is_bitmap(item.stored_bitmap, len(leaves))
            and self._proofs.verify(item.voter, statement, item.signature)
        ):
            for txid, points in self._named(leaves, item.stored_bitmap, True):
                self._pledges.on_receipt(item.voter, item.tip, txid, points)

    def _receipt_set(self, receipts: ReceiptSet, honest: bool) -> None:
        if honest:
            count, items = receipts.leaf_count, receipts.receipts
            self._proofs.receipts(receipts.tip, receipts.anchor, receipts.root, count, items)

    def _named(
        self, leaves: Sequence[bytes], bitmap: bytes, marked: bool
    ) -> Iterator[tuple[bytes, tuple[Outpoint, ...]]]:
        """The leaves whose bit is ``marked``, and what they spend; bodies not seen are left out."""
        for leaf, txid in enumerate(leaves):
            points = self._points.get(txid)
            if points is not None and has_leaf(bitmap, leaf) is marked:
                yield txid, points


def _put(table: dict[K, V], key: K, value: V) -> None:
    """Remember ``value``; of too many the oldest is forgotten."""
    table[key] = value
    if len(table) > REMEMBERED:
        del table[next(iter(table))]
