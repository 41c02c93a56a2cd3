"""Following peers that are ahead (PROTOCOL 8): one page of certified blocks after another.

A tip that a peer announces is hearsay: it leads to a question, nothing more. Only a block beyond
the tip whose precommit certificate holds makes this node one that catches up, and it stays so while
a peer that has delivered such blocks announces more, for as long as there is progress. Blocks are
taken one at a time, each by the rules of the chain, each committed before the next is judged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from timecoin.codec import encode
from timecoin.consensus.ports import MissingBodies
from timecoin.ledger.block import Block
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    LinkDown,
    LinkUp,
    Received,
    Send,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.quorum.certificate import BlockCertificate, CertificateError
from timecoin.sync.events import (
    BlockSynced,
    BodiesFetched,
    BodiesWanted,
    CatchingUp,
    HistoryRefused,
    NewTip,
    SecondCertificate,
)
from timecoin.sync.messages import MAX_BLOCKS, Blocks, GetBlocks, TipAnnounce
from timecoin.sync.peers import Peers
from timecoin.sync.ports import SyncChain
from timecoin.sync.requests import Request, Requests, is_answer
from timecoin.sync.serve import page_of

ANNOUNCE_MS = 5_000
REQUEST_TIMEOUT_MS = 3_000
BODIES_RETRY_MS = 3_000
GRACE_MS = 1_000
"""One block behind is left to consensus so long: it is about to decide it itself."""
STUCK_MS = 30_000
"""Catching up without progress ends after so long; it begins anew with new proof."""
AHEAD_BLOCKS = 50
AHEAD_BYTES = 8_000_000
"""No further page is asked for while so much waits to be judged."""

LIE_POINTS = 20
UNREQUESTED_POINTS = 5
EMPTY_POINTS = 10
SILENCE_POINTS = 5


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A block that waits to be judged, and who sent it."""

    block: Block
    certificate: BlockCertificate
    peer: bytes
    size: int


