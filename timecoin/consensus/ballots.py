"""What this node signs on one height: proposals, prepares, precommits (PROTOCOL 6).

Each is signed by the :class:`Signer`, recorded, then counted and sent. The driver makes records
safe before messages leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.consensus import events
from timecoin.consensus.candidates import Candidates
from timecoin.consensus.messages import BlockVote, CandidateMessage, Proposal
from timecoin.consensus.proposal import Offer, Refusal
from timecoin.consensus.round import Instance, Prepare
from timecoin.consensus.seat import Seat
from timecoin.ledger.block import Block, Resolution
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Effect, Emit, Send, Spread
from timecoin.quorum.certificate import BatchCertificate
from timecoin.quorum.statement import (
    NIL,
    VoteKind,
    precommit_statement,
    prepare_statement,
    proposal_statement,
)

BROKEN_RULE_POINTS = 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """What this node puts before ``BlockRules.assemble``: a ``Contents`` of its port."""

    transactions: tuple[Transaction, ...]
    certificates: tuple[BatchCertificate, ...]
    resolutions: tuple[Resolution, ...]
    avs_changes: tuple[bytes, ...]
    evidence: tuple[bytes, ...]


class Ballots:
    """Signs and casts for the rounds of ``instance``; effects are added to ``out``."""

    def __init__(
        self, seat: Seat, instance: Instance, candidates: Candidates, out: list[Effect]
    ) -> None:
        self._seat = seat
        self._tip = seat.ports.rules.tip
        self._height = self._tip.height + 1
        self._instance = instance
        self._candidates = candidates
        self._out = out
        self.proposal: Proposal | None = None
        """This node's last own proposal."""

    def propose(self, turn: CandidateMessage, now_ms: int) -> None:
        """If ``turn`` is this node's: propose the valid block again, or else a fresh one."""
        height, round_, signer = self._height, self._instance.round, self._seat.signer
        if signer is None or turn.pubkey != signer.public:
            return
        if signer.signed(height, round_, VoteKind.PROPOSAL) is not None:
            return  # proposed in an earlier life: never another one
        valid = self._instance.valid
        if valid is not None:
            block, quorum, valid_round = valid.block, valid.quorum, valid.quorum.round + 1
        else:
            block, quorum, valid_round = self._fresh_block(turn, now_ms), None, 0
        statement = proposal_statement(
            self._seat.settings.chain_id, height, round_, valid_round, turn.slot, block.hash
        )
        vote = self._sign(VoteKind.PROPOSAL, block.hash, statement)
        if vote is None:
            return
        self.proposal = Proposal(
            height,
            round_,
            valid_round,
            turn.slot,
            self._candidates.ranking(turn.slot),
            block,
            quorum,
            turn.pubkey,
            vote.signature,
        )
        self._out.append(self._seat.journal.proposal(self.proposal))
        entries = len(block.body.entries)
        self._out.append(Emit(events.Proposing(height, round_, block.hash, entries)))
        self._out.append(Spread(self.proposal.compact))
        self._instance.offer(Offer(self.proposal, None, now_ms))

    def _fresh_block(self, turn: CandidateMessage, now_ms: int) -> Block:
        ports, settings = self._seat.ports, self._seat.settings
        payments = ports.archive.contents(now_ms, settings.max_entries, settings.max_block_bytes)
        contents = Gathered(
            payments.transactions,
            payments.certificates,
            payments.resolutions,
            avs_changes=ports.membership.changes(now_ms),
            evidence=ports.accusations.evidence(),
        )
        checked = ports.rules.assemble(
            contents,
            turn.slot,
            self._instance.round,
            turn.pubkey,
            turn.vrf_proof,
            max(now_ms, self._tip.timestamp_ms + 1),
        )
        return checked.block

    def prepare(self, action: Prepare) -> None:
        """Prepare a block, with the ban that its resolutions bring, or nil, and say why."""
        statement = prepare_statement(
            self._seat.settings.chain_id, self._height, self._instance.round, action.block_hash
        )
        vote = self._sign(VoteKind.PREPARE, action.block_hash, statement)
        offer, refusal, checked = action.offer, action.refusal, action.checked
        if vote is not None and checked is not None and vote.block_hash == checked.block.hash:
            if checked.block.body.resolutions:
                ban = self._seat.ports.archive.ban_for(checked.block, checked.transactions)
                self._out.extend(ban)
        self._instance.prepared()
        self._cast(vote, events.PrepareCast)
        if offer is not None and refusal is not None:
            self._answer(offer, refusal)

    def _answer(self, offer: Offer, refusal: Refusal) -> None:
        """Tell the log, and the proposer what it lacks."""
        proposer, round_ = offer.proposal.proposer, self._instance.round
        self._out.append(
            Emit(
                events.ProposalRefused(
                    self._height, round_, offer.block.hash, proposer, refusal.reason
                )
            )
        )
        peer = self._seat.peer_of(proposer)
        if peer is not None:
            self._out.extend(Send(peer, message) for message in refusal.messages)
            if refusal.fault:
                self._out.append(Blame(peer, BROKEN_RULE_POINTS, refusal.reason))

    def precommit(self, block_hash: bytes) -> None:
        """Precommit, and lock the block; it was recorded when its quorum was learned."""
        statement = precommit_statement(
            self._seat.settings.chain_id, self._height, self._instance.round, block_hash
        )
        vote = self._sign(VoteKind.PRECOMMIT, block_hash, statement)
        self._instance.precommitted(NIL if vote is None else vote.block_hash)
        self._cast(vote, events.PrecommitCast)

    def _sign(self, kind: VoteKind, block_hash: bytes, statement: bytes) -> BlockVote | None:
        """Sign and record, or give out again what was signed before at this position."""
        signer = self._seat.signer
        if signer is None:
            return None
        vote = signer.sign(kind, self._height, self._instance.round, block_hash, statement)
        if vote is not None:
            self._out.append(self._seat.journal.vote(vote))
        return vote

    def _cast(
        self,
        vote: BlockVote | None,
        signal: type[events.PrepareCast] | type[events.PrecommitCast],
    ) -> None:
        """Count an own vote and send it."""
        if vote is None:
            return
        votes = self._instance.votes
        if votes.wants(vote, vote.round):
            votes.add(vote, vote.round)
        self._out.append(Spread(vote))
        weight = votes.weight(vote.round, VoteKind(vote.kind), vote.block_hash)
        cast = signal(self._height, vote.round, vote.block_hash, weight, votes.total_weight)
        self._out.append(Emit(cast))
