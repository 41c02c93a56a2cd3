"""Tallies of prepares and precommits at one height, by round (PROTOCOL 6).

Weights come from the snapshots, never from a vote. A member counts once a round and kind: a
second, different vote of it is evidence and changes no tally.
"""

from __future__ import annotations

from collections.abc import Sequence

from timecoin.consensus.messages import BlockVote
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BlockCertificate, BlockSignature
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.statement import NIL, VoteKind
from timecoin.quorum.tally import exceeds_third, is_quorum, weight_of

PAST_ROUNDS_KEPT = 8
"""Older rounds decide nothing any more: a locked block comes back in a later round."""
FUTURE_ROUNDS_PER_VOTER = 4
"""The highest ones count: they show where the others are."""


class Tally:
    """The votes of one round and kind."""

    def __init__(self, snapshots: Sequence[ActiveSet]) -> None:
        self._snapshots = snapshots
        self.votes: dict[bytes, BlockVote] = {}
        """By voter, in order of arrival."""
        self.equivocators: dict[bytes, None] = {}
        """Voters whose second vote has been reported."""
        self.quorum: bytes | None = None
        """The block hash (or NIL) with a quorum of votes; there is one at most."""
        self.any_quorum = False
        """Whether all votes together, whatever they are for, are a quorum."""
        self._weights: dict[bytes, list[int]] = {}
        """Of the votes for each block hash (or NIL), in each snapshot."""
        self._weights_of_all = [0] * len(snapshots)

    def put(self, vote: BlockVote) -> None:
        """Count ``vote``, the first of its voter."""
        self.votes[vote.voter] = vote
        weights = self._weights.setdefault(vote.block_hash, [0] * len(self._snapshots))
        for place, snapshot in enumerate(self._snapshots):
            weight = snapshot.weights.get(vote.voter, 0)
            weights[place] += weight
            self._weights_of_all[place] += weight
        if is_quorum(weights, self._snapshots):
            self.quorum = vote.block_hash
        self.any_quorum = is_quorum(self._weights_of_all, self._snapshots)

    def drop(self, voter: bytes) -> None:
        """Forget the vote of ``voter``, if there is one."""
        rest = [vote for vote in self.votes.values() if vote.voter != voter]
        self.votes, self.quorum, self.any_quorum = {}, None, False
        self._weights, self._weights_of_all = {}, [0] * len(self._snapshots)
        for vote in rest:
            self.put(vote)

    def voters(self, block_hash: bytes) -> list[bytes]:
        """Who voted for ``block_hash``."""
        return [v.voter for v in self.votes.values() if v.block_hash == block_hash]


