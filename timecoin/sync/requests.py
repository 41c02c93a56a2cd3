"""Questions to peers: who was asked for what, and which answers belong to them."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from timecoin.codec import Wire

KEPT_LATE = 64
"""Requests that timed out and whose answer is still welcome."""


class Purpose(enum.Enum):
    """What a question is for."""

    HEADERS = "headers"
    PROBE = "probe"
    """Compares histories at a height that we hold."""
    BODIES = "bodies"
    COINS = "coins"
    HISTORY = "history"
    """Bodies of blocks behind a fast start."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one peer, about ``count`` heights from ``first`` on."""

    number: int
    peer: bytes
    purpose: Purpose
    first: int
    count: int
    asked_ms: int
    message: Wire

    @property
    def last(self) -> int:
        """The highest height that it asks for."""
        return self.first + self.count - 1


class Requests:
    """Open questions, and those that are overdue; of one purpose a peer has one at a time."""

    def __init__(self) -> None:
        self._number = 0
        self._open: dict[int, Request] = {}
        self._late: OrderedDict[int, Request] = OrderedDict()

    def open(self, purpose: Purpose) -> list[Request]:
        """The open questions of one purpose."""
        return [request for request in self._open.values() if request.purpose is purpose]

    def asks(self, peer: bytes, purpose: Purpose) -> bool:
        """Whether ``peer`` has an open question of that purpose."""
        return any(request.peer == peer for request in self.open(purpose))

    def new(
        self,
        peer: bytes,
        purpose: Purpose,
        first: int,
        count: int,
        now_ms: int,
        message: Callable[[int], Wire],
    ) -> Request:
        """Open a question; ``message`` makes it of its number."""
        self._number += 1
        request = Request(self._number, peer, purpose, first, count, now_ms, message(self._number))
        self._open[request.number] = request
        return request

    def answered(self, peer: bytes, number: int, *purposes: Purpose) -> Request | None:
        """Close the question that ``peer`` answers; None when it was asked no such thing."""
        for requests in (self._open, self._late):
            request = requests.get(number)
            if request is not None and request.peer == peer and request.purpose in purposes:
                del requests[number]
                return request
        return None

    def late(self, number: int) -> Request | None:
        """Question ``number`` is overdue, if it is still open: another peer may be asked."""
        request = self._open.pop(number, None)
        if request is not None:
            self._late[number] = request
            if len(self._late) > KEPT_LATE:
                self._late.popitem(last=False)
        return request

    def drop_peer(self, peer: bytes) -> tuple[Request, ...]:
        """Forget what ``peer`` was asked; returns what was open."""
        for number in [n for n, request in self._late.items() if request.peer == peer]:
            del self._late[number]
        dropped = tuple(request for request in self._open.values() if request.peer == peer)
        for request in dropped:
            del self._open[request.number]
        return dropped
