"""What waits to be written on one connection while the other end reads too slowly."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

MAX_WAITING_BYTES = 64_000_000
"""A peer for which more than this waits to be written is cut off."""
WRITE_BYTES = 128 * 1024
"""How much of what waited is handed to the transport at once."""


class Sink(Protocol):
    """Where frames go: the TLS transport."""

    def write(self, data: bytes) -> None:
        """Send."""


@implementer(IPushProducer)
class Outgoing:
    """The transport's producer: writes through while there is room, else keeps in order."""

    def __init__(self, sink: Sink, now_ms: Callable[[], int]) -> None:
        self._sink = sink
        self._now_ms = now_ms
        self._waiting: deque[bytes] = deque()
        self._stopped_ms: int | None = None
        self.waiting_bytes = 0

    def write(self, frame: bytes) -> None:
        """Send one frame, or let it wait."""
        if self._stopped_ms is None:
            self._sink.write(frame)
            return
        self._waiting.append(frame)
        self.waiting_bytes += len(frame)

    def stuck_ms(self, now_ms: int) -> int:
        """For how long the transport has had no room; 0 if it has."""
        return 0 if self._stopped_ms is None else max(0, now_ms - self._stopped_ms)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self.waiting_bytes = 0

    def pauseProducing(self) -> None:
        """The transport's buffer is full (IPushProducer)."""
        self._stopped_ms = self._now_ms()

    def resumeProducing(self) -> None:
        """The transport has room again (IPushProducer)."""
        self._stopped_ms = None
        while self._waiting and self._stopped_ms is None:
            pieces: list[bytes] = []
            size = 0
            while self._waiting and size < WRITE_BYTES:
                pieces.append(self._waiting.popleft())
                size += len(pieces[-1])
            self.waiting_bytes -= size
            self._sink.write(b"".join(pieces))

    def stopProducing(self) -> None:
        """The connection is lost (IPushProducer)."""
        self.pauseProducing()
