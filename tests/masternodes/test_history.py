"""Seven days of heartbeats: rows of an hour, bounded, that survive a restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.world import CHAIN_ID, Rows, key, member, set_of
from timecoin.codec import CodecError
from timecoin.masternodes.heartbeat import (
    Attested,
    heartbeat_hash,
    sign_attestation,
    sign_heartbeat,
)
from timecoin.masternodes.history import (
    HOUR_MS,
    KEPT_HOURS,
    MAX_DROPPED,
    TABLE,
    History,
    Moment,
    read_row,
    row_key,
)

SNAPSHOT = set_of(*(member(number) for number in (1, 2, 3)))
FIRST_HOUR = 500_000


def attested(sequence: int, timestamp: int, number: int = 1) -> Attested:
    beat = sign_heartbeat(key(number), CHAIN_ID, sequence, 0, bytes(32), timestamp)
    witness = sign_attestation(key(2), CHAIN_ID, heartbeat_hash(CHAIN_ID, beat))
    return Attested(beat, (witness,))


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rows: dict[tuple[str, bytes], bytes] = {}
        self.history = History(Rows(self.rows))
        self.index = list(SNAPSHOT.weights).index(key(2).public)

    def note(self, found: Attested) -> None:
        for record in self.history.note(found, SNAPSHOT):
            self.assertEqual((record.table, record.durable), (TABLE, False))
            if record.value is None:
                del self.rows[record.table, record.key]
            else:
                self.rows[record.table, record.key] = record.value

    def moments(self, hour: int, number: int = 1) -> tuple[Moment, ...]:
        return read_row(self.rows.get((TABLE, row_key(hour, key(number).public))))

    def test_heartbeats_of_an_hour_share_a_row(self) -> None:
        start = FIRST_HOUR * HOUR_MS
        self.note(attested(1, start))
        self.note(attested(2, start + 3_000))
        self.note(attested(3, start + HOUR_MS))
        witnesses = (self.index,)
        first = (Moment(1, start, 0, witnesses), Moment(2, start + 3_000, 0, witnesses))
        self.assertEqual(self.moments(FIRST_HOUR), first)
        self.assertEqual(self.moments(FIRST_HOUR + 1), (Moment(3, start + HOUR_MS, 0, witnesses),))

    def test_a_late_one_of_the_last_hour(self) -> None:
        start = FIRST_HOUR * HOUR_MS
        self.note(attested(1, start))
        self.note(attested(1, start + HOUR_MS, number=3))
        self.note(attested(2, start + HOUR_MS - 1))
        self.assertEqual([moment.sequence for moment in self.moments(FIRST_HOUR)], [1, 2])

    def test_a_restart_goes_on_with_the_row(self) -> None:
        start = FIRST_HOUR * HOUR_MS
        self.note(attested(1, start))
        self.history = History(Rows(self.rows))
        self.note(attested(2, start + 3_000))
        self.assertEqual([moment.sequence for moment in self.moments(FIRST_HOUR)], [1, 2])

    def test_older_than_seven_days_goes(self) -> None:
        for hour in range(KEPT_HOURS + 10):
            self.note(attested(hour + 1, (FIRST_HOUR + hour) * HOUR_MS))
        self.assertEqual(len(self.rows), KEPT_HOURS + 1)
        self.assertEqual(self.moments(FIRST_HOUR + 8), ())
        self.assertEqual(len(self.moments(FIRST_HOUR + 9)), 1)

    def test_drops_a_bounded_number_at_a_time(self) -> None:
        for number in range(MAX_DROPPED + 5):
            self.rows[TABLE, row_key(7, number.to_bytes(32, "big"))] = b"\x90"
        self.note(attested(1, FIRST_HOUR * HOUR_MS))
        self.assertEqual(len(self.rows), 6)
        self.note(attested(2, (FIRST_HOUR + 1) * HOUR_MS))
        self.assertEqual(len(self.rows), 2)

    @given(st.binary(max_size=100))
    def test_a_damaged_row_is_no_row(self, data: bytes) -> None:
        try:
            read_row(data)
        except CodecError:
            return
