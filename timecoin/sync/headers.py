"""Fetching headers: from the best peer, checked part by part, compared where histories differ."""

from __future__ import annotations

from collections import deque

from timecoin.chain.headers import (
    CertifiedHeader,
    CheckpointError,
    ForkedHeader,
    HeaderChain,
    HeaderError,
)
from timecoin.machine import Effect, Emit, StartTimer
from timecoin.sync.events import HeadersSynced, SecondCertificate
from timecoin.sync.line import EMPTY_POINTS, LIE_POINTS, Line
from timecoin.sync.messages import MAX_HEADERS, GetHeaders, Headers, TipAnnounce
from timecoin.sync.ports import SyncChain
from timecoin.sync.requests import Purpose, Request

GRACE_MS = 1_000
"""One block behind is left to consensus so long: it is about to decide it itself."""
TURN_SIGNATURES = 200
"""Headers are checked in parts of about so many signatures: others get their turn between."""


class HeaderFetch:
    """Brings certified headers from peers to the header chain."""

    def __init__(self, chain: SyncChain, headers: HeaderChain, line: Line) -> None:
        self._chain = chain
        self._headers = headers
        self._line = line
        self._unchecked: deque[CertifiedHeader] = deque()
        self._source = b""
        self._storing = False
        self._near: tuple[int, int] = (-1, 0)
        """The tip at which a peer was first seen one block ahead, and when that was."""

    @property
    def busy(self) -> bool:
        """Whether headers are being fetched, checked or stored."""
        open_requests = self._line.requests.open(Purpose.HEADERS)
        return bool(self._unchecked) or self._storing or bool(open_requests)

    def stored(self) -> None:
        """What was made known last is at rest."""
        self._storing = False

    def drop(self) -> None:
        """Forget what has not been checked."""
        self._unchecked.clear()

    def announced(self, peer: bytes, told: TipAnnounce, now_ms: int) -> list[Effect]:
        """``peer`` named its tip: another block than ours at that height asks for a proof."""
        ours = self._headers.header(told.height)
        if ours is None or ours.hash == told.hash or not self._headers.trusted:
            return []
        return self._probe(peer, told.height, now_ms)

    def _probe(self, peer: bytes, height: int, now_ms: int) -> list[Effect]:
        """Ask ``peer`` to prove another block than ours at ``height``."""
        probing = self._line.requests.asks(peer, Purpose.PROBE)
        if probing or self._chain.fork_height is not None:
            return []
        return self._ask(peer, Purpose.PROBE, height, 1, now_ms)

    def _ask(
        self, peer: bytes, purpose: Purpose, first: int, count: int, now_ms: int
    ) -> list[Effect]:
        return self._line.ask(
            peer, purpose, first, count, now_ms, lambda number: GetHeaders(number, first, count)
        )

    def take(self, request: Request, answer: Headers, now_ms: int) -> list[Effect]:
        """The answer to ``request``, of the size that was asked for and not empty."""
        peer, first = request.peer, answer.items[0]
        if first.header.height != request.first:
            return self._line.lie(peer, LIE_POINTS, "not the headers that were asked for", now_ms)
        if request.purpose is Purpose.PROBE:
            return self._compare(peer, first, now_ms)
        self._line.peers.answered(peer, now_ms - request.asked_ms)
        top = self._headers.top
        items = [item for item in answer.items if item.header.height > top.height]
        if not items or self._unchecked or self._storing:
            return []  # late: others have brought it, or are about to
        if items[0].header.prev_hash != top.hash:
            return self._differ(peer, now_ms)
        self._unchecked.extend(items)
        self._source = peer
        return []

    def _differ(self, peer: bytes, now_ms: int) -> list[Effect]:
        """Headers of ``peer`` continue another block than our top: there are two at its height."""
        top = self._headers.top
        if not top.height:
            return self._line.lie(peer, LIE_POINTS, "history of another genesis", now_ms)
        if not self._headers.trusted:
            # The checkpoint will decide: the other history gets its chance to lead there.
            self._headers.drop_above(self._chain.tip)
            self._line.peers.forget(self._source, now_ms)
            return []
        self._line.peers.forget(peer, now_ms)
        return self._probe(peer, top.height, now_ms)

    def _compare(self, peer: bytes, item: CertifiedHeader, now_ms: int) -> list[Effect]:
        """``peer`` says that another block was final at a height where we know one."""
        ours = self._headers.header(item.header.height)
        if ours is not None and ours.hash == item.header.hash:
            reason = "announced a block hash in vain"
            return self._line.lie(peer, EMPTY_POINTS, reason, now_ms)
        try:
            self._headers.compare(item)
        except ForkedHeader as fork:
            return [Emit(SecondCertificate(fork.first, fork.second))]
        except HeaderError as error:
            return self._line.lie(peer, LIE_POINTS, str(error), now_ms)
        return []

    def check(self, now_ms: int) -> list[Effect]:
        """Check a part of the headers that wait."""
        if self._storing or not self._unchecked:
            return []
        part: list[CertifiedHeader] = []
        signatures = 0
        while self._unchecked and signatures < TURN_SIGNATURES:
            item = self._unchecked.popleft()
            if item.header.height > self._headers.top.height:  # else decided here meanwhile
                signatures += len(item.certificate.signatures)
                part.append(item)
        if not part:
            return []
        try:
            checked = self._headers.check(part)
        except HeaderError as error:
            self._unchecked.clear()
            if isinstance(error, CheckpointError):
                self._headers.drop_above(self._chain.tip)
            return self._line.lie(self._source, LIE_POINTS, str(error), now_ms)
        self._line.peers.prove(self._source)
        self._storing = True
        return [Emit(HeadersSynced(checked))]

    def fetch(self, active: bool, now_ms: int) -> list[Effect]:
        """Ask for what comes after the top, if somebody has announced it."""
        if self.busy:
            return []
        tip, first = self._chain.tip.height, self._headers.top.height + 1
        ranked = self._line.peers.ranked(first, now_ms)
        known = self._line.peers.get(ranked[0]) if ranked else None
        if known is None:
            return []
        if not active and known.height == tip + 1:
            wait_ms = self._grace_ms(now_ms)
            if wait_ms > 0:
                return [StartTimer(("near",), wait_ms)]
        count = min(MAX_HEADERS, known.height - first + 1)
        return self._ask(ranked[0], Purpose.HEADERS, first, count, now_ms)

    def _grace_ms(self, now_ms: int) -> int:
        """How long consensus still has to decide the next block by itself."""
        height = self._chain.tip.height
        if self._near[0] != height:
            self._near = (height, now_ms)
        return self._near[1] + GRACE_MS - now_ms
