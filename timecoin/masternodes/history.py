"""Seven days of verified heartbeats, in rows of one masternode and hour.

The key is the hour since 1970 (u32, big-endian) and the voting key, so that what is too old stands
first. Rows are no consensus data: they are written without a sync.
"""

from __future__ import annotations

from timecoin.codec import U32, U64, Wire, decode, encode
from timecoin.machine import Record
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.heartbeat import Attested
from timecoin.masternodes.ports import HeartbeatRows

TABLE = "heartbeats"
HOUR_MS = 3_600_000
KEPT_HOURS = 7 * 24
MAX_DROPPED = 1_000
"""Rows dropped at a time."""
MAX_ROW_BYTES = 1_000_000


class Moment(Wire, frozen=True):
    """One verified heartbeat; ``witnesses`` index the staked members of avs(tip_height)."""

    sequence: U64
    timestamp: U64
    tip_height: U64
    witnesses: tuple[U32, ...]


def row_key(hour: int, pubkey: bytes) -> bytes:
    """The key of the row of ``pubkey`` and an hour."""
    return hour.to_bytes(4, "big") + pubkey


def read_row(row: bytes | None) -> tuple[Moment, ...]:
    """The heartbeats in a row, oldest first."""
    return () if row is None else decode(row, tuple[Moment, ...], MAX_ROW_BYTES)


class History:
    """Writes the rows; what it has of the running hour stays in memory."""

    def __init__(self, rows: HeartbeatRows) -> None:
        self._rows = rows
        self._hour = 0
        self._current: dict[bytes, tuple[Moment, ...]] = {}

    def note(self, attested: Attested, snapshot: ActiveSet) -> list[Record]:
        """Enter a verified heartbeat; ``snapshot`` is avs of its tip_height."""
        heartbeat = attested.heartbeat
        hour, pubkey = heartbeat.timestamp // HOUR_MS, heartbeat.pubkey
        records = [] if hour <= self._hour else self._turn(hour)
        key = row_key(hour, pubkey)
        known = self._current.get(pubkey) if hour == self._hour else None
        if known is None:
            known = read_row(self._rows.get(key))
        index = {member: number for number, member in enumerate(snapshot.weights)}
        moment = Moment(
            heartbeat.sequence,
            heartbeat.timestamp,
            heartbeat.tip_height,
            tuple(index[attestation.witness] for attestation in attested.attestations),
        )
        moments = (*known, moment)
        if hour == self._hour:
            self._current[pubkey] = moments
        records.append(Record(TABLE, key, encode(moments), durable=False))
        return records

    def _turn(self, hour: int) -> list[Record]:
        """A new hour: drop what is older than seven days."""
        self._hour, self._current = hour, {}
        oldest = row_key(max(0, hour - KEPT_HOURS), b"")
        return [
            Record(TABLE, key, None, durable=False)
            for key in self._rows.keys_below(oldest, MAX_DROPPED)
        ]
