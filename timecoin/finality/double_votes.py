"""Members that vote for two conflicting transactions: found by comparing the votes seen here.

Certificates show their votes; those of polls that failed are kept for a while, because what
contradicts them may come later. Only transactions that conflict are ever compared.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from timecoin.finality.certificates import Certificates
from timecoin.finality.context import Context
from timecoin.finality.events import ConflictingVotesSeen
from timecoin.finality.parameters import MAX_FAILED_POLLS
from timecoin.finality.poll import Poll
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Effect, Emit
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.evidence import AcceptedLeaf, accepted_leaf, conflicting_votes
from timecoin.quorum.snapshots import voter_index


@dataclass(frozen=True, slots=True)
class Vote:
    """A checked vote on a batch."""

    anchor: int
    leaves: tuple[bytes, ...]
    reject_bitmap: bytes
    signature: bytes

    def accepts(self, txid: bytes) -> bool:
        """Whether the leaf ``txid`` is voted for."""
        return not has_leaf(self.reject_bitmap, self.leaves.index(txid))

    def open(self, tx: Transaction) -> AcceptedLeaf:
        """The vote as evidence shows it."""
        return accepted_leaf(self.anchor, self.leaves, self.reject_bitmap, self.signature, tx)


class DoubleVotes:
    """Compares votes on conflicting transactions."""

    def __init__(self, context: Context, certificates: Certificates) -> None:
        self._context = context
        self._certificates = certificates
        self._failed: OrderedDict[bytes, Poll] = OrderedDict()
        """Polls without certificate, by root, the newest last."""
        self._named: dict[bytes, dict[bytes, None]] = {}
        """The roots of those polls by the txids that were not certified."""

    def __len__(self) -> int:
        return len(self._failed)

    def poll_failed(self, poll: Poll, txids: tuple[bytes, ...]) -> list[Effect]:
        """``poll`` has ended without a certificate for ``txids``: keep its votes on them."""
        self._forget(poll.root)
        self._failed[poll.root] = poll
        for txid in txids:
            self._named.setdefault(txid, {})[poll.root] = None
        while len(self._failed) > MAX_FAILED_POLLS:
            self._forget(next(iter(self._failed)))
        return [effect for txid in txids for effect in self.check(txid)]

    def check(self, txid: bytes) -> list[Effect]:
        """Votes for the pooled ``txid`` have come: who voted for a conflicting one as well?"""
        pool = self._context.pool
        tx, others = pool.get(txid), pool.conflicts(txid)
        if tx is None or not others:
            return []
        effects: list[Effect] = []
        votes = self._accepting(txid)
        for other in others:
            opponent = pool.get(other)
            if opponent is None:
                continue
            for voter, vote in self._accepting(other).items():
                first = votes.get(voter)
                if first is not None:
                    evidence = conflicting_votes(voter, first.open(tx), vote.open(opponent))
                    effects.append(Emit(ConflictingVotesSeen(evidence)))
        return effects

    def _accepting(self, txid: bytes) -> dict[bytes, Vote]:
        """One vote for ``txid`` of each member whose vote was seen."""
        found: dict[bytes, Vote] = {}
        for held in self._certificates.named(txid):
            batch = held.certificate
            voters = voter_index(self._context.committee.vote_snapshots(batch.anchor) or ())
            for item in batch.votes:
                if item.voter < len(voters):
                    vote = Vote(batch.anchor, batch.leaves, item.reject_bitmap, item.signature)
                    if vote.accepts(txid):
                        found[voters[item.voter]] = vote
        for root in self._named.get(txid, ()):
            poll = self._failed[root]
            leaves = tuple(tx.txid for tx in poll.batch)
            for voter, reply in poll.votes.items():
                vote = Vote(poll.anchor, leaves, reply.reject_bitmap, reply.signature)
                if vote.accepts(txid):
                    found[voter] = vote
        return found

    def _forget(self, root: bytes) -> None:
        poll = self._failed.pop(root, None)
        if poll is None:
            return
        for tx in poll.batch:
            roots = self._named.get(tx.txid, {})
            roots.pop(root, None)
            if not roots:
                self._named.pop(tx.txid, None)
