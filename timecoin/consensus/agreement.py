"""This node's part in the agreement on one height: carries out what is due in the rounds.

Decides nothing by itself: which rule fires is the :class:`Instance`'s word, what is signed and
sent for it the :class:`Ballots`' work.
"""

from __future__ import annotations

from timecoin.consensus import events
from timecoin.consensus.assembly import Assembly
from timecoin.consensus.ballots import Ballots
from timecoin.consensus.candidates import Candidates
from timecoin.consensus.messages import CandidateMessage
from timecoin.consensus.proposal import Judge
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
from timecoin.machine import Effect, Emit, Spread, StartTimer, StopTimer
from timecoin.mempool.exchange import BodiesWanted
from timecoin.quorum.certificate import BlockCertificate
from timecoin.quorum.snapshots import block_snapshots
from timecoin.quorum.tally import weight_of

ROUND_TIMER = "round"
RETRANSMIT_TIMER = "retransmit"
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
        self.out: list[Effect] = []
        self.ballots = Ballots(seat, self.instance, self.candidates, self.out)
        self.assembly = Assembly(self.height, seat.ports.archive.certificate)
        self._seat = seat
        self._retransmitting = False
        self._asked: dict[bytes, None] = {}

    @property
    def voting(self) -> bool:
        """Whether this node may vote on this height: a voter that does not catch up."""
        seat = self._seat
        if seat.signer is None or seat.catching_up or seat.is_halted:
            return False
        return self.instance.votes.is_voter(seat.signer.public)

    @property
    def proposing(self) -> bool:
        """Whether this node may propose: a voter whose clock agrees with its peers'."""
        return self.voting and self._seat.clock_is_sound

    def turn(self) -> CandidateMessage | None:
        """Whose turn the current round is, by the newest collected slot that has a candidate."""
        slot = self._newest_slot()
        return None if slot is None else self.candidates.turn(slot, self.instance.round)

    def take(self) -> list[Effect]:
        """The effects gathered so far; none are left here."""
        taken = list(self.out)
        self.out.clear()
        return taken

    def advance(self, now_ms: int) -> None:
        """Carry out what is due until nothing is."""
        if self.instance.step == Step.WAIT and self._newest_slot() is not None:
            self._enter(0, now_ms)
        while (action := self.instance.due(now_ms, self.voting)) is not None:
            self._carry_out(action, now_ms)
        self.want_bodies(again=False)

    def _carry_out(self, action: Action, now_ms: int) -> None:
        match action:
            case EnterRound(round_):
                self._enter(round_, now_ms)
            case Prepare():
                self.ballots.prepare(action)
            case Precommit(block_hash):
                self.ballots.precommit(block_hash)
            case Learn(quorum, checked):
                self.out.extend(self._seat.journal.learned(quorum, checked))
                self.instance.learn(Valid(quorum, checked.block))
                self._emit_quorum(events.PrepareQuorum, quorum)
            case Arm(timeout):
                self._arm(timeout)
            case Decide(checked, certificate):
                self.instance.step = Step.DECIDED
                self.stop()
                self._emit_quorum(events.PrecommitQuorum, certificate)
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
        if slot is None or signer is None or vrf_seed is None or not self.proposing:
            return None
        known = self.candidates.of(slot, signer.public)
        if known is not None:
            return known
        own = self.candidates.own(signer, vrf_seed, slot)
        if own is not None:
            self.candidates.add(own, now_ms)
            self.out.append(Spread(own))
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
        self.out.append(self._seat.journal.place(self.height, round_))
        self._arm(Timeout.PROPOSE)
        self.retransmit_later()
        turn = self.turn()
        slot, proposer = (0, None) if turn is None else (turn.slot, turn.pubkey)
        self.out.append(Emit(events.RoundStarted(self.height, round_, slot, proposer)))
        if turn is not None and self.proposing:
            self.ballots.propose(turn, now_ms)

    def _newest_slot(self) -> int | None:
        """The newest collected slot that has a candidate."""
        collected = self.slots.collected
        return None if collected is None else self.candidates.newest_slot(collected)

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

    # What others should know.

    def _emit_quorum(
        self,
        signal: type[events.PrepareQuorum] | type[events.PrecommitQuorum],
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
                wanted = BodiesWanted(tuple(peers)[:MAX_BODY_PEERS], missing.wtxids)
                self.out.append(Emit(wanted))
