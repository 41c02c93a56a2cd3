"""The signer that never signs twice (PROTOCOL 6, LESSONS: votes are remembered across a restart).

For each height, round and kind there is one signature at most. What was signed once is given out
again, whatever is asked for; what lies behind the last position is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from timecoin.consensus.messages import BlockVote
from timecoin.crypto.keys import SigningKey
from timecoin.quorum.statement import VoteKind

Position = tuple[int, int, int]
"""(height, round, kind): signatures are made in this order only."""


def position_of(vote: BlockVote) -> Position:
    """Where ``vote`` stands in the order of signatures."""
    return (vote.height, vote.round, vote.kind)


class Signer:
    """Signs proposals, prepares and precommits of one voting key."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._signed: dict[Position, BlockVote] = {}
        self._last: Position = (-1, -1, -1)

    @property
    def public(self) -> bytes:
        """The voting key's public half."""
        return self._key.public

    def restore(self, votes: Iterable[BlockVote]) -> None:
        """Remember what the journal says was signed; all of it comes before any ``sign``.

        ``ValueError`` for a vote of another key: the journal belongs to another validator.
        """
        for vote in votes:
            if vote.voter != self.public:
                raise ValueError(f"the journal holds a vote of another key, {vote.voter.hex()}")
            self._signed[position_of(vote)] = vote
            self._last = max(self._last, position_of(vote))

    def signed(self, height: int, round_: int, kind: VoteKind) -> BlockVote | None:
        """What was signed at that position, if anything."""
        return self._signed.get((height, round_, kind))

    def votes_at(self, height: int) -> tuple[BlockVote, ...]:
        """Everything signed at ``height``, in order."""
        return tuple(v for at, v in sorted(self._signed.items()) if at[0] == height)

    def sign(
        self, kind: VoteKind, height: int, round_: int, block_hash: bytes, statement: bytes
    ) -> BlockVote | None:
        """The one vote of this position; a new one is a signature of ``statement``.

        It must be recorded before it leaves. None when a later position has been signed already.
        The caller compares ``block_hash``: an earlier vote may be for another block.
        """
        position = (height, round_, int(kind))
        known = self._signed.get(position)
        if known is not None:
            return known
        if position < self._last:
            return None
        signature = self._key.sign(statement)
        vote = BlockVote(int(kind), height, round_, block_hash, self.public, signature)
        self._signed[position] = vote
        self._last = position
        return vote

    def sign_candidate(self, statement: bytes) -> bytes:
        """The signature of a candidate: its content is unique, so nothing needs remembering."""
        return self._key.sign(statement)

    def forget_before(self, height: int) -> tuple[BlockVote, ...]:
        """Drop what was signed below ``height``; the last position stays. Returns the dropped."""
        old = tuple(vote for at, vote in self._signed.items() if at[0] < height)
        for vote in old:
            del self._signed[position_of(vote)]
        return old
