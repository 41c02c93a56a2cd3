"""The proposals at hand for one height, by round, in bounded number."""

from __future__ import annotations

from timecoin.consensus.messages import Proposal
from timecoin.consensus.proposal import Offer
from timecoin.ledger.block import Block

ROUNDS_AHEAD = 2
"""Proposals of later rounds are dropped: they are sent again every second."""
OUT_OF_TURN_PER_ROUND = 8
"""Proposals kept although their turn is not seen yet: a candidate may still arrive."""
PER_PROPOSER = 2
"""An equivocating proposer's second block may be the one that gets the quorum."""


def _identity(proposal: Proposal) -> tuple[bytes, int, int]:
    """What a proposer must not sign twice differently for one round."""
    return (proposal.block.hash, proposal.valid_round, proposal.slot)


class Offers:
    """Keeps the proposals of the round before the current one and of a few after it."""

    def __init__(self) -> None:
        self._rounds: dict[int, list[tuple[Offer, bool]]] = {}

    def wants(self, proposal: Proposal, current_round: int) -> bool:
        """Whether to look at ``proposal``: to be asked before anything in it is verified."""
        if not current_round - 1 <= proposal.round <= current_round + ROUNDS_AHEAD:
            return False
        held = self._by(proposal.round, proposal.proposer)
        return not self.has(proposal) and len(held) < PER_PROPOSER

    def has(self, proposal: Proposal) -> bool:
        """Whether ``proposal`` is kept: the same block for the same round by the same member."""
        held = self._by(proposal.round, proposal.proposer)
        return any(_identity(each) == _identity(proposal) for each in held)

    def add(self, offer: Offer, in_turn: bool) -> Proposal | None:
        """Keep a verified offer that is wanted.

        Returns an earlier proposal of the same proposer and round: evidence against it.
        """
        round_ = offer.proposal.round
        offers = self._rounds.setdefault(round_, [])
        held = self._by(round_, offer.proposal.proposer)
        out_of_turn = sum(not turn for _, turn in offers)
        if in_turn or out_of_turn < OUT_OF_TURN_PER_ROUND:
            offers.append((offer, in_turn))
        return held[0] if held else None

    def of(self, round_: int) -> list[Offer]:
        """The offers of ``round_`` in order of arrival."""
        return [offer for offer, _ in self._rounds.get(round_, ())]

    def block(self, block_hash: bytes) -> Block | None:
        """The proposed block with that hash, if it is at hand."""
        proposal = self.proposal(block_hash)
        return None if proposal is None else proposal.block

    def proposal(self, block_hash: bytes) -> Proposal | None:
        """A proposal of that block, if one is at hand."""
        for offers in self._rounds.values():
            for offer, _ in offers:
                if offer.block.hash == block_hash:
                    return offer.proposal
        return None

    def block_hashes(self) -> list[bytes]:
        """The hashes of all proposed blocks at hand."""
        return [offer.block.hash for offers in self._rounds.values() for offer, _ in offers]

    def senders(self, block_hash: bytes) -> list[bytes]:
        """The peers that sent a proposal of that block."""
        return [
            offer.peer
            for offers in self._rounds.values()
            for offer, _ in offers
            if offer.block.hash == block_hash and offer.peer is not None
        ]

    def enter(self, round_: int) -> None:
        """The current round is ``round_`` now: forget proposals that are too old."""
        for old in [key for key in self._rounds if key < round_ - 1]:
            del self._rounds[old]

    def _by(self, round_: int, proposer: bytes) -> list[Proposal]:
        return [
            offer.proposal
            for offer, _ in self._rounds.get(round_, ())
            if offer.proposal.proposer == proposer
        ]
