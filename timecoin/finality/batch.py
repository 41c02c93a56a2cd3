"""The entry node: transactions become batches, batches become polls, votes become certificates.

Flushing adapts: at once when nothing is under way, else at 64 transactions or when the oldest is
10 ms old (PROTOCOL 5, Batch and query). A node outside the active set relays instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from timecoin import params
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.merkle import merkle_root
from timecoin.finality.context import Context
from timecoin.finality.double_votes import DoubleVotes
from timecoin.finality.handover import hand_over
from timecoin.finality.messages import (
    Answer,
    CallVotes,
    Query,
    VoteReply,
    call_id,
    call_statement,
)
from timecoin.finality.parameters import (
    BAD_SIGNATURE_POINTS,
    BATCH_BYTES,
    MALFORMED_POINTS,
    MAX_RETRIES,
    MAX_RUNNING_POLLS,
    RETRY_MAX_MS,
    UNSOLICITED_POINTS,
)
from timecoin.finality.poll import Poll, vote_fault
from timecoin.finality.sample import first_wave, stake_order, union_weights
from timecoin.finality.votes import Voter
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Effect, Send, Spread, StartTimer, StopTimer
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BatchCertificate

POLL = "poll"
"""The scheduled task (POLL, txid): poll a transaction that has no certificate yet."""
BATCH = "batch"
"""The scheduled task (BATCH, root): poll a failed batch again, as it was."""


@dataclass(frozen=True, slots=True)
class Formed:
    """A certificate made here, and the peers that were sent the batch's bodies."""

    certificate: BatchCertificate
    certified: tuple[int, ...]
    asked: tuple[bytes, ...]
    called: bool
    """Whether gossip has carried the bodies to everybody."""


