"""This node's part in the agreement on one height: carries out what is due in the rounds.

Decides nothing by itself: which rule fires is :class:`Instance`'s word, which vote may be signed
is the :class:`Signer`'s.
"""

from __future__ import annotations

from timecoin.consensus import events
from timecoin.consensus.candidates import Candidates
from timecoin.consensus.messages import (
    BlockVote,
    CandidateMessage,
    Proposal,
    VoteKind,
    proposal_statement,
)
from timecoin.consensus.proposal import Judge, Offer
from timecoin.consensus.round import (
    Action,
    Arm,
    Decide,
    EnterRound,
    Halt,
    Instance,
    Learn,
    Precommit,
    Prepare,
    Step,
    Valid,
)
from timecoin.consensus.seat import Seat
from timecoin.consensus.slots import Slots
from timecoin.consensus.timeouts import Timeout, delay_ms
from timecoin.consensus.votes import VoteBook
from timecoin.ledger.block import Block
from timecoin.machine import Blame, Broadcast, Effect, Emit, Send, StartTimer, StopTimer
from timecoin.quorum.certificate import BlockCertificate
from timecoin.quorum.snapshots import block_snapshots
from timecoin.quorum.statement import NIL, precommit_statement, prepare_statement
from timecoin.quorum.tally import weight_of

ROUND_TIMER = "round"
RETRANSMIT_TIMER = "retransmit"
BROKEN_RULE_POINTS = 20
MAX_BODY_PEERS = 8


