"""Messages about the next height, kept until this node gets there: a little, bounded per peer."""

from __future__ import annotations

from collections import deque

from timecoin.consensus.messages import BlockVote, CandidateMessage, Proposal, Votes

SMALL_PER_PEER = 64
MAX_PROPOSALS = 4
"""Blocks are large: only so many, whoever sends them."""

Message = CandidateMessage | BlockVote | Votes | Proposal


class Early:
    """Unverified messages by peer; the newest ones stay."""

    def __init__(self) -> None:
        self._small: dict[bytes, deque[Message]] = {}
        self._bundles: dict[bytes, Votes] = {}
        self._proposals: dict[bytes, Proposal] = {}

    def keep(self, peer: bytes, message: Message) -> None:
        """Remember ``message`` of a linked peer."""
        match message:
            case Votes():
                self._bundles[peer] = message
            case Proposal():
                if peer in self._proposals or len(self._proposals) < MAX_PROPOSALS:
                    self._proposals[peer] = message
            case _:
                self._small.setdefault(peer, deque(maxlen=SMALL_PER_PEER)).append(message)

    def forget(self, peer: bytes) -> None:
        """The link is gone."""
        self._small.pop(peer, None)
        self._bundles.pop(peer, None)
        self._proposals.pop(peer, None)

    def take(self) -> list[tuple[bytes, Message]]:
        """Everything kept, candidates and votes before proposals; nothing is left here."""
        kept: list[tuple[bytes, Message]] = [
            (peer, message) for peer, messages in self._small.items() for message in messages
        ]
        kept.extend(self._bundles.items())
        kept.extend(self._proposals.items())
        self._small, self._bundles, self._proposals = {}, {}, {}
        return kept
