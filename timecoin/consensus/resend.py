"""What is sent again, so that lost messages and broken links only delay (PROTOCOL 6).

Periodically to all: this node's candidate and proposal, and the votes it knows of this round and
the one before. Others' votes go along: a faulty member that votes towards some only could
otherwise keep the rest a round behind.
"""

from __future__ import annotations

from timecoin.codec import Wire
from timecoin.consensus.agreement import Agreement
from timecoin.consensus.messages import MAX_VOTES, BlockVote, Votes
from timecoin.consensus.round import Step
from timecoin.quorum.statement import VoteKind


def periodic(agreement: Agreement, now_ms: int) -> list[Wire]:
    """For all peers, once a period while the height is not decided."""
    messages: list[Wire] = []
    candidate = agreement.announce(now_ms)
    if candidate is not None:
        messages.append(candidate)
    own = agreement.ballots.proposal
    if own is not None and own.round == agreement.instance.round:
        messages.append(own.compact)
    messages.extend(_bundles(agreement.instance.votes.since(agreement.instance.round - 1)))
    return messages


def for_new_link(agreement: Agreement) -> list[Wire]:
    """What a peer that was not there may have missed: all that still matters at this height."""
    instance = agreement.instance
    if instance.step >= Step.DECIDED:
        return []
    messages: list[Wire] = []
    if agreement.slots.newest is not None:
        messages.extend(agreement.candidates.ranking(agreement.slots.newest))
    messages.extend(offer.proposal.compact for offer in instance.offers.of(instance.round))
    votes = instance.votes.since(instance.round - 1)
    if instance.valid is not None and instance.valid.quorum.round < instance.round - 1:
        quorum = instance.valid.quorum
        votes = [
            BlockVote(
                VoteKind.PREPARE,
                quorum.height,
                quorum.round,
                quorum.block_hash,
                instance.votes.voters[item.voter],
                item.signature,
            )
            for item in quorum.signatures
        ] + votes
    messages.extend(_bundles(votes))
    return messages


def _bundles(votes: list[BlockVote]) -> list[Wire]:
    return [
        Votes(tuple(votes[start : start + MAX_VOTES])) for start in range(0, len(votes), MAX_VOTES)
    ]