class VoteBook:
    """All votes of one height; ``snapshots`` are those in which a quorum is demanded."""

    def __init__(self, height: int, snapshots: Sequence[ActiveSet], newest: ActiveSet) -> None:
        """``newest`` is avs(height - 1): more than a third of it in a higher round is followed."""
        self.height = height
        self.voters = voter_index(snapshots)
        self._members = dict.fromkeys(self.voters)
        self._snapshots = snapshots
        self._newest = newest
        self._tallies: dict[tuple[int, int], Tally] = {}
        """By round and kind."""

    def is_voter(self, pubkey: bytes) -> bool:
        """Whether votes of ``pubkey`` count at this height."""
        return pubkey in self._members

    def wants(self, vote: BlockVote, current_round: int) -> bool:
        """Whether ``vote`` would tell anything new: to be asked before its signature is checked."""
        if vote.round < current_round - PAST_ROUNDS_KEPT:
            return False
        tally = self._tallies.get((vote.round, vote.kind))
        known = None if tally is None else tally.votes.get(vote.voter)
        if tally is not None and known is not None:
            return known.block_hash != vote.block_hash and vote.voter not in tally.equivocators
        if vote.round <= current_round:
            return True
        future = self._future_rounds(vote.voter, current_round)
        return (
            vote.round in future or len(future) < FUTURE_ROUNDS_PER_VOTER or vote.round > future[0]
        )

    def add(self, vote: BlockVote, current_round: int) -> BlockVote | None:
        """Count a verified vote that is wanted.

        Returns the earlier vote of the same member if it was for something else; then this one
        does not count. Of a member's future rounds the highest few are kept.
        """
        tally = self._tally(vote.round, VoteKind(vote.kind))
        known = tally.votes.get(vote.voter)
        if known is not None:
            tally.equivocators[vote.voter] = None
            return known
        tally.put(vote)
        for old in self._future_rounds(vote.voter, current_round)[:-FUTURE_ROUNDS_PER_VOTER]:
            for kind in (VoteKind.PREPARE, VoteKind.PRECOMMIT):
                self._drop(old, kind, vote.voter)
        return None

    def quorum(self, round_: int, kind: VoteKind) -> bytes | None:
        """The block hash (or NIL) that has a quorum, if any."""
        tally = self._tallies.get((round_, kind))
        return None if tally is None else tally.quorum

    def any_quorum(self, round_: int, kind: VoteKind) -> bool:
        """Whether the votes of all kinds of content together are a quorum."""
        tally = self._tallies.get((round_, kind))
        return tally is not None and tally.any_quorum

    def blocks_with_quorum(self, kind: VoteKind) -> list[tuple[int, bytes]]:
        """(round, block hash) of each quorum for a block, latest round first."""
        found = [
            (round_, tally.quorum)
            for (round_, of), tally in self._tallies.items()
            if of == kind and tally.quorum is not None and tally.quorum != NIL
        ]
        return sorted(found, reverse=True)

    def weight(self, round_: int, kind: VoteKind, block_hash: bytes) -> int:
        """Weight in avs(height - 1) of the votes for ``block_hash``."""
        tally = self._tallies.get((round_, kind))
        return 0 if tally is None else weight_of(tally.voters(block_hash), self._newest)

    def top_weight(self, round_: int, kind: VoteKind) -> int:
        """Weight in avs(height - 1) of the block with most votes; 0 if there are none but nil."""
        tally = self._tallies.get((round_, kind))
        hashes = {} if tally is None else {v.block_hash: None for v in tally.votes.values()}
        weights = [self.weight(round_, kind, found) for found in hashes if found != NIL]
        return max(weights, default=0)

    @property
    def total_weight(self) -> int:
        """W of avs(height - 1)."""
        return self._newest.total_weight

    def certificate(self, round_: int, kind: VoteKind, block_hash: bytes) -> BlockCertificate:
        """The votes for ``block_hash``, as a certificate; meaningful once they are a quorum."""
        votes = self._tallies[round_, kind].votes
        signatures = tuple(
            BlockSignature(index, votes[voter].signature)
            for index, voter in enumerate(self.voters)
            if voter in votes and votes[voter].block_hash == block_hash
        )
        return BlockCertificate(self.height, round_, block_hash, signatures)

    def since(self, round_: int) -> list[BlockVote]:
        """All counted votes of ``round_`` and later, by round and kind."""
        return [
            vote
            for key in sorted(self._tallies)
            if key[0] >= round_
            for vote in self._tallies[key].votes.values()
        ]

    def round_ahead(self, current_round: int) -> int | None:
        """The highest round that more than a third of avs(height - 1) has reached, if above."""
        signers: dict[bytes, None] = {}
        for round_, kind in sorted(self._tallies, reverse=True):
            if round_ <= current_round:
                return None
            signers.update(dict.fromkeys(self._tallies[round_, kind].votes))
            if exceeds_third(signers, self._newest):
                return round_
        return None

    def enter(self, round_: int) -> None:
        """The current round is ``round_`` now: forget what is too old to matter."""
        for key in [key for key in self._tallies if key[0] < round_ - PAST_ROUNDS_KEPT]:
            del self._tallies[key]

    def _tally(self, round_: int, kind: VoteKind) -> Tally:
        tally = self._tallies.get((round_, kind))
        if tally is None:
            tally = self._tallies[round_, kind] = Tally(self._snapshots)
        return tally

    def _drop(self, round_: int, kind: VoteKind, voter: bytes) -> None:
        tally = self._tallies.get((round_, kind))
        if tally is not None:
            tally.drop(voter)
            if not tally.votes:
                del self._tallies[round_, kind]

    def _future_rounds(self, voter: bytes, current_round: int) -> list[int]:
        """The rounds above the current one in which ``voter`` has votes, ascending."""
        rounds = {
            round_
            for (round_, _), tally in self._tallies.items()
            if round_ > current_round and voter in tally.votes
        }
        return sorted(rounds)
