"""A token bucket in whole numbers."""

from __future__ import annotations

MINUTE_MS = 60_000


class TokenBucket:
    """Fills by ``per_minute`` tokens up to ``burst``; it may be overdrawn, and mends with time."""

    __slots__ = ("_burst", "_level", "_per_minute", "_settled_ms")

    def __init__(self, per_minute: int, burst: int, now_ms: int) -> None:
        """Begins full."""
        self._per_minute = per_minute
        self._burst = burst
        self._level = burst * MINUTE_MS  # in tokens a minute times milliseconds: exact
        self._settled_ms = now_ms

    def take(self, tokens: int, now_ms: int) -> bool:
        """Take ``tokens`` if they are there; nothing changes if they are not."""
        self._settle(now_ms)
        if self._level < tokens * MINUTE_MS:
            return False
        self._level -= tokens * MINUTE_MS
        return True

    def spend(self, tokens: int, now_ms: int) -> None:
        """Take ``tokens``, overdrawing if they are not there."""
        self._settle(now_ms)
        self._level -= tokens * MINUTE_MS

    def wait_ms(self, tokens: int, now_ms: int) -> int:
        """In how many milliseconds ``tokens`` are there; 0 if they are."""
        self._settle(now_ms)
        missing = tokens * MINUTE_MS - self._level
        return max(0, -(-missing // self._per_minute))

    def is_full(self, now_ms: int) -> bool:
        """Whether it is as if it had never been used."""
        self._settle(now_ms)
        return self._level == self._burst * MINUTE_MS

    def _settle(self, now_ms: int) -> None:
        # A clock that is set back fills nothing and takes nothing.
        self._level += max(0, now_ms - self._settled_ms) * self._per_minute
        self._level = min(self._level, self._burst * MINUTE_MS)
        self._settled_ms = now_ms
