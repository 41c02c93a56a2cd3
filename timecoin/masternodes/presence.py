"""Whether this node may say that others are gone (PROTOCOL 4).

Only who has been up, at the tip and linked to a quorum for a whole time to live has had the chance
to hear everybody. A pause of this process counts as absence too.
"""

from __future__ import annotations


class Presence:
    """Since when this node has been there without a break."""

    def __init__(self, ttl_ms: int, pause_ms: int) -> None:
        """``pause_ms``: between two observations; a longer silence was a pause of this node."""
        self._ttl_ms = ttl_ms
        self._pause_ms = pause_ms
        self._since_ms: int | None = None
        self._observed_ms: int | None = None

    def observe(self, there: bool, now_ms: int) -> None:
        """``there``: up, at the tip and linked to a quorum at this moment."""
        last_ms, self._observed_ms = self._observed_ms, now_ms
        paused = last_ms is not None and not 0 <= now_ms - last_ms <= self._pause_ms
        if not there:
            self._since_ms = None
        elif self._since_ms is None or paused:
            self._since_ms = now_ms

    def may_judge(self, now_ms: int) -> bool:
        """Whether this node has been there for a time to live, to its own knowledge."""
        if self._since_ms is None or self._observed_ms is None:
            return False
        seen_lately = 0 <= now_ms - self._observed_ms <= self._pause_ms
        return seen_lately and now_ms - self._since_ms >= self._ttl_ms
