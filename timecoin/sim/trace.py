"""A running digest of everything that happened, and on request a readable log of it."""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3


class Trace:
    """Two runs with one seed must end with the same digest, whatever PYTHONHASHSEED is."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._hash = blake3()
        self._write = write

    def note(self, at: float, what: str, *details: bytes | int) -> None:
        """Record an event of the world."""
        words = [item.hex() if isinstance(item, bytes) else str(item) for item in details]
        self._line(f"{int(at * 1000)} {what} {' '.join(words)}")

    def remark(self, at: float, text: str) -> None:
        """Record what was done to the world, in words."""
        self._line(f"{int(at * 1000)} {text}")

    def frame(self, at: float, sender: bytes, receiver: bytes, kind: int, payload: bytes) -> None:
        """Record the arrival of a frame."""
        line = (
            f"{int(at * 1000)} frame {sender[:4].hex()} {receiver[:4].hex()} {kind} {len(payload)}"
        )
        self._hash.update(b"%s%s\n" % (payload, line.encode()))
        if self._write is not None:
            self._write(line)

    def digest(self) -> str:
        """Hex digest of all that was recorded so far."""
        return self._hash.hexdigest()

    def _line(self, line: str) -> None:
        self._hash.update(line.encode() + b"\n")
        if self._write is not None:
            self._write(line)
