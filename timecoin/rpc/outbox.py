"""What waits to be sent to one client that reads slower than it is told: bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

MAX_MESSAGES = 1_000
MAX_BYTES = 4 * 1024 * 1024


class Outbox:
    """Passes texts on while the transport takes them, else keeps them in order."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._send = send
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._paused = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, text: bytes) -> bool:
        """Send or keep ``text``; False when the client is too far behind: nothing is kept then."""
        if not self._paused:
            self._send(text)
            return True
        if len(self._waiting) >= self._max_messages or self._bytes + len(text) > self._max_bytes:
            self.clear()
            return False
        self._waiting.append(text)
        self._bytes += len(text)
        return True

    def pause(self) -> None:
        """The transport takes no more."""
        self._paused = True

    def resume(self) -> None:
        """The transport takes more: send what waits, until it pauses again."""
        self._paused = False
        while self._waiting and not self._paused:
            text = self._waiting.popleft()
            self._bytes -= len(text)
            self._send(text)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._bytes = 0
