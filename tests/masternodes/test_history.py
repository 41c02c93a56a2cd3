"""Seven days of heartbeats: rows of ten minutes, bounded, that survive a restart."""

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
    KEPT_ROWS,
    MAX_DROPPED,
    ROW_MS,
    TABLE,
    History,
    Moment,
    read_row,
    row_key,
)

SNAPSHOT = set_of(*(member(number) for number in (1, 2, 3)))
FIRST_ROW = 500_000


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

    def moments(self, span: int, number: int = 1) -> tuple[Moment, ...]:
        return read_row(self.rows.get((TABLE, row_key(span, key(number).public))))

    def test_heartbeats_of_ten_minutes_share_a_row(self) -> None:
        start = FIRST_ROW * ROW_MS
        self.note(attested(1, start))
        self.note(attested(2, start + 3_000))
        self.note(attested(3, start + ROW_MS))
        witnesses = (self.index,)
        first = (Moment(1, start, 0, witnesses), Moment(2, start + 3_000, 0, witnesses))
        self.assertEqual(self.moments(FIRST_ROW), first)
        self.assertEqual(self.moments(FIRST_ROW + 1), (Moment(3, start + ROW_MS, 0, witnesses),))

    def test_a_late_one_of_the_last_hour(self) -> None:
        start = FIRST_ROW * ROW_MS
        self.note(attested(1, start))
        self.note(attested(1, start + ROW_MS, number=3))
        self.note(attested(2, start + ROW_MS - 1))
        self.assertEqual([moment.sequence for moment in self.moments(FIRST_ROW)], [1, 2])

    def test_a_restart_goes_on_with_the_row(self) -> None:
        start = FIRST_ROW * ROW_MS
        self.note(attested(1, start))
        self.history = History(Rows(self.rows))
        self.note(attested(2, start + 3_000))
        self.assertEqual([moment.sequence for moment in self.moments(FIRST_ROW)], [1, 2])

    def test_older_than_seven_days_goes(self) -> None:
        for span in range(KEPT_ROWS + 10):
            self.note(attested(span + 1, (FIRST_ROW + span) * ROW_MS))
        self.assertEqual(len(self.rows), KEPT_ROWS + 1)
        self.assertEqual(self.moments(FIRST_ROW + 8), ())
        self.assertEqual(len(self.moments(FIRST_ROW + 9)), 1)

    def test_drops_a_bounded_number_at_a_time(self) -> None:
        for number in range(MAX_DROPPED + 5):
            self.rows[TABLE, row_key(7, number.to_bytes(32, "big"))] = b"\x90"
        self.note(attested(1, FIRST_ROW * ROW_MS))
        self.assertEqual(len(self.rows), 6)
        self.note(attested(2, (FIRST_ROW + 1) * ROW_MS))
        self.assertEqual(len(self.rows), 2)

    @given(st.binary(max_size=100))
    def test_a_damaged_row_is_no_row(self, data: bytes) -> None:
        try:
            read_row(data)
        except CodecError:
            return