class Sync:
    """A machine; ``find`` gives the transaction bodies that this node holds."""

    def __init__(self, chain: SyncChain, find: Callable[[bytes], Transaction | None]) -> None:
        self._chain = chain
        self._find = find
        self._peers = Peers()
        self._requests = Requests()
        self._queue: deque[_Fetched] = deque()
        self._queued_bytes = 0
        self._missing: dict[bytes, None] = {}
        self._committing = False
        self._active = False
        self._certified_height = 0
        """The highest block beyond the tip that was proved final here."""
        self._near: tuple[int, int] = (-1, 0)
        """The tip at which a peer was first seen one block ahead, and when that was."""
        self._paused_until_ms = 0

    @property
    def active(self) -> bool:
        """Whether this node catches up."""
        return self._active

    @property
    def certified_height(self) -> int:
        """The highest block known to be final: the tip's height, or above it."""
        return max(self._chain.tip.height, self._certified_height)

    def announced_height(self, peer: bytes) -> int | None:
        """The height of its tip that a linked peer told last; hearsay. None before it did."""
        known = self._peers.get(peer)
        return known.height or None if known is not None else None

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at ``now_ms``."""
        match event:
            case LinkUp(peer, _):
                return self._link_up(peer)
            case LinkDown(peer):
                self._peers.remove(peer)
                dropped = self._requests.drop_peer(peer)
                stops = [StopTimer(("late", request.number)) for request in dropped]
                return [*stops, *self._advance(now_ms)]
            case Received(peer, TipAnnounce(height, block_hash)):
                return self._announced(peer, height, block_hash, now_ms)
            case Received(peer, GetBlocks() as asked):
                return [Send(peer, page_of(self._chain, asked))]
            case Received(peer, Blocks() as answer):
                return self._answered(peer, answer, now_ms)
            case NewTip():
                return self._new_tip(now_ms)
            case BodiesFetched(wtxids):
                return self._bodies(wtxids, now_ms)
            case TimerFired(name):
                return self._timer(name, now_ms)
        return []

    # peers and their tips

    def _tip_message(self) -> TipAnnounce:
        tip = self._chain.tip
        return TipAnnounce(tip.height, tip.hash)

    def _link_up(self, peer: bytes) -> list[Effect]:
        effects: list[Effect] = [Send(peer, self._tip_message())]
        if not len(self._peers):
            effects.append(StartTimer(("announce",), ANNOUNCE_MS))
        self._peers.add(peer)
        return effects

    def _announced(self, peer: bytes, height: int, block_hash: bytes, now_ms: int) -> list[Effect]:
        known = self._peers.get(peer)
        if known is None:
            return []
        known.height = height
        effects: list[Effect] = []
        if 0 < height <= self._chain.tip.height and known.quiet_until_ms <= now_ms:
            if self._chain.block_hash(height) != block_hash:
                effects += self._probe(peer, height)
        return [*effects, *self._advance(now_ms)]

    def _probe(self, peer: bytes, height: int) -> list[Effect]:
        """Ask ``peer`` to prove another block than ours at ``height``."""
        if self._requests.probing(peer) or self._chain.fork_height is not None:
            return []
        return self._open(self._requests.new(peer, height, 1, probe=True))

    def _open(self, request: Request) -> list[Effect]:
        return [
            Send(request.peer, request.message),
            StartTimer(("late", request.number), REQUEST_TIMEOUT_MS),
        ]

    def _lie(self, peer: bytes, points: int, reason: str, now_ms: int) -> list[Effect]:
        """Charge ``peer`` and drop what it sent, with all that stands on it."""
        self._peers.forget(peer, now_ms)
        for index, item in enumerate(self._queue):
            if item.peer == peer:
                self._cut_queue(index)
                break
        return [Blame(peer, points, reason)]

    # answers

    def _answered(self, peer: bytes, answer: Blocks, now_ms: int) -> list[Effect]:
        request = self._requests.answered(peer, answer.request)
        if request is None:
            return [Blame(peer, UNREQUESTED_POINTS, "blocks that were not asked for")]
        effects: list[Effect] = [StopTimer(("late", request.number))]
        if not is_answer(request, answer):
            effects += self._lie(peer, LIE_POINTS, "not the blocks that were asked for", now_ms)
        elif not answer.items:
            reason = "announced a block that it does not have"
            effects += self._lie(peer, EMPTY_POINTS, reason, now_ms)
        elif request.probe:
            effects += self._compare(peer, answer.items[0][1], now_ms)
        else:
            self._peers.answered(peer)
            self._take(peer, answer)
        return [*effects, *self._advance(now_ms)]

    def _compare(self, peer: bytes, certificate: BlockCertificate, now_ms: int) -> list[Effect]:
        """``peer`` says that another block was final at a height that we hold."""
        if certificate.block_hash == self._chain.block_hash(certificate.height):
            return self._lie(peer, EMPTY_POINTS, "announced a block hash in vain", now_ms)
        try:
            self._chain.check_certificate(certificate)
        except CertificateError as error:
            return self._lie(peer, LIE_POINTS, f"block certificate: {error}", now_ms)
        return [Emit(SecondCertificate(certificate))]

    def _take(self, peer: bytes, answer: Blocks) -> None:
        """Queue those blocks of ``answer`` that follow what is queued."""
        for block, certificate in answer.items:
            if block.height == self._queue_end() + 1:
                size = len(encode((block, certificate)))
                self._queue.append(_Fetched(block, certificate, peer, size))
                self._queued_bytes += size

    def _queue_end(self) -> int:
        return self._queue[-1].block.height if self._queue else self._chain.tip.height

    def _cut_queue(self, length: int) -> None:
        """Keep the first ``length`` blocks of the queue."""
        while len(self._queue) > length:
            self._queued_bytes -= self._queue.pop().size
        if not length:
            self._missing.clear()

    # progress

    def _new_tip(self, now_ms: int) -> list[Effect]:
        self._committing = False
        effects = self._progress()
        effects += self._advance(now_ms)
        if not self._active:
            effects.append(Broadcast(self._tip_message()))
        return effects

    def _bodies(self, wtxids: tuple[bytes, ...], now_ms: int) -> list[Effect]:
        if not self._missing:
            return []
        before = len(self._missing)
        for wtxid in wtxids:
            self._missing.pop(wtxid, None)
        effects = self._progress() if len(self._missing) < before else []
        return effects if self._missing else [*effects, *self._advance(now_ms)]

    def _progress(self) -> list[Effect]:
        return [StartTimer(("stuck",), STUCK_MS)] if self._active else []

    def _timer(self, name: tuple[str | int | bytes, ...], now_ms: int) -> list[Effect]:
        match name:
            case ("announce",):
                if not len(self._peers):
                    return []
                again = StartTimer(("announce",), ANNOUNCE_MS)
                return [Broadcast(self._tip_message()), again, *self._advance(now_ms)]
            case ("late", int(number)):
                return self._late(number, now_ms)
            case ("near",):
                return self._advance(now_ms)
            case ("bodies",):
                self._missing.clear()
                return self._advance(now_ms)
            case ("stuck",):
                return self._start_anew(now_ms)
        return []

    def _late(self, number: int, now_ms: int) -> list[Effect]:
        request = self._requests.late(number)
        if request is None:
            return []
        if not self._peers.failed(request.peer):
            return self._advance(now_ms)
        if self._peers.is_proved(request.peer):
            # Slowness is no fault; others are asked for a while.
            self._peers.forget(request.peer, now_ms)
            return self._advance(now_ms)
        reason = "announced blocks and delivered none"
        charged = self._lie(request.peer, SILENCE_POINTS, reason, now_ms)
        return [*charged, *self._advance(now_ms)]

    def _start_anew(self, now_ms: int) -> list[Effect]:
        """No progress for too long: whoever holds us in this state has to prove it again."""
        self._cut_queue(0)
        self._committing = False
        self._certified_height = 0
        self._peers.doubt_all()
        return [*self._settle(now_ms), *self._advance(now_ms)]

    def _advance(self, now_ms: int) -> list[Effect]:
        """Judge the next block, ask for more, and say whether we catch up."""
        if self._chain.fork_height is not None:
            self._cut_queue(0)
            self._certified_height = 0
            self._peers.doubt_all()
            return self._settle(now_ms)
        while self._queue and self._queue[0].block.height <= self._chain.tip.height:
            self._queued_bytes -= self._queue.popleft().size
            self._missing.clear()
        effects = self._judge(now_ms)
        effects += self._ask(now_ms)
        effects += self._settle(now_ms)
        return effects

    def _settle(self, now_ms: int) -> list[Effect]:
        """Publish a change of the state that keeps this node from voting."""
        height = self._chain.tip.height
        active = self._certified_height > height or self._peers.any_proved_above(height, now_ms)
        if active == self._active:
            return []
        self._active = active
        timer = StartTimer(("stuck",), STUCK_MS) if active else StopTimer(("stuck",))
        return [timer, Emit(CatchingUp(active))]

    def _ask(self, now_ms: int) -> list[Effect]:
        full = len(self._queue) >= AHEAD_BLOCKS or self._queued_bytes >= AHEAD_BYTES
        if full or self._requests.fetching or now_ms < self._paused_until_ms:
            return []
        first = self._queue_end() + 1
        ranked = self._peers.ranked(first, now_ms)
        if not ranked:
            return []
        announced = self._peers.height(ranked[0])
        if not self._active and announced == self._chain.tip.height + 1:
            wait_ms = self._grace_ms(now_ms)
            if wait_ms > 0:
                return [StartTimer(("near",), wait_ms)]
        count = min(MAX_BLOCKS, announced - first + 1)
        return self._open(self._requests.new(ranked[0], first, count))

    def _grace_ms(self, now_ms: int) -> int:
        """How long consensus still has to decide the next block by itself."""
        height = self._chain.tip.height
        if self._near[0] != height:
            self._near = (height, now_ms)
        return self._near[1] + GRACE_MS - now_ms

    def _judge(self, now_ms: int) -> list[Effect]:
        """Judge the first block of the queue, if the one before it is history."""
        if self._committing or self._missing or not self._queue:
            return []
        item = self._queue[0]
        block, tip = item.block, self._chain.tip
        try:
            self._chain.check_certificate(item.certificate)
        except CertificateError as error:
            return self._lie(item.peer, LIE_POINTS, f"block certificate: {error}", now_ms)
        if block.header.body_root != block.body.root:
            return self._lie(item.peer, LIE_POINTS, "a body of another header", now_ms)
        if block.header.prev_hash != tip.hash:
            # Certified on top of another tip than ours: there must be two at our height.
            self._cut_queue(0)
            self._peers.forget(item.peer, now_ms)
            return self._probe(item.peer, tip.height) if tip.height else []
        self._certified_height = block.height
        self._peers.prove(item.peer)
        return [*self._settle(now_ms), *self._check(item, now_ms)]

    def _check(self, item: _Fetched, now_ms: int) -> list[Effect]:
        block = item.block
        try:
            checked = self._chain.check(block, self._find)
        except MissingBodies as missing:
            self._missing = dict.fromkeys(missing.wtxids)
            others = self._peers.ranked(block.height, now_ms)
            sources = tuple(dict.fromkeys((item.peer, *others)))
            return [
                StartTimer(("bodies",), BODIES_RETRY_MS),
                Emit(BodiesWanted(sources, missing.wtxids)),
            ]
        except RuleBroken as broken:
            self._cut_queue(0)
            self._paused_until_ms = now_ms + STUCK_MS
            return [Emit(HistoryRefused(block.height, block.hash, broken.rule, broken.detail))]
        self._committing = True
        return [Emit(BlockSynced(checked, item.certificate))]
