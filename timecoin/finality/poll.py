"""One running poll: whom a batch was sent to, which votes came, what they certify (PROTOCOL 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from timecoin.crypto.merkle import merkle_root
from timecoin.finality.context import Context
from timecoin.finality.messages import VoteReply
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.bitmap import has_leaf, is_bitmap
from timecoin.quorum.certificate import BatchCertificate, BatchVote
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.statement import vote_statement
from timecoin.quorum.tally import quorum_weight


class VoteTally:
    """Weights for each leaf of a batch, in each snapshot; a vote is counted once."""

    def __init__(self, snapshots: Sequence[ActiveSet], leaf_count: int) -> None:
        self._snapshots = snapshots
        self._voted = [0] * len(snapshots)
        self._rejected = [[0] * leaf_count for _ in snapshots]
        self._quorums = [quorum_weight(snapshot.total_weight) for snapshot in snapshots]

    def add(self, voter: bytes, reject_bitmap: bytes) -> None:
        """Count the vote of ``voter``, whose weights the snapshots say."""
        rejects = any(reject_bitmap)
        for index, snapshot in enumerate(self._snapshots):
            weight = snapshot.weights.get(voter, 0)
            self._voted[index] += weight
            if rejects:
                leaves = self._rejected[index]
                for leaf in range(len(leaves)):
                    if has_leaf(reject_bitmap, leaf):
                        leaves[leaf] += weight

    def is_certified(self, leaf: int) -> bool:
        """Whether those who did not reject ``leaf`` have a quorum in every snapshot."""
        return all(
            voted - rejected[leaf] >= quorum
            for voted, rejected, quorum in zip(
                self._voted, self._rejected, self._quorums, strict=True
            )
        )

    def is_hopeless(self, leaf: int) -> bool:
        """Whether so many rejected ``leaf`` that no further vote can certify it."""
        return any(
            snapshot.total_weight - rejected[leaf] < quorum
            for snapshot, rejected, quorum in zip(
                self._snapshots, self._rejected, self._quorums, strict=True
            )
        )


@dataclass(slots=True)
class Poll:
    """A batch on its way to a certificate."""

    anchor: int
    batch: tuple[Transaction, ...]
    snapshots: tuple[ActiveSet, ...]
    later: tuple[tuple[bytes, bytes], ...]
    """Peers of the second wave, with their voting keys."""
    asked: dict[bytes, bytes] = field(default_factory=dict)
    """Peers that were asked, with the voting key that each had proved by then."""
    last: bool = False
    """Whether everybody has been asked."""
    called: bool = False
    """Whether members that are not linked here were called by gossip."""
    repeats: int = 0
    """How often those who had not voted were asked again."""
    answered: dict[bytes, None] = field(default_factory=dict)
    votes: dict[bytes, VoteReply] = field(default_factory=dict)
    tally: VoteTally = field(init=False)
    root: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.tally = VoteTally(self.snapshots, len(self.batch))
        self.root = merkle_root([tx.txid for tx in self.batch])

    def add(self, voter: bytes, vote: VoteReply) -> None:
        """Count a vote whose signature has been checked."""
        self.votes[voter] = vote
        self.tally.add(voter, vote.reject_bitmap)

    @property
    def is_settled(self) -> bool:
        """Whether no further vote can change what is certified."""
        return all(
            self.tally.is_certified(leaf) or self.tally.is_hopeless(leaf)
            for leaf in range(len(self.batch))
        )

    @property
    def is_exhausted(self) -> bool:
        """Whether everybody who can be asked has answered."""
        return not self.called and not self.later and len(self.answered) == len(self.asked)

    def certified(self) -> tuple[int, ...]:
        """The leaves that are certified by now."""
        return tuple(leaf for leaf in range(len(self.batch)) if self.tally.is_certified(leaf))

    def certificate(self) -> BatchCertificate:
        """The votes so far, in the order of voters."""
        voters = voter_index(self.snapshots)
        return BatchCertificate(
            anchor=self.anchor,
            leaves=tuple(tx.txid for tx in self.batch),
            votes=tuple(
                BatchVote(index, self.votes[voter].reject_bitmap, self.votes[voter].signature)
                for index, voter in enumerate(voters)
                if voter in self.votes
            ),
        )


def vote_fault(
    context: Context, anchor: int, root: bytes, leaf_count: int, voter: bytes, vote: VoteReply
) -> str | None:
    """What is wrong with the ``vote`` of ``voter`` on a batch, if anything."""
    if not is_bitmap(vote.reject_bitmap, leaf_count):
        return "malformed reject bitmap"
    statement = vote_statement(context.chain_id, anchor, root, leaf_count, vote.reject_bitmap)
    if not context.verify(voter, statement, vote.signature):
        return "bad signature of a vote"
    return None
