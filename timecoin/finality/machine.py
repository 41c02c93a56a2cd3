"""The finality machine: hands each event to the part that knows it (PROTOCOL 5).

submitted or queried -> Intake -> Voter (locks) -> Batches (votes) -> Custody (certificate)
-> Settlement (receipts) -> final;   conflicts -> Contests, Rounds;   blocks -> BlockArchive
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from timecoin.crypto.keys import SigningKey, Verify
from timecoin.finality import blocks, restore, views
from timecoin.finality.archive import Contents, Objection
from timecoin.finality.batch import BATCH, POLL, Formed
from timecoin.finality.committee import Committee
from timecoin.finality.context import Context, Requests
from timecoin.finality.custody import FETCH, REPEAT
from timecoin.finality.emergency import Emergency
from timecoin.finality.events import Connected, Submitted, TxStatus
from timecoin.finality.handover import is_entry_node
from timecoin.finality.intake import CONTEXTUAL
from timecoin.finality.messages import (
    Answer,
    CallVotes,
    Certified,
    Finalized,
    GetCertificate,
    Pending,
    Query,
    Receipts,
    Relay,
    ReturnVote,
)
from timecoin.finality.pace import Pace
from timecoin.finality.parameters import SWEEP_MS, UNSOLICITED_POINTS
from timecoin.finality.parts import make_parts
from timecoin.finality.ports import FinalityChain, FindBody
from timecoin.finality.proof import FinalityProof
from timecoin.finality.rounds import NEXT_ROUND
from timecoin.finality.schedule import Schedule, Task
from timecoin.ledger.block import Block
from timecoin.ledger.transaction import Transaction
from timecoin.machine import (
    Blame,
    CatchUpChanged,
    Effect,
    LinkDown,
    LinkUp,
    Received,
    Record,
    Restore,
    Send,
    Spread,
    StartTimer,
    TimerFired,
)
from timecoin.mempool.entry import Admission
from timecoin.mempool.pool import Pool
from timecoin.params import FinalityParams


class Finality:
    """Decides which transactions are final; sans I/O."""

    def __init__(
        self,
        chain_id: bytes,
        params: FinalityParams,
        chain: FinalityChain,
        pool: Pool,
        find: FindBody,
        key: SigningKey | None,
        rng: Random,
        verify: Verify,
    ) -> None:
        """``key``: the voting key; None only follows. ``find``: bodies by wtxid, held anywhere."""
        context = Context(
            chain_id=chain_id,
            params=params,
            chain=chain,
            pool=pool,
            find=find,
            committee=Committee(chain, key, rng),
            schedule=Schedule(),
            pace=Pace(params.repoll_ms),
            requests=Requests(rng),
            rng=rng,
            verify=verify,
        )
        self._parts = make_parts(context)
        self._context = context
        self._now_ms = 0

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at Unix time ``now_ms``."""
        self._now_ms = now_ms
        effects = self._dispatch(event, now_ms)
        effects += self._go_on(now_ms)
        return effects + self._context.schedule.timer(now_ms)

    def _dispatch(self, event: object, now_ms: int) -> list[Effect]:
        parts = self._parts
        match event:
            case Submitted(tx):
                return self._submitted(tx, now_ms)
            case Received(peer, message):
                return self._received(peer, message, now_ms)
            case TimerFired(("due",)):
                return [
                    effect
                    for task in self._context.schedule.take(now_ms)
                    for effect in self._due(task, now_ms)
                ]
            case TimerFired(("flush",)):
                return parts.batches.flush(now_ms)
            case TimerFired(("poll", int(request))):
                return parts.batches.time_out(request, now_ms)
            case TimerFired(("round",)):
                return self._decided(parts.rounds.time_out(now_ms), now_ms)
            case TimerFired(("sweep",)):
                return [*parts.intake.sweep(now_ms), StartTimer(("sweep",), SWEEP_MS)]
            case LinkUp(peer, masternode):
                return self._link_up(peer, masternode, now_ms)
            case LinkDown(peer):
                self._context.committee.link_down(peer)
                parts.early.forget(peer)
            case Connected(block, transactions):
                return self._connected(block, transactions, now_ms)
            case CatchUpChanged(active):
                self._context.catching_up = active
                return [] if active else parts.settlement.new_tip(now_ms)
            case Restore(rows):
                effects = restore.restore(parts, rows, now_ms)
                return [*effects, StartTimer(("sweep",), SWEEP_MS)]
        return []

    def _received(self, peer: bytes, message: object, now_ms: int) -> list[Effect]:
        parts = self._parts
        match message:
            case Query():
                return parts.responder.on_query(peer, message, now_ms)
            case Answer():
                return self._answer(peer, message, now_ms)
            case Certified():
                effects, held = parts.custody.take(peer, message, now_ms)
                stored = parts.intake.take_stored()
                return effects + parts.settlement.settle(stored, now_ms, peer, held)
            case Receipts():
                return parts.settlement.on_receipts(peer, message, now_ms)
            case Finalized(receipts):
                return parts.settlement.on_finalized(peer, receipts, now_ms)
            case GetCertificate(name):
                return parts.custody.on_get(peer, name)
            case Relay(transactions):
                return self._relayed(peer, transactions, now_ms)
            case Pending():
                return self._pending(peer, message, now_ms)
            case CallVotes():
                return parts.calls.on_call(peer, message, now_ms)
            case ReturnVote():
                return parts.calls.on_return(peer, message, now_ms)
        return []

    # single events

    def _submitted(self, tx: Transaction, now_ms: int) -> list[Effect]:
        if tx.txid not in self._context.pool:
            return []  # a block or a richer payment has come between
        effects = self._parts.intake.accepted((tx,), now_ms)
        return effects + self._parts.batches.add(tx.txid, now_ms)

    def _relayed(
        self, peer: bytes, transactions: tuple[Transaction, ...], now_ms: int
    ) -> list[Effect]:
        effects: list[Effect] = []
        for tx in transactions:
            verdict, found = self._parts.intake.take(peer, tx, now_ms)
            effects += found
            if verdict.admission is Admission.ACCEPTED and self._context.committee.is_member:
                effects += self._parts.batches.add(tx.txid, now_ms)
        return effects

    def _pending(self, peer: bytes, message: Pending, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        is_new, is_sound = False, True
        for tx in message.transactions:
            verdict, found = self._parts.intake.take(peer, tx, now_ms)
            effects += found
            if verdict.admission is Admission.ACCEPTED:
                is_new = True
                if is_entry_node(self._context, tx):
                    effects += self._parts.batches.add(tx.txid, now_ms)
            elif verdict.admission is Admission.REFUSED and verdict.rule not in CONTEXTUAL:
                is_sound = False
        return [*effects, Spread(message)] if is_new and is_sound else effects

    def _answer(self, peer: bytes, answer: Answer, now_ms: int) -> list[Effect]:
        parts = self._parts
        if parts.batches.is_asked(answer.request):
            return parts.batches.take(peer, answer, now_ms)
        if parts.rounds.is_asked(answer.request):
            return self._decided(parts.rounds.take(peer, answer, now_ms), now_ms)
        if parts.rounds.is_overdue(answer.request):
            committee = self._context.committee
            if committee.voter(peer, committee.current()) is not None:
                self._context.answered_late()
            return []
        if self._context.requests.was_issued(answer.request):
            return []  # its poll had all it needed
        return [Blame(peer, UNSOLICITED_POINTS, "answer that was not asked for")]

    def _link_up(self, peer: bytes, masternode: bytes | None, now_ms: int) -> list[Effect]:
        context = self._context
        context.committee.link_up(peer, masternode)
        if context.committee.voter(peer, context.committee.current()) is None:
            return []
        context.schedule.hasten(now_ms + context.jitter(context.params.second_wave_ms))
        return self._parts.custody.greet(peer)

    def _connected(
        self, block: Block, transactions: tuple[Transaction, ...], now_ms: int
    ) -> list[Effect]:
        effects = blocks.connect(self._parts, block, transactions, now_ms)
        for peer, message in self._parts.early.take():
            effects += self._received(peer, message, now_ms)
        return effects

    def _due(self, task: Task, now_ms: int) -> list[Effect]:
        parts = self._parts
        kind, name = task
        if kind == POLL:
            entry = self._context.pool.entry(name)
            if entry is None or entry.certified:
                parts.batches.forget(name)
                return []
            parts.contests.join(name, self._context.chain.tip_height)
            return parts.batches.add(name, now_ms)
        if kind == BATCH:
            return parts.batches.add_again(name, now_ms)
        if kind == REPEAT:
            return parts.settlement.repeat(name, now_ms)
        if kind == FETCH:
            return parts.custody.fetch(name, now_ms)
        if task == NEXT_ROUND:
            return self._decided(parts.rounds.begin(now_ms), now_ms)
        raise LookupError(f"unknown task {kind}")

    def _decided(
        self, outcome: tuple[list[Effect], tuple[bytes, ...]], now_ms: int
    ) -> list[Effect]:
        """A Snowball poll has ended; what it accepted is polled for votes."""
        effects, accepted = outcome
        for txid in accepted:
            self._parts.batches.soon(txid, now_ms)
        return effects

    def _go_on(self, now_ms: int) -> list[Effect]:
        """What the event has brought about beyond itself: certificates, receipts, polls."""
        parts = self._parts
        effects: list[Effect] = []
        while formed := parts.batches.take_formed():
            for item in formed:
                effects += self._formed(item, now_ms)
        if stored := parts.intake.take_stored():
            effects += parts.settlement.settle(stored, now_ms)
        if parts.contests.has_news and not self._context.catching_up:
            if self._context.committee.is_member:
                parts.contests.forget_news()
                effects += self._decided(parts.rounds.begin(now_ms), now_ms)
        return effects

    def _formed(self, formed: Formed, now_ms: int) -> list[Effect]:
        """This node's poll succeeded: store the certificate, tell everybody, gather receipts."""
        parts, committee = self._parts, self._context.committee
        effects, held = parts.custody.store(formed.certificate, formed.certified, now_ms)
        if held is None:
            return effects
        held.collector = True
        if not formed.called:
            full, asked = parts.custody.with_bodies(held), dict.fromkeys(formed.asked)
            others = tuple(peer for peer in committee.staked_peers() if peer not in asked)
            effects += [Send(peer, full) for peer in others]
            effects += parts.custody.pass_on(held, skip=others)
        return effects + parts.settlement.settle(parts.intake.take_stored(), now_ms, held=held)

    # what others read

    def status(self, txid: bytes, now_ms: int | None = None) -> TxStatus | None:
        """How far ``txid`` has come, as of ``now_ms`` or of the last event; None if unknown."""
        return views.get_status(self._parts, txid, self._now_ms if now_ms is None else now_ms)

    def proof(self, txid: bytes) -> FinalityProof | None:
        """The self-contained proof that ``txid``, not yet archived, is final."""
        return views.get_proof(self._parts, txid)

    def final_waiting(self) -> int:
        """The number of transactions of the pool that are final."""
        return views.count_final(self._parts)

    def statistics(self) -> views.Statistics:
        """Figures for RPC and metrics."""
        return views.get_statistics(self._parts)

    def latency_ms(self, txid: bytes) -> int | None:
        """From seen to final, of one of the last transactions that became final."""
        times = self._parts.history.times(txid)
        return None if times is None else times[1] - times[0]

    @property
    def latencies_ms(self) -> tuple[int, ...]:
        """From seen to final, of the last 1,000 transactions."""
        return self._parts.history.latencies_ms()

    @property
    def emergencies(self) -> tuple[Emergency, ...]:
        """Conflicting certificates that this node has ever seen."""
        return self._parts.emergencies.all()

    # the port ``Archive`` of consensus

    def contents(self, now_ms: int, max_entries: int, max_bytes: int) -> Contents:
        """What this node would archive now."""
        return self._parts.archive.contents(now_ms, max_entries, max_bytes)

    def objection(
        self, block: Block, parent_height: int, judged_ms: int, now_ms: int
    ) -> Objection | None:
        """Why this node must not prepare the fresh proposal ``block``, if so."""
        return self._parts.archive.objection(block, parent_height, judged_ms, now_ms)

    def certificate(self, name: bytes) -> bytes | None:
        """The encoded certificate of that name, if it waits here."""
        return self._parts.archive.certificate(name)

    def ban_for(self, block: Block, transactions: Sequence[Transaction]) -> tuple[Record, ...]:
        """This node prepares ``block``; the records belong into the same durable write."""
        return self._parts.archive.ban_for(block, transactions)
