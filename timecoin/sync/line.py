"""What all of synchronization shares: the peers, the questions to them, and what lies cost."""

from __future__ import annotations

from collections.abc import Callable

from timecoin.codec import Wire
from timecoin.machine import Blame, Effect, Send, StartTimer
from timecoin.sync.peers import Peers
from timecoin.sync.requests import Purpose, Request, Requests

REQUEST_TIMEOUT_MS = 3_000

LIE_POINTS = 50
"""What contradicts a quorum's signatures was made up: no accident and no slowness looks like it."""
UNREQUESTED_POINTS = 5
EMPTY_POINTS = 10
SILENCE_POINTS = 5


class Line:
    """Questions out, and the reckoning with those who answer."""

    def __init__(self) -> None:
        self.peers = Peers()
        self.requests = Requests()

    def ask(
        self,
        peer: bytes,
        purpose: Purpose,
        first: int,
        count: int,
        now_ms: int,
        message: Callable[[int], Wire],
    ) -> list[Effect]:
        """Put a question; a peer that was late before is given longer."""
        request = self.requests.new(peer, purpose, first, count, now_ms, message)
        wait_ms = REQUEST_TIMEOUT_MS * self.peers.patience(peer)
        return [Send(peer, request.message), StartTimer(("late", request.number), wait_ms)]

    def lie(self, peer: bytes, points: int, reason: str, now_ms: int) -> list[Effect]:
        """Charge ``peer`` and believe nothing that it says for a while."""
        self.peers.forget(peer, now_ms)
        return [Blame(peer, points, reason)]

    def late(self, request: Request, now_ms: int) -> list[Effect]:
        """``request`` is overdue: another peer is asked; too often in a row ends the belief."""
        known = self.peers.get(request.peer)
        if known is None or not self.peers.failed(request.peer):
            return []
        bodies = request.purpose in (Purpose.BODIES, Purpose.HISTORY)
        if known.gave_bodies if bodies else known.proved:
            # Slowness is no fault; others are asked for a while.
            self.peers.forget(request.peer, now_ms)
            return []
        reason = "announced blocks and delivered none"
        return self.lie(request.peer, SILENCE_POINTS, reason, now_ms)
