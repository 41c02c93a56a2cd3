"""Seven days of verified heartbeats, in rows of one masternode and ten minutes.

The key counts ten minutes since 1970 (u32, big-endian), then comes the voting key: what is too old
stands first. Rows are no consensus data: they are written without a sync.
"""

from __future__ import annotations

from timecoin.codec import U32, U64, Wire, decode, encode
from timecoin.machine import Record
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.heartbeat import Attested
from timecoin.masternodes.ports import HeartbeatRows

TABLE = "heartbeats"
ROW_MS = 600_000
KEPT_ROWS = 7 * 24 * 6
MAX_DROPPED = 1_000
"""Rows dropped at a time."""
MAX_ROW_BYTES = 1_000_000


class Moment(Wire, frozen=True):
    """One verified heartbeat; ``witnesses`` index the staked members of avs(tip_height)."""

    sequence: U64
    timestamp: U64
    tip_height: U64
    witnesses: tuple[U32, ...]


def row_key(span: int, pubkey: bytes) -> bytes:
    """The key of the row of ``pubkey`` and one span of ten minutes."""
    return span.to_bytes(4, "big") + pubkey


def read_row(row: bytes | None) -> tuple[Moment, ...]:
    """The heartbeats in a row, oldest first."""
    return () if row is None else decode(row, tuple[Moment, ...], MAX_ROW_BYTES)


class History:
    """Writes the rows; what it has of the running ten minutes stays in memory."""

    def __init__(self, rows: HeartbeatRows) -> None:
        self._rows = rows
        self._span = 0
        self._current: dict[bytes, tuple[Moment, ...]] = {}

    def note(self, attested: Attested, snapshot: ActiveSet) -> list[Record]:
        """Enter a verified heartbeat; ``snapshot`` is avs of its tip_height."""
        heartbeat = attested.heartbeat
        span, pubkey = heartbeat.timestamp // ROW_MS, heartbeat.pubkey
        records = [] if span <= self._span else self._turn(span)
        key = row_key(span, pubkey)
        known = self._current.get(pubkey) if span == self._span else None
        if known is None:
            known = read_row(self._rows.get(key))
        moment = Moment(
            heartbeat.sequence,
            heartbeat.timestamp,
            heartbeat.tip_height,
            tuple(snapshot.places[attestation.witness] for attestation in attested.attestations),
        )
        moments = (*known, moment)
        if span == self._span:
            self._current[pubkey] = moments
        records.append(Record(TABLE, key, encode(moments), durable=False))
        return records

    def _turn(self, span: int) -> list[Record]:
        """A new row for everybody: drop what is older than seven days."""
        self._span, self._current = span, {}
        oldest = row_key(max(0, span - KEPT_ROWS), b"")
        return [
            Record(TABLE, key, None, durable=False)
            for key in self._rows.keys_below(oldest, MAX_DROPPED)
        ]
