"""Snowball polls: one random sample is asked about every undecided conflict at once (PROTOCOL 5).

These queries ask for opinions, never for votes. Their cost does not grow with the number of
conflicts that somebody makes: one round runs at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from timecoin import params
from timecoin.finality.contests import Contest, Contests
from timecoin.finality.context import Context
from timecoin.finality.messages import Answer, Code, Query
from timecoin.finality.parameters import (
    BATCH_BYTES,
    MALFORMED_POINTS,
    MAX_KNOWN_BODIES,
    RETRY_MAX_MS,
    UNSOLICITED_POINTS,
)
from timecoin.finality.sample import stake_order, union_weights
from timecoin.finality.snowball import alpha_of
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Effect, Send, StartTimer, StopTimer

NEXT_ROUND = ("round", b"")
"""The scheduled task that begins a round."""


@dataclass(slots=True)
class _Round:
    """A running poll: what was asked of whom, and the answers so far."""

    request: int
    contests: tuple[Contest, ...]
    asked: tuple[Transaction, ...]
    sample: int
    waiting: dict[bytes, None]
    counts: tuple[dict[bytes, int], ...]
    said: list[int] = field(default_factory=list)
    """Per contest: members that gave an opinion, this one included."""


class Rounds:
    """Runs polls until every contest is decided; what gets accepted is handed back."""

    def __init__(self, context: Context, contests: Contests) -> None:
        self._context = context
        self._params = context.params
        self._contests = contests
        self._overdue: int | None = None
        self._round: _Round | None = None
        self._known: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()
        """(peer, txid): bodies that need not be sent again."""

    @property
    def running(self) -> bool:
        """Whether a poll is under way."""
        return self._round is not None

    def is_asked(self, request: int) -> bool:
        """Whether ``request`` is the running poll."""
        return self._round is not None and self._round.request == request

    def is_overdue(self, request: int) -> bool:
        """Whether ``request`` is the last poll that ended before all had answered it."""
        return self._overdue == request

    def begin(self, now_ms: int) -> tuple[list[Effect], tuple[bytes, ...]]:
        """Start a poll about the contests that do not rest, unless one runs.

        Returns also what this decided at once: a member alone needs to ask nobody.
        """
        if self._round is not None:
            return [], ()
        if self._context.catching_up:
            self._set_next(now_ms)
            return [], ()
        chosen, asked = self._choose(now_ms)
        if not chosen:
            self._set_next(now_ms)
            return [], ()
        weights = union_weights(self._context.committee.current())
        own = self._context.committee.key
        if own is not None:
            weights.pop(own.public, None)
        order = stake_order(weights, self._context.rng)[: self._params.sample_size - 1]
        peers = [
            peer for key in order if (peer := self._context.committee.peer_of(key)) is not None
        ]
        request = self._context.requests.take()
        self._round = _Round(
            request=request,
            contests=chosen,
            asked=asked,
            sample=1 + len(order),
            waiting=dict.fromkeys(peers),
            counts=tuple({tx.txid: 1} for tx in asked),
            said=[1] * len(chosen),
        )
        if not peers:
            return self._close(now_ms)
        anchor = self._context.anchor(now_ms)
        wtxids = tuple(tx.wtxid for tx in asked)
        effects: list[Effect] = []
        for peer in peers:
            bodies = tuple(tx for tx in asked if (peer, tx.txid) not in self._known)
            effects.append(Send(peer, Query(request, anchor, wtxids, bodies, False)))
        effects.append(StartTimer(("round",), self._context.patience_ms))
        return effects, ()

    def take(
        self, peer: bytes, answer: Answer, now_ms: int
    ) -> tuple[list[Effect], tuple[bytes, ...]]:
        """The answer of ``peer`` to the running poll; also the txids that are now accepted."""
        round_ = self._round
        if round_ is None or peer not in round_.waiting:
            return [Blame(peer, UNSOLICITED_POINTS, "answer that was not asked for")], ()
        if len(answer.answers) != len(round_.asked) or answer.vote is not None:
            return [Blame(peer, MALFORMED_POINTS, "answer does not fit the query")], ()
        del round_.waiting[peer]
        for index, (tx, opinion) in enumerate(zip(round_.asked, answer.answers, strict=True)):
            if opinion.code == Code.UNKNOWN:
                self._known.pop((peer, tx.txid), None)
                continue
            self._note_known(peer, tx.txid)
            round_.said[index] += 1
            if opinion.code == Code.VALID:
                preferred = tx.txid
            elif opinion.code == Code.CONFLICT:
                preferred = opinion.detail
            else:
                continue
            counts = round_.counts[index]
            counts[preferred] = counts.get(preferred, 0) + 1
        alpha = alpha_of(round_.sample, self._params)
        decided = all(max(counts.values()) >= alpha for counts in round_.counts)
        if decided or not round_.waiting:
            effects, accepted = self._close(now_ms)
            return [StopTimer(("round",)), *effects], accepted
        return [], ()

    def _note_known(self, peer: bytes, txid: bytes) -> None:
        self._known[peer, txid] = None
        if len(self._known) > MAX_KNOWN_BODIES:
            self._known.popitem(last=False)

    def time_out(self, now_ms: int) -> tuple[list[Effect], tuple[bytes, ...]]:
        """Count the running poll with the answers that came."""
        if self._round is None:
            return [], ()
        self._overdue = self._round.request
        return self._close(now_ms)

    def _choose(self, now_ms: int) -> tuple[tuple[Contest, ...], tuple[Transaction, ...]]:
        """The contests to ask about, and this node's preference in each."""
        contests: list[Contest] = []
        asked: list[Transaction] = []
        size = 0
        for contest in self._contests.open():
            tx = self._context.pool.get(contest.snowball.preference)
            if tx is None:
                self._contests.drop(contest.snowball.preference)  # the pool has evicted it
            if tx is None or contest.rest_until_ms > now_ms:
                continue
            size += len(tx.encoded)
            if len(asked) == params.BATCH_MAX_TRANSACTIONS or (asked and size > BATCH_BYTES):
                break
            contests.append(contest)
            asked.append(tx)
        return tuple(contests), tuple(asked)

    def _close(self, now_ms: int) -> tuple[list[Effect], tuple[bytes, ...]]:
        round_, self._round = self._round, None
        if round_ is None:
            return [], ()
        accepted: list[bytes] = []
        for contest, counts, said in zip(round_.contests, round_.counts, round_.said, strict=True):
            snowball = contest.snowball
            if snowball.accepted is not None:
                continue
            before = snowball.confidence
            winner = snowball.record_poll(counts, round_.sample - said, round_.sample)
            if winner is not None:
                accepted.append(winner)
            elif snowball.confidence <= before:
                self._rest(contest, now_ms)
            else:
                contest.rest_until_ms = now_ms
                contest.pauses = 0
        effects, more = self.begin(now_ms)
        return effects, (*accepted, *more)

    def _rest(self, contest: Contest, now_ms: int) -> None:
        """Undecided: wait longer each time, by a random part, so that a split costs little."""
        pause = min(RETRY_MAX_MS, self._params.answer_timeout_ms << min(contest.pauses, 10))
        contest.pauses += 1
        contest.rest_until_ms = now_ms + pause // 2 + self._context.rng.randrange(pause)

    def _set_next(self, now_ms: int) -> None:
        resting = [contest.rest_until_ms for contest in self._contests.open()]
        if resting:
            due_ms = max(min(resting), now_ms + self._params.second_wave_ms)
            self._context.schedule.put(NEXT_ROUND, due_ms)
