"""Block consensus as a machine: from height to height (PROTOCOL 6).

Begins a height when the tip is new, hands messages and timers to the :class:`Agreement` on it,
and brings back after a restart what the journal knows. Does no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from timecoin.consensus import events, resend
from timecoin.consensus.agreement import RETRANSMIT_TIMER, ROUND_TIMER, Agreement
from timecoin.consensus.early import Early
from timecoin.consensus.intake import Intake, height_of
from timecoin.consensus.journal import HEIGHTS_KEPT, Journal, Journaled, JournalError, read_rows
from timecoin.consensus.messages import (
    BlockVote,
    CandidateMessage,
    GetProposedCertificates,
    Proposal,
    ProposedCertificates,
    Votes,
)
from timecoin.consensus.ports import Ports
from timecoin.consensus.proposal import Offer
from timecoin.consensus.round import Lock, Step, Valid
from timecoin.consensus.seat import ConsensusSettings, Identity, Seat
from timecoin.consensus.signer import Signer
from timecoin.consensus.slots import COLLECT_TIMER, SLOT_TIMER
from timecoin.consensus.timeouts import Timeout
from timecoin.ledger.transaction import Transaction
from timecoin.machine import (
    Broadcast,
    CatchUpChanged,
    Effect,
    LinkDown,
    LinkUp,
    Received,
    Restore,
    Send,
    Start,
    TimerFired,
)
from timecoin.quorum.statement import NIL, VoteKind
from timecoin.quorum.tally import quorum_weight


@dataclass(frozen=True, slots=True)
class ConsensusView:
    """Where block consensus stands, for RPC and metrics. Weights are of avs(height - 1)."""

    height: int
    round: int
    """-1 before round 0."""
    step: str
    slot: int | None
    """The newest slot that has begun after the tip's."""
    proposer: bytes | None
    candidates: int
    prepare_weight: int
    precommit_weight: int
    """Weight of the block with most votes in the round."""
    quorum: int
    total_weight: int
    voting: bool
    locked: bytes | None
    halted: bool


