"""Messages from peers about the current height: verified, then handed to the agreement.

Cheap checks come before signatures; what is forged is charged to the sender and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from timecoin.consensus import events
from timecoin.consensus.agreement import Agreement
from timecoin.consensus.assembly import Open
from timecoin.consensus.early import Message
from timecoin.consensus.messages import (
    BlockVote,
    CandidateMessage,
    GetProposedCertificates,
    Proposal,
    ProposedCertificates,
    Votes,
    vote_statement,
)
from timecoin.consensus.proposal import Offer, ProposalError, check_names
from timecoin.consensus.sortition import SortitionError
from timecoin.crypto.keys import Verify
from timecoin.machine import Blame, Emit, Send, Spread
from timecoin.quorum.statement import NIL, VoteKind

FORGED_POINTS = 20
UNREQUESTED_POINTS = 5


Asked = GetProposedCertificates | ProposedCertificates
"""Worth nothing before their height: they are not kept for it."""


def height_of(message: Message | Asked) -> int:
    """The height that ``message`` is about."""
    return message.votes[0].height if isinstance(message, Votes) else message.height


class Intake:
    """Takes the messages of one height."""

    def __init__(
        self,
        agreement: Agreement,
        chain_id: bytes,
        verify: Verify,
        links: Mapping[bytes, bytes | None],
    ) -> None:
        """``links``: the linked peers."""
        self._agreement = agreement
        self._chain_id = chain_id
        self._verify = verify
        self._links = links

    def take(self, peer: bytes, message: Message | Asked, now_ms: int) -> None:
        """Take ``message``, which is about the agreement's height."""
        match message:
            case CandidateMessage():
                self._candidate(peer, message, now_ms)
            case Proposal():
                self._proposal(peer, message, now_ms)
            case BlockVote():
                self._vote(peer, message)
            case GetProposedCertificates():
                self._asked(peer, message)
            case ProposedCertificates():
                self._fetched(peer, message)
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
            check_names(proposal)
            if not agreement.judge.check_form(proposal, now_ms):
                return
        except ProposalError as error:
            self._blame(peer, f"proposal: {error}")
            return
        opened = agreement.assembly.begin(peer, proposal, now_ms)
        if opened is None:
            return
        if not opened.lacking:
            self._offer(opened)
        elif not opened.asked:
            agreement.out.extend(agreement.assembly.ask(opened, self._links))

    def look_again(self) -> None:
        """Proposals that still lack something: the next peer is asked for it."""
        agreement = self._agreement
        instance = agreement.instance
        for opened in agreement.assembly.open():
            if not instance.offers.wants(opened.proposal, instance.round):
                agreement.assembly.end(opened)
            elif not opened.lacking:
                self._offer(opened)
            else:
                agreement.out.extend(agreement.assembly.ask(opened, self._links))

    def _offer(self, opened: Open) -> None:
        """Nothing is lacking any more: its senders answer for what it turns out to be."""
        agreement, proposal = self._agreement, opened.proposal
        instance = agreement.instance
        agreement.assembly.end(opened)
        if not instance.offers.wants(proposal, instance.round):
            return
        whole, senders = opened.whole(), tuple(opened.senders)
        try:
            agreement.judge.check_body(whole)
        except ProposalError as error:
            for sender in senders:
                self._blame(sender, f"proposal: {error}")
            return
        first = instance.offer(Offer(whole, senders[0], opened.arrived_ms))
        if instance.offers.has(whole):
            agreement.out.append(Spread(proposal, author=proposal.proposer))
        if first is not None:
            agreement.out.append(Emit(events.Equivocation(first, whole)))

    def _asked(self, peer: bytes, message: GetProposedCertificates) -> None:
        agreement = self._agreement
        proposal = agreement.instance.offers.proposal(message.block_hash)
        if proposal is None:
            return  # not here is no fault
        agreement.out.extend(agreement.assembly.give(peer, proposal, message.names))

    def _fetched(self, peer: bytes, message: ProposedCertificates) -> None:
        if not self._agreement.assembly.was_asked(peer):
            self._agreement.out.append(
                Blame(peer, UNREQUESTED_POINTS, "unrequested certificates of a proposal")
            )
            return
        for opened in self._agreement.assembly.got(message):
            if not opened.lacking:
                self._offer(opened)

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
        self._show_other(peer, vote)
        return True

    def _show_other(self, peer: bytes, vote: BlockVote) -> None:
        """``peer`` has a vote for another block than those at hand: show it these.

        Their proposer may have made two. Gossip carries neither across, as everybody is thought to
        have the proposal from its author.
        """
        offers = self._agreement.instance.offers
        if vote.kind == VoteKind.PREPARE and vote.block_hash not in (NIL, *offers.block_hashes()):
            for offer in offers.of(vote.round):
                self._agreement.out.append(Send(peer, offer.proposal.compact))

    def _blame(self, peer: bytes, reason: str) -> bool:
        self._agreement.out.append(Blame(peer, FORGED_POINTS, reason))
        return False
