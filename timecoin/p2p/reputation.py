"""What this node thinks of each peer, from -100 to +100 (PROTOCOL 7).

Faults take points off, useful answers earn some. Scores go back to zero with time, so that a fault
of long ago does not add up with one of today, and merit of long ago excuses nothing. Merit never
pays for faults in advance: a charge counts from zero at best.
"""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.codec import U64, Wire, decode, encode

MIN_SCORE, MAX_SCORE = -100, 100
BAN_SCORE = -50
BAN_MS = 24 * 3600 * 1000
DECAY_MS_PER_POINT = 6 * 60 * 1000
"""A score moves one point towards zero in this time: -50 is forgotten after five hours."""
MAX_RECORDS = 4_096
MAX_ROW_BYTES = 64


class Row(Wire, frozen=True):
    """A score at rest."""

    score: int
    settled_ms: U64


@dataclass(slots=True)
class _Record:
    score: int
    settled_ms: int
    """Decay is accounted for up to here."""


class Reputation:
    """Scores by node id; when too many are known, the one touched longest ago is forgotten.

    ``changed`` names those that are not at rest as they are.
    """

    def __init__(self) -> None:
        self._records: dict[bytes, _Record] = {}
        self.changed: dict[bytes, None] = {}

    def charge(self, peer: bytes, points: int, now_ms: int) -> bool:
        """Take ``points`` off; True if the peer is to be banned for what it has done by now."""
        record = self._touch(peer, now_ms)
        record.score = max(MIN_SCORE, min(0, record.score) - points)
        return record.score <= BAN_SCORE

    def praise(self, peer: bytes, points: int, now_ms: int) -> None:
        """The peer was useful; what it has done wrong is forgotten by time alone."""
        record = self._touch(peer, now_ms)
        if record.score >= 0:
            record.score = min(MAX_SCORE, record.score + points)

    def forgive(self, peer: bytes) -> None:
        """Forget what is known of a peer."""
        if self._records.pop(peer, None) is not None:
            self.changed[peer] = None

    def score(self, peer: bytes, now_ms: int) -> int:
        """From -100 to 100; an unknown peer has 0."""
        record = self._records.get(peer)
        if record is None:
            return 0
        _settle(record, now_ms)
        return record.score

    # At rest.

    def row(self, peer: bytes) -> bytes | None:
        """The score as bytes; None if the peer is forgotten."""
        record = self._records.get(peer)
        return None if record is None else encode(Row(record.score, record.settled_ms))

    def restore(self, peer: bytes, data: bytes) -> None:
        """Put back a row of an earlier life; ``CodecError`` if it is none."""
        row = decode(data, Row, MAX_ROW_BYTES)
        score = max(MIN_SCORE, min(MAX_SCORE, row.score))
        self._records[peer] = _Record(score, row.settled_ms)

    def _touch(self, peer: bytes, now_ms: int) -> _Record:
        record = self._records.pop(peer, None) or _Record(0, now_ms)
        _settle(record, now_ms)
        self._records[peer] = record
        self.changed[peer] = None
        if len(self._records) > MAX_RECORDS:
            oldest = next(iter(self._records))
            del self._records[oldest]
            self.changed[oldest] = None
        return record


def _settle(record: _Record, now_ms: int) -> None:
    points = max(0, now_ms - record.settled_ms) // DECAY_MS_PER_POINT
    record.settled_ms += points * DECAY_MS_PER_POINT
    if record.score < 0:
        record.score = min(0, record.score + points)
    else:
        record.score = max(0, record.score - points)
