"""Messages from peers about the current height: verified, then handed to the agreement.

Cheap checks come before signatures; what is forged is charged to the sender and changes nothing.
"""

from __future__ import annotations

from timecoin.consensus import events
from timecoin.consensus.agreement import Agreement
from timecoin.consensus.early import Message
from timecoin.consensus.messages import BlockVote, CandidateMessage, Proposal, Votes, vote_statement
from timecoin.consensus.proposal import Offer, ProposalError
from timecoin.consensus.sortition import SortitionError
from timecoin.crypto.keys import Verify
from timecoin.machine import Blame, Emit, Spread
from timecoin.quorum.statement import VoteKind

FORGED_POINTS = 20


def height_of(message: Message) -> int:
    """The height that ``message`` is about."""
    return message.votes[0].height if isinstance(message, Votes) else message.height


class Intake:
    """Takes the messages of one height."""

    def __init__(self, agreement: Agreement, chain_id: bytes, verify: Verify) -> None:
        self._agreement = agreement
        self._chain_id = chain_id
        self._verify = verify

    def take(self, peer: bytes, message: Message, now_ms: int) -> None:
        """Take ``message``, which is about the agreement's height."""
        match message:
            case CandidateMessage():
                self._candidate(peer, message, now_ms)
            case Proposal():
                self._proposal(peer, message, now_ms)
            case BlockVote():
                self._vote(peer, message)
            case Votes(votes):
                for vote in votes:
                    if not self._vote(peer, vote):
                        break

    def _candidate(self, peer: bytes, message: CandidateMessage, now_ms: int) -> None:
        try:
            added = self._agreement.candidates.add(message, now_ms)
        except SortitionError as error:
            self._blame(peer, f"candidate: {error}")
            return
        if added:
            self._agreement.out.append(Spread(message, author=message.pubkey))

    def _proposal(self, peer: bytes, proposal: Proposal, now_ms: int) -> None:
        agreement = self._agreement
        instance = agreement.instance
        if not instance.offers.wants(proposal, instance.round):
            return
        try:
            if not agreement.judge.check_form(proposal, now_ms):
                return
        except ProposalError as error:
            self._blame(peer, f"proposal: {error}")
            return
        first = instance.offer(Offer(proposal, peer, now_ms))
        if instance.offers.has(proposal):
            agreement.out.append(Spread(proposal, author=proposal.proposer))
        if first is not None:
            agreement.out.append(Emit(events.Equivocation(first, proposal)))

    def _vote(self, peer: bytes, vote: BlockVote) -> bool:
        """Count ``vote``; False when it is forged."""
        agreement = self._agreement
        instance = agreement.instance
        if vote.height != agreement.height or vote.kind not in (
            VoteKind.PREPARE,
            VoteKind.PRECOMMIT,
        ):
            return self._blame(peer, "vote of another kind or height")
        if not instance.votes.is_voter(vote.voter):
            return self._blame(peer, "vote of one who is no voter")
        if not instance.votes.wants(vote, instance.round):
            return True
        if not self._verify(vote.voter, vote_statement(self._chain_id, vote), vote.signature):
            return self._blame(peer, "bad signature of a vote")
        first = instance.votes.add(vote, instance.round)
        agreement.out.append(Spread(vote, author=vote.voter))
        if first is not None:
            agreement.out.append(Emit(events.Equivocation(first, vote)))
        return True

    def _blame(self, peer: bytes, reason: str) -> bool:
        self._agreement.out.append(Blame(peer, FORGED_POINTS, reason))
        return False
