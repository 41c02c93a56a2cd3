"""What this node thinks of each peer: points lost, and a ban at -50 (PROTOCOL 7).

In memory: a restart forgives. Scores go back to zero with time, so that a fault of long ago does
not add up with one of today. Nothing earns points above zero yet.
"""

from __future__ import annotations

from dataclasses import dataclass

MIN_SCORE = -100
BAN_SCORE = -50
BAN_MS = 24 * 3600 * 1000
DECAY_MS_PER_POINT = 6 * 60 * 1000
"""A score moves one point towards zero in this time: -50 is forgotten after five hours."""
MAX_RECORDS = 4_096


@dataclass(slots=True)
class _Record:
    score: int
    settled_ms: int
    """Decay is accounted for up to here."""
    banned_until_ms: int = 0


class Reputation:
    """Scores by node id; when too many are known, the one charged longest ago is forgotten."""

    def __init__(self) -> None:
        self._records: dict[bytes, _Record] = {}

    def charge(self, peer: bytes, points: int, now_ms: int) -> bool:
        """Take ``points`` off; True if the peer is banned now."""
        record = self._records.pop(peer, None) or _Record(0, now_ms)
        _settle(record, now_ms)
        record.score = max(MIN_SCORE, record.score - points)
        if record.score <= BAN_SCORE:
            record.banned_until_ms = now_ms + BAN_MS
        self._records[peer] = record
        if len(self._records) > MAX_RECORDS:
            del self._records[next(iter(self._records))]
        return now_ms < record.banned_until_ms

    def score(self, peer: bytes, now_ms: int) -> int:
        """From -100 to 0; an unknown peer has 0."""
        record = self._records.get(peer)
        if record is None:
            return 0
        _settle(record, now_ms)
        return record.score

    def is_banned(self, peer: bytes, now_ms: int) -> bool:
        """Whether links with the peer are refused."""
        record = self._records.get(peer)
        return record is not None and now_ms < record.banned_until_ms

    def count_banned(self, now_ms: int) -> int:
        """How many peers are banned now."""
        return sum(now_ms < record.banned_until_ms for record in self._records.values())


def _settle(record: _Record, now_ms: int) -> None:
    points = max(0, now_ms - record.settled_ms) // DECAY_MS_PER_POINT
    record.settled_ms += points * DECAY_MS_PER_POINT
    record.score = min(0, record.score + points)