class Agreement:
    """One height: candidates, rounds, votes. Effects gather in ``out`` until they are taken."""

    def __init__(self, seat: Seat) -> None:
        """Begins with the height after the tip."""
        rules, settings = seat.ports.rules, seat.settings
        self.tip = rules.tip
        self.height = self.tip.height + 1
        newest, snapshots = rules.active_set(self.tip.height), block_snapshots(rules, self.height)
        if newest is None or snapshots is None:
            raise LookupError(f"no active set at the tip, height {self.tip.height}")
        self.active_set = newest
        verify = seat.ports.verify
        self.candidates = Candidates(settings.chain_id, settings.slot_ms, self.tip, newest, verify)
        self.judge = Judge(settings.chain_id, seat.ports, self.candidates, snapshots)
        self.instance = Instance(VoteBook(self.height, snapshots, newest), self.judge)
        self.slots = Slots(self.tip, settings.slot_ms, settings.timing.collection_delay_ms)
        self.proposal: Proposal | None = None
        """This node's own, in the current round."""
        self.out: list[Effect] = []
        self._seat = seat
        self._retransmitting = False
        self._asked: dict[bytes, None] = {}

    @property
    def voting(self) -> bool:
        """Whether this node may vote on this height: a voter that does not catch up."""
        seat = self._seat
        if seat.signer is None or seat.catching_up or seat.halted:
            return False
        return self.instance.votes.is_voter(seat.signer.public)

    def turn(self) -> CandidateMessage | None:
        """Whose turn the current round is, by the newest collected slot that has a candidate."""
        collected = self.slots.collected
        slot = None if collected is None else self.candidates.newest_slot(collected)
        return None if slot is None else self.candidates.turn(slot, self.instance.round)

    def advance(self, now_ms: int) -> None:
        """Carry out what is due until nothing is."""
        ready = self.slots.collected is not None and self.instance.step == Step.WAIT
        if ready and self.candidates.newest_slot(self.slots.collected or 0) is not None:
            self._enter(0, now_ms)
        while (action := self.instance.due(now_ms, self.voting)) is not None:
            self._carry_out(action, now_ms)
        self.want_bodies(again=False)

    def _carry_out(self, action: Action, now_ms: int) -> None:
        match action:
            case EnterRound(round_):
                self._enter(round_, now_ms)
            case Prepare():
                self._prepare(action)
            case Precommit(block_hash):
                self._precommit(block_hash)
            case Learn(quorum, checked):
                self.out.extend(self._seat.journal.learned(quorum, checked))
                self.instance.learn(Valid(quorum, checked.block))
                self._emit_quorum(events.PrepareQuorum, VoteKind.PREPARE, quorum)
            case Arm(timeout):
                self._arm(timeout)
            case Decide(checked, certificate):
                self.instance.step = Step.DECIDED
                self.stop()
                self._emit_quorum(events.PrecommitQuorum, VoteKind.PRECOMMIT, certificate)
                self.out.append(Emit(events.Decided(checked, certificate)))
            case Halt(first, second):
                self._seat.halted = True
                self.instance.step = Step.HALTED
                self.stop()
                self.out.append(self._seat.journal.broken(first, second))
                self.out.append(Emit(events.SafetyBroken(first, second)))

    # Slots and rounds.

    def turn_page(self, now_ms: int) -> None:
        """A slot may have begun: announce this node's candidate for it."""
        self.out.extend(self.slots.turn_page(now_ms))
        if self.slots.newest is not None:
            self.announce(now_ms)
            self.retransmit_later()

    def announce(self, now_ms: int) -> CandidateMessage | None:
        """This node's candidate for the newest slot; announced when it is new."""
        slot, signer, vrf_seed = self.slots.newest, self._seat.signer, self._seat.vrf_seed
        if slot is None or signer is None or vrf_seed is None or not self.voting:
            return None
        known = self.candidates.of(slot, signer.public)
        if known is not None:
            return known
        own = self.candidates.own(signer, vrf_seed, slot)
        if own is not None:
            self.candidates.add(own, now_ms)
            self.out.append(Broadcast(own))
        return own

    def resume(self, now_ms: int) -> None:
        """Go on with the round that the instance was restored to."""
        self._arm(Timeout.PROPOSE)
        self.instance.round_start_ms = now_ms
        self.retransmit_later()

    def stop(self) -> None:
        """No timer of this height is needed any more."""
        self._stop_round_timers()
        self.out.extend(self.slots.stop())
        self.out.append(StopTimer((RETRANSMIT_TIMER, self.height)))

    def retransmit_later(self) -> None:
        """Start the periodic repetition of what this node has said, unless it runs already."""
        if not self._retransmitting:
            self._retransmitting = True
            self.restart_retransmit()

    def restart_retransmit(self) -> None:
        """The period begins again."""
        period_ms = self._seat.settings.timing.retransmit_ms
        self.out.append(StartTimer((RETRANSMIT_TIMER, self.height), period_ms))

    def _enter(self, round_: int, now_ms: int) -> None:
        self._stop_round_timers()
        self.instance.enter(round_, now_ms)
        self.proposal = None
        self.out.append(self._seat.journal.place(self.height, round_))
        self._arm(Timeout.PROPOSE)
        self.retransmit_later()
        turn = self.turn()
        slot, proposer = (0, None) if turn is None else (turn.slot, turn.pubkey)
        self.out.append(Emit(events.RoundStarted(self.height, round_, slot, proposer)))
        if turn is not None and self.voting and turn.pubkey == self._public:
            self._propose(turn, now_ms)

    def _arm(self, timeout: Timeout) -> None:
        self.instance.arm(timeout)
        round_ = self.instance.round
        delay = delay_ms(self._seat.settings.timing, round_)
        self.out.append(StartTimer((ROUND_TIMER, self.height, round_, int(timeout)), delay))

    def _stop_round_timers(self) -> None:
        if self.instance.round >= 0:
            for timeout in Timeout:
                name = (ROUND_TIMER, self.height, self.instance.round, int(timeout))
                self.out.append(StopTimer(name))

    # Signing.

    @property
    def _public(self) -> bytes | None:
        return None if self._seat.signer is None else self._seat.signer.public

    def _propose(self, turn: CandidateMessage, now_ms: int) -> None:
        """Propose the valid block again, or else a fresh one, in the slot of ``turn``."""
        valid = self.instance.valid
        if valid is not None:
            block, quorum, valid_round = valid.block, valid.quorum, valid.quorum.round + 1
        else:
            block, quorum, valid_round = self._fresh_block(turn, now_ms), None, 0
        height, round_ = self.height, self.instance.round
        statement = proposal_statement(
            self._seat.settings.chain_id, height, round_, valid_round, turn.slot, block.hash
        )
        vote = self._sign(VoteKind.PROPOSAL, block.hash, statement)
        if vote is None or vote.block_hash != block.hash:
            return  # proposed already, in a life whose proposal is lost: never another one
        self.proposal = Proposal(
            height,
            round_,
            valid_round,
            turn.slot,
            self.candidates.ranking(turn.slot),
            block,
            quorum,
            turn.pubkey,
            vote.signature,
        )
        self.out.append(self._seat.journal.proposal(self.proposal))
        entries = len(block.body.entries)
        self.out.append(Emit(events.Proposing(height, round_, block.hash, entries)))
        self.out.append(Broadcast(self.proposal))
        self.instance.offer(Offer(self.proposal, None, now_ms))

    def _fresh_block(self, turn: CandidateMessage, now_ms: int) -> Block:
        ports, settings = self._seat.ports, self._seat.settings
        contents = ports.archive.contents(now_ms, settings.max_entries, settings.max_block_bytes)
        checked = ports.rules.assemble(
            contents,
            turn.slot,
            self.instance.round,
            turn.pubkey,
            turn.vrf_proof,
            max(now_ms, self.tip.timestamp_ms + 1),
        )
        return checked.block

    def _prepare(self, action: Prepare) -> None:
        statement = prepare_statement(
            self._seat.settings.chain_id, self.height, self.instance.round, action.block_hash
        )
        vote = self._sign(VoteKind.PREPARE, action.block_hash, statement)
        offer, refusal = action.offer, action.refusal
        if vote is not None and offer is not None and vote.block_hash == offer.block.hash:
            if offer.block.body.resolutions:
                self.out.extend(self._seat.ports.archive.ban_for(offer.block))
        self.instance.prepared()
        self._cast(vote, events.PrepareCast)
        if offer is None or refusal is None:
            return
        proposer = offer.proposal.proposer
        self.out.append(
            Emit(
                events.ProposalRefused(
                    self.height, self.instance.round, offer.block.hash, proposer, refusal.reason
                )
            )
        )
        peer = self._seat.peer_of(proposer)
        if peer is not None:
            self.out.extend(Send(peer, message) for message in refusal.messages)
            if refusal.fault:
                self.out.append(Blame(peer, BROKEN_RULE_POINTS, refusal.reason))

    def _precommit(self, block_hash: bytes) -> None:
        statement = precommit_statement(
            self._seat.settings.chain_id, self.height, self.instance.round, block_hash
        )
        vote = self._sign(VoteKind.PRECOMMIT, block_hash, statement)
        self.instance.precommitted(NIL if vote is None else vote.block_hash)
        self._cast(vote, events.PrecommitCast)

    def _sign(self, kind: VoteKind, block_hash: bytes, statement: bytes) -> BlockVote | None:
        """Sign and record, or give out again what was signed before at this position."""
        signer = self._seat.signer
        if signer is None:
            return None
        vote = signer.sign(kind, self.height, self.instance.round, block_hash, statement)
        if vote is not None:
            self.out.append(self._seat.journal.vote(vote))
        return vote

    def _cast(
        self,
        vote: BlockVote | None,
        signal: type[events.PrepareCast] | type[events.PrecommitCast],
    ) -> None:
        """Count an own vote and send it."""
        if vote is None:
            return
        votes = self.instance.votes
        if votes.wants(vote, vote.round):
            votes.add(vote, vote.round)
        self.out.append(Broadcast(vote))
        weight = votes.weight(vote.round, VoteKind(vote.kind), vote.block_hash)
        cast = signal(self.height, vote.round, vote.block_hash, weight, votes.total_weight)
        self.out.append(Emit(cast))

    # What others should know.

    def _emit_quorum(
        self,
        signal: type[events.PrepareQuorum] | type[events.PrecommitQuorum],
        kind: VoteKind,
        quorum: BlockCertificate,
    ) -> None:
        votes = self.instance.votes
        signers = [votes.voters[item.voter] for item in quorum.signatures]
        weight = weight_of(signers, self.active_set)
        self.out.append(
            Emit(signal(self.height, quorum.round, quorum.block_hash, weight, votes.total_weight))
        )

    def want_bodies(self, again: bool) -> None:
        """Ask for the bodies that some block lacks; once, or ``again`` at each repetition."""
        for block_hash, missing in self.judge.missing().items():
            if again or block_hash not in self._asked:
                self._asked[block_hash] = None
                senders = self.instance.offers.senders(block_hash)
                peers = dict.fromkeys([*senders, *self._seat.links])
                wanted = events.BodiesWanted(tuple(peers)[:MAX_BODY_PEERS], missing.wtxids)
                self.out.append(Emit(wanted))