class Batches:
    """The queue of transactions to be polled, and the polls under way."""

    def __init__(self, context: Context, voter: Voter, double_votes: DoubleVotes) -> None:
        self._context = context
        self._voter = voter
        self._double_votes = double_votes
        self._queue: dict[bytes, None] = {}
        self._polls: dict[int, Poll] = {}
        self._polled: dict[bytes, int] = {}
        self._failures: dict[bytes, int] = {}
        self._calls: dict[bytes, int] = {}
        """Calls of running polls by their name."""
        self._failed: dict[bytes, tuple[bytes, ...]] = {}
        self._overdue: dict[bytes, int] = {}
        """Polls by root that wait on: a vote that comes late is a vote."""
        self._formed: list[Formed] = []
        self.polls_begun = 0
        self.transactions_polled = 0
        self.votes_received = 0

    @property
    def running(self) -> int:
        """Number of polls under way."""
        return len(self._polls)

    @property
    def queued(self) -> int:
        """Number of transactions that wait for a batch."""
        return len(self._queue)

    @property
    def _expected(self) -> int:
        """Number of polls whose answers are not overdue: only they hold up others."""
        return len(self._polls) - len(self._overdue)

    def is_polled(self, txid: bytes) -> bool:
        """Whether ``txid`` waits for a batch or is in a running poll."""
        return txid in self._queue or txid in self._polled

    def is_asked(self, request: int) -> bool:
        """Whether ``request`` is a running poll of a batch."""
        return request in self._polls

    def take_formed(self) -> list[Formed]:
        """The certificates made since the last call."""
        formed, self._formed = self._formed, []
        return formed

    # the queue

    def add(self, txid: bytes, now_ms: int) -> list[Effect]:
        """Poll ``txid`` of the pool with the next batch."""
        if self.is_polled(txid):
            return []
        self._queue[txid] = None
        if not self._expected or len(self._queue) >= params.BATCH_MAX_TRANSACTIONS:
            return self.flush(now_ms)
        if len(self._queue) == 1:
            return [StartTimer(("flush",), self._context.params.batch_delay_ms)]
        return []

    def add_again(self, root: bytes, now_ms: int) -> list[Effect]:
        """The task (BATCH, root) is due. The same batch has the same root, so members that voted
        give the same vote once more; in other company they would refuse a second one."""
        request = self._overdue.pop(root, None)
        if request is not None:
            return self._ask_again(request, now_ms)
        effects = self.flush(now_ms)
        for txid in self._failed.pop(root, ()):
            if not self.is_polled(txid):
                self._queue[txid] = None
        return effects + self.flush(now_ms)

    def soon(self, txid: bytes, now_ms: int) -> None:
        """Poll ``txid``, locally accepted just now; others come to that at about the same time."""
        pause_ms = self._context.params.answer_timeout_ms
        delay_ms = pause_ms + self._context.rng.randrange(pause_ms)
        self._context.schedule.put((POLL, txid), now_ms + delay_ms)

    def watch(self, txid: bytes, now_ms: int) -> None:
        """``txid`` has entered the pool: poll it if nobody else brings a certificate in time."""
        delay_ms = self._context.jitter(self._context.pace.pause_ms(now_ms))
        self._context.schedule.put((POLL, txid), now_ms + delay_ms)

    def later(self, txid: bytes, now_ms: int) -> None:
        """``txid`` was polled in vain: again, and later each time."""
        self._context.schedule.put((POLL, txid), now_ms + self._pause(txid, now_ms))

    def forget(self, txid: bytes) -> None:
        """``txid`` is certified or waits no longer."""
        self._queue.pop(txid, None)
        self._failures.pop(txid, None)
        self._context.schedule.drop((POLL, txid))

    def flush(self, now_ms: int) -> list[Effect]:
        """Begin polls for all that is queued, as far as there is room for polls."""
        effects: list[Effect] = []
        while self._queue and self._expected < MAX_RUNNING_POLLS:
            snapshots = self._context.committee.vote_snapshots(self._context.anchor(now_ms))
            key = None if self._context.catching_up else self._context.committee.signer(snapshots)
            batch = self._next_batch(key is not None, now_ms)
            if not batch:
                continue
            if key is None or snapshots is None:
                for tx in batch:
                    self.later(tx.txid, now_ms)
                effects += hand_over(self._context, batch)
            else:
                effects += self._begin(key, snapshots, batch, now_ms)
        return effects

    def _next_batch(self, voting: bool, now_ms: int) -> tuple[Transaction, ...]:
        batch: list[Transaction] = []
        size = 0
        for txid in tuple(self._queue):
            entry = self._context.pool.entry(txid)
            if entry is None or entry.certified:
                del self._queue[txid]
                continue
            if voting and not self._voter.is_votable(entry.tx):
                # Undecided or lost: Snowball or a block decides. Look again later.
                del self._queue[txid]
                self.later(txid, now_ms)
                continue
            size += entry.size
            if len(batch) == params.BATCH_MAX_TRANSACTIONS or (batch and size > BATCH_BYTES):
                break
            del self._queue[txid]
            batch.append(entry.tx)
        return tuple(batch)

    # polls

    def _begin(
        self,
        key: SigningKey,
        snapshots: tuple[ActiveSet, ...],
        batch: tuple[Transaction, ...],
        now_ms: int,
    ) -> list[Effect]:
        context = self._context
        anchor = context.anchor(now_ms)
        vote, effects = self._voter.vote(key, key.public, anchor, batch, now_ms)
        if vote is None:
            for tx in batch:
                self.later(tx.txid, now_ms)
            return effects
        order = self._order(key.public, snapshots)
        voters = [voter for _, voter in order]
        extra = context.params.extra_weight_percent
        count = first_wave((key.public,), voters, snapshots, extra)
        request = context.requests.take()
        poll = Poll(anchor, batch, snapshots, () if count is None else tuple(order[count:]))
        poll.add(key.public, vote)
        self.polls_begun += 1
        self.transactions_polled += len(batch)
        self._polls[request] = poll
        for tx in batch:
            self._polled[tx.txid] = request
            context.schedule.drop((POLL, tx.txid))
        if poll.is_settled:
            return effects + self._close(request, now_ms)
        if count is None:
            poll.later, poll.last = (), True
            effects += self._call(request, poll, key, now_ms)
            return [*effects, StartTimer(("poll", request), context.patience_ms)]
        effects += self._ask(request, poll, order[:count])
        effects.append(StartTimer(("poll", request), context.params.second_wave_ms))
        return effects

    def _order(self, own: bytes, snapshots: tuple[ActiveSet, ...]) -> list[tuple[bytes, bytes]]:
        """Peers of the other members and their voting keys, in a stake-weighted random order."""
        weights = union_weights(snapshots)
        weights.pop(own, None)
        return [
            (peer, voter)
            for voter in stake_order(weights, self._context.rng)
            if (peer := self._context.committee.peer_of(voter)) is not None
        ]

    def _ask(self, request: int, poll: Poll, peers: list[tuple[bytes, bytes]]) -> list[Effect]:
        wtxids = tuple(tx.wtxid for tx in poll.batch)
        query = Query(request, poll.anchor, wtxids, poll.batch, True)
        poll.asked.update(peers)
        return [Send(peer, query) for peer, _ in peers]

    def _call(self, request: int, poll: Poll, key: SigningKey, now_ms: int) -> list[Effect]:
        """Ask everybody by gossip: those who are linked here hold too little."""
        chain_id = self._context.chain_id
        bare = CallVotes(key.public, now_ms, poll.anchor, poll.batch, bytes(64))
        signature = key.sign(call_statement(chain_id, bare))
        call = CallVotes(key.public, now_ms, poll.anchor, poll.batch, signature)
        self._calls[call_id(chain_id, call)] = request
        poll.called = True
        return [Spread(call)]

    def take(self, peer: bytes, answer: Answer, now_ms: int) -> list[Effect]:
        """An answer to a running poll; a vote is checked once and counted by the snapshots."""
        poll = self._polls[answer.request]
        voter = poll.asked.get(peer)
        if voter is None or (peer in poll.answered and not poll.repeats):
            return [Blame(peer, UNSOLICITED_POINTS, "answer that was not asked for")]
        if len(answer.answers) != len(poll.batch):
            return [Blame(peer, MALFORMED_POINTS, "answer does not fit the query")]
        if answer.vote is not None and voter not in poll.votes:
            fault = vote_fault(
                self._context, poll.anchor, poll.root, len(poll.batch), voter, answer.vote
            )
            if fault is not None:
                return [Blame(peer, BAD_SIGNATURE_POINTS, fault)]
            poll.add(voter, answer.vote)
            self.votes_received += 1
        poll.answered[peer] = None
        if poll.is_settled or poll.is_exhausted:
            return [StopTimer(("poll", answer.request)), *self._close(answer.request, now_ms)]
        if poll.later and len(poll.answered) == len(poll.asked):
            return self._second_wave(answer.request, poll)
        return []

    def called(self, call: bytes) -> Poll | None:
        """The running poll that has made the call named ``call``."""
        request = self._calls.get(call)
        return None if request is None else self._polls[request]

    def take_return(self, call: bytes, voter: bytes, vote: VoteReply, now_ms: int) -> list[Effect]:
        """A checked vote of ``voter``, who has not voted yet, came back for a call of a poll."""
        request = self._calls[call]
        poll = self._polls[request]
        poll.add(voter, vote)
        self.votes_received += 1
        if poll.is_settled:
            return [StopTimer(("poll", request)), *self._close(request, now_ms)]
        return []

    def time_out(self, request: int, now_ms: int) -> list[Effect]:
        """The timer ("poll", request) fired: ask the rest, or make do with the votes at hand."""
        poll = self._polls.get(request)
        if poll is None:
            return []
        if not poll.last:
            return self._second_wave(request, poll)
        return self._close(request, now_ms) if poll.certified() else self._wait_on(request, now_ms)

    def _wait_on(self, request: int, now_ms: int) -> list[Effect]:
        """Too few have answered in time. Who is slow under load must not be asked once more for
        that alone, nor may its vote be thrown away: wait, and ask again after a longer pause."""
        poll = self._polls[request]
        if len(self._overdue) >= MAX_RETRIES:
            return self._close(request, now_ms)
        self._overdue[poll.root] = request
        pause_ms = max([self._pause(tx.txid, now_ms) for tx in poll.batch])
        self._context.schedule.put((BATCH, poll.root), now_ms + pause_ms)
        return self.flush(now_ms) if self._queue else []

    def _ask_again(self, request: int, now_ms: int) -> list[Effect]:
        """Ask whoever has not voted, unless nothing waits any more."""
        poll = self._polls[request]
        own = self._context.committee.key
        if own is None or not any(self._is_waiting(tx) for tx in poll.batch):
            return self._close(request, now_ms)
        order = self._order(own.public, poll.snapshots)
        silent = [(peer, voter) for peer, voter in order if voter not in poll.votes]
        if all(voter in poll.votes for voter in union_weights(poll.snapshots)):
            return self._close(request, now_ms)
        poll.repeats += 1
        if len(order) < len(union_weights(poll.snapshots)) - 1:
            return [*self._call(request, poll, own, now_ms), *self._wait_on(request, now_ms)]
        for peer, _ in silent:
            poll.answered.pop(peer, None)
        return [*self._ask(request, poll, silent), *self._wait_on(request, now_ms)]

    def _is_waiting(self, tx: Transaction) -> bool:
        entry = self._context.pool.entry(tx.txid)
        return entry is not None and not entry.certified

    def _second_wave(self, request: int, poll: Poll) -> list[Effect]:
        rest, poll.later, poll.last = poll.later, (), True
        timer = StartTimer(("poll", request), self._context.patience_ms)
        return [*self._ask(request, poll, list(rest)), timer]

    def _close(self, request: int, now_ms: int) -> list[Effect]:
        full = self._expected >= MAX_RUNNING_POLLS
        poll = self._polls.pop(request)
        self._calls = {call: asker for call, asker in self._calls.items() if asker != request}
        self._overdue.pop(poll.root, None)
        self._failed.pop(poll.root, None)
        self._context.schedule.drop((BATCH, poll.root))
        certified = poll.certified()
        for tx in poll.batch:
            self._polled.pop(tx.txid, None)
        if certified:
            self._formed.append(
                Formed(poll.certificate(), certified, tuple(poll.asked), poll.called)
            )
        failed = tuple(
            tx.txid
            for leaf, tx in enumerate(poll.batch)
            if leaf not in certified and self._is_waiting(tx)
        )
        effects: list[Effect] = []
        if failed:
            self._repeat(failed, now_ms)
            effects += self._double_votes.poll_failed(poll, failed)
        if self._queue and (full or not self._expected):
            effects += self.flush(now_ms)
        return effects

    def _repeat(self, failed: tuple[bytes, ...], now_ms: int) -> None:
        if len(self._failed) >= MAX_RETRIES:
            for txid in failed:
                self.later(txid, now_ms)
            return
        root = merkle_root(failed)
        pause_ms = max([self._pause(txid, now_ms) for txid in failed])
        self._failed[root] = failed
        self._context.schedule.put((BATCH, root), now_ms + pause_ms)

    def _pause(self, txid: bytes, now_ms: int) -> int:
        failures = self._failures.get(txid, 0)
        self._failures[txid] = failures + 1
        usual_ms = self._context.pace.pause_ms(now_ms)
        pause_ms = min(RETRY_MAX_MS, usual_ms << min(failures, 10))
        return self._context.jitter(pause_ms)

    def connected(self, now_ms: int) -> list[Effect]:
        """The tip has changed: polls whose anchor nobody answers any more end, pauses begin anew.

        What this node polled in vain may have had an anchor that others did not know. Only that is
        hastened: all members polling what others are late with would keep a busy network busy.
        """
        effects: list[Effect] = []
        old = [r for r, poll in self._polls.items() if not self._context.is_current(poll.anchor)]
        for request in old:
            effects += [StopTimer(("poll", request)), *self._close(request, now_ms)]
        self._failures.clear()
        pause_ms = self._context.jitter(self._context.pace.least_ms)
        self._context.schedule.hasten(now_ms + pause_ms, BATCH)
        return effects