class Consensus:
    """The machine; ``identity`` None only follows. Hears Restore, Start, then everything else."""

    def __init__(
        self, settings: ConsensusSettings, ports: Ports, identity: Identity | None
    ) -> None:
        self._kept_bodies: dict[bytes, Transaction] = {}
        self._outer_find = ports.find
        ports = replace(ports, find=self._find)
        signer = None if identity is None else Signer(identity.key)
        vrf_seed = None if identity is None else identity.vrf_seed
        self._found = Journaled()
        self._seat = Seat(settings, ports, signer, vrf_seed, Journal(self._found))
        self._early = Early()
        self._agreement: Agreement | None = None

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at Unix time ``now_ms``; return what is to be done."""
        match event:
            case Restore(rows):
                self._restore(rows)
                return []
            case LinkDown(peer):
                self._seat.links.pop(peer, None)
                self._early.forget(peer)
                if self._agreement is not None:
                    self._agreement.assembly.forget(peer)
                return []
            case LinkUp(peer, masternode):
                self._seat.links[peer] = masternode
            case CatchUpChanged(active):
                self._seat.catching_up = active
            case events.ClockJudged(sound):
                self._seat.clock_is_sound = sound
        started = self._agreement is not None or isinstance(event, Start)
        if not started:
            return []
        # The tip may have moved although the event that says so is still in the queue.
        before = self._begin(now_ms) if self._at_old_tip() else []
        return before + self._act(event, now_ms)

    def _at_old_tip(self) -> bool:
        next_height = self._seat.ports.rules.tip.height + 1
        return self._agreement is None or self._agreement.height != next_height

    def _act(self, event: object, now_ms: int) -> list[Effect]:
        agreement = self._agreement
        if agreement is None:
            return []
        match event:
            case Received(peer, GetProposedCertificates() | ProposedCertificates() as message):
                if height_of(message) == agreement.height:
                    self._intake(agreement).take(peer, message, now_ms)
            case Received(peer, CandidateMessage() | BlockVote() | Votes() | Proposal() as message):
                if height_of(message) == agreement.height + 1:
                    self._early.keep(peer, message)
                if height_of(message) != agreement.height:
                    return []
                self._intake(agreement).take(peer, message, now_ms)
            case TimerFired(name):
                self._timer(agreement, name, now_ms)
            case LinkUp(peer, _):
                agreement.out.extend(Send(peer, m) for m in resend.for_new_link(agreement))
            case CatchUpChanged(False):
                agreement.announce(now_ms)
        return self._finish(agreement, now_ms)

    def view(self) -> ConsensusView | None:
        """Where consensus stands now; None before Start."""
        agreement = self._agreement
        if agreement is None:
            return None
        instance, turn = agreement.instance, agreement.turn()
        votes, slot = instance.votes, agreement.slots.newest
        lock = instance.lock
        return ConsensusView(
            height=agreement.height,
            round=instance.round,
            step=instance.step.name.lower(),
            slot=slot,
            proposer=None if turn is None else turn.pubkey,
            candidates=0 if slot is None else len(agreement.candidates.ranking(slot)),
            prepare_weight=votes.top_weight(instance.round, VoteKind.PREPARE),
            precommit_weight=votes.top_weight(instance.round, VoteKind.PRECOMMIT),
            quorum=quorum_weight(votes.total_weight),
            total_weight=votes.total_weight,
            voting=agreement.voting,
            locked=None if lock is None else lock.block_hash,
            halted=self._seat.is_halted,
        )

    def _find(self, wtxid: bytes) -> Transaction | None:
        found = self._kept_bodies.get(wtxid)
        return self._outer_find(wtxid) if found is None else found

    def _intake(self, agreement: Agreement) -> Intake:
        seat = self._seat
        return Intake(agreement, seat.settings.chain_id, seat.ports.verify, seat.links)

    def _finish(self, agreement: Agreement, now_ms: int) -> list[Effect]:
        """Carry out what is due now, and hand over the effects."""
        agreement.advance(now_ms)
        return agreement.take()

    def _timer(self, agreement: Agreement, name: tuple[object, ...], now_ms: int) -> None:
        match name:
            case (_, height, *_) if height != agreement.height:
                return
            case (kind, _) if kind == SLOT_TIMER:
                agreement.turn_page(now_ms)
            case (kind, _, int() as slot) if kind == COLLECT_TIMER:
                agreement.slots.collect(slot)
            case (kind, _, round_, int() as timeout) if kind == ROUND_TIMER:
                if round_ == agreement.instance.round:
                    agreement.instance.expire(Timeout(timeout))
            case (kind, _) if kind == RETRANSMIT_TIMER:
                self._retransmit(agreement, now_ms)

    def _retransmit(self, agreement: Agreement, now_ms: int) -> None:
        if agreement.instance.step < Step.DECIDED:
            agreement.out.extend(Broadcast(m) for m in resend.periodic(agreement, now_ms))
            self._intake(agreement).look_again()
            agreement.want_bodies(again=True)
            agreement.restart_retransmit()

    # From height to height.

    def _restore(self, rows: tuple[tuple[str, bytes, bytes], ...]) -> None:
        """Read the journal; ``JournalError`` when it cannot be trusted or is another node's."""
        self._found = found = read_rows(rows)
        self._kept_bodies = dict(found.bodies)
        self._seat.journal = Journal(found)
        self._seat.halted = found.broken is not None
        if self._seat.signer is not None:
            try:
                self._seat.signer.restore(found.votes)
            except ValueError as error:
                raise JournalError(str(error)) from error

    def _begin(self, now_ms: int) -> list[Effect]:
        """Begin the height after the tip."""
        old, seat = self._agreement, self._seat
        agreement = self._agreement = Agreement(seat)
        if old is not None:
            old.stop()
            agreement.out.extend(old.take())
        resumed = old is None and self._resume(agreement, now_ms)
        if not resumed:
            self._kept_bodies = {}
            limit = agreement.height - HEIGHTS_KEPT
            dropped = () if seat.signer is None else seat.signer.forget_before(limit)
            agreement.out.extend(seat.journal.clear(dropped))
        if seat.is_halted:
            agreement.instance.step = Step.HALTED
        else:
            agreement.turn_page(now_ms)
        intake = self._intake(agreement)
        for peer, message in self._early.take():
            if height_of(message) == agreement.height:
                intake.take(peer, message, now_ms)
        return self._finish(agreement, now_ms)

    def _resume(self, agreement: Agreement, now_ms: int) -> bool:
        """Take up the height where the journal left it; False if it says nothing about it."""
        found, self._found = self._found, Journaled()
        height, instance = agreement.height, agreement.instance
        votes = [vote for vote in found.votes if vote.height == height]
        rounds = [vote.round for vote in votes]
        if found.place is not None and found.place.height == height:
            rounds.append(found.place.round)
        if not rounds:
            return False
        round_ = max(rounds)
        for block in found.blocks.values():
            if block.height == height:
                instance.keep(block)
        lock = _lock_of(votes)
        if lock is not None and lock.block_hash not in found.blocks:
            raise JournalError(f"the locked block {lock.block_hash.hex()} is not in the journal")
        valid, quorum = None, found.quorum
        if quorum is not None and quorum.height == height and quorum.block_hash in found.blocks:
            valid = Valid(quorum, found.blocks[quorum.block_hash])
        instance.restore(round_, _step_of(votes, round_), lock, valid)
        for vote in votes:
            if vote.kind != VoteKind.PROPOSAL and instance.votes.wants(vote, round_):
                instance.votes.add(vote, round_)
        own = found.proposal
        if own is not None and (own.height, own.round) == (height, round_):
            if agreement.judge.check_form(own, now_ms):
                agreement.ballots.proposal = own
                instance.offer(Offer(own, None, now_ms))
        agreement.resume(now_ms)
        return True


def _lock_of(votes: list[BlockVote]) -> Lock | None:
    """The lock is the last precommit for a block."""
    locks = [
        Lock(vote.round, vote.block_hash)
        for vote in votes
        if vote.kind == VoteKind.PRECOMMIT and vote.block_hash != NIL
    ]
    return max(locks, key=lambda lock: lock.round, default=None)


def _step_of(votes: list[BlockVote], round_: int) -> Step:
    """How far this node had voted in ``round_``."""
    kinds = {vote.kind for vote in votes if vote.round == round_}
    if VoteKind.PRECOMMIT in kinds:
        return Step.PRECOMMIT
    return Step.PREPARE if VoteKind.PREPARE in kinds else Step.PROPOSE
