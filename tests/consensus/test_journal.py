"""The journal: rows there and back, and no trust in rows that are not what they should be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.fakes import FakeChecked, payment
from tests.consensus.test_messages import SAMPLES
from tests.consensus.test_votes import ballot
from timecoin.codec import encode
from timecoin.consensus.journal import (
    BODIES_TABLE,
    TABLE,
    Journal,
    Journaled,
    JournalError,
    Place,
    read_rows,
    vote_key,
)
from timecoin.consensus.messages import Proposal
from timecoin.machine import Record
from timecoin.quorum.statement import VoteKind

PROPOSALS = [sample for sample in SAMPLES if isinstance(sample, Proposal)]
CHECKED = FakeChecked(PROPOSALS[0].block, (payment(1), payment(2)))
QUORUM = PROPOSALS[1].prepare_quorum
assert QUORUM is not None


def rows_of(records: list[Record]) -> dict[tuple[str, bytes], bytes]:
    rows: dict[tuple[str, bytes], bytes] = {}
    for record in records:
        if record.value is None:
            rows.pop((record.table, record.key), None)
        else:
            rows[record.table, record.key] = record.value
    return rows


class ThereAndBack(SynchronousTestCase):
    def setUp(self) -> None:
        self.journal = Journal(Journaled())
        self.votes = [ballot(0), ballot(0, kind=VoteKind.PRECOMMIT, round_=3)]
        assert QUORUM is not None
        self.records = [
            *(self.journal.vote(vote) for vote in self.votes),
            self.journal.place(1, 3),
            self.journal.proposal(PROPOSALS[0]),
            *self.journal.learned(QUORUM, CHECKED),
        ]

    def test_everything_comes_back(self) -> None:
        rows = rows_of(self.records)
        found = read_rows((t, k, v) for (t, k), v in rows.items())
        self.assertEqual(found.votes, self.votes)
        self.assertEqual(found.place, Place(1, 3))
        self.assertEqual(found.proposal, PROPOSALS[0])
        self.assertEqual(found.quorum, QUORUM)
        self.assertEqual(found.blocks, {CHECKED.block.hash: CHECKED.block})
        self.assertEqual(found.bodies, {tx.wtxid: tx for tx in CHECKED.transactions})
        self.assertIsNone(found.broken)

    def test_what_is_needed_for_a_precommit_is_durable(self) -> None:
        assert QUORUM is not None
        learned = Journal(Journaled()).learned(QUORUM, CHECKED)
        self.assertTrue(all(record.durable for record in learned))
        self.assertEqual(len(learned), 4)
        self.assertTrue(self.journal.vote(self.votes[0]).durable)

    def test_clearing_leaves_the_votes_of_recent_heights(self) -> None:
        for journal in (
            self.journal,
            Journal(read_rows((t, k, v) for (t, k), v in rows_of(self.records).items())),
        ):
            rows = rows_of([*self.records, *journal.clear([])])
            keys = [vote_key(1, 0, 1), vote_key(1, 3, 2)]
            self.assertEqual(list(rows), [*((TABLE, key) for key in keys), (TABLE, b"s")])
        rows = rows_of([*self.records, *self.journal.clear(self.votes)])
        self.assertEqual(list(rows)[:2], [(TABLE, b"s"), (TABLE, b"p")])

    def test_proof_of_broken_safety_stays(self) -> None:
        assert QUORUM is not None
        record = self.journal.broken(QUORUM, QUORUM)
        rows = rows_of([record, *self.journal.clear([])])
        found = read_rows((t, k, v) for (t, k), v in rows.items())
        assert found.broken is not None
        self.assertEqual(found.broken.first, QUORUM)


class Distrust(SynchronousTestCase):
    def test_unreadable_rows(self) -> None:
        good = encode(ballot(0))
        for row in (
            (TABLE, vote_key(1, 0, 1), good[:-1]),
            (TABLE, vote_key(1, 1, 1), good),
            (TABLE, b"b" + bytes(32), encode(CHECKED.block)),
            (TABLE, b"z", b""),
            (TABLE, b"", b""),
            (TABLE, b"s", b"\x00"),
            (BODIES_TABLE, bytes(32), b"\x00"),
        ):
            with self.assertRaises(JournalError):
                read_rows([row])

    @given(st.binary(max_size=20), st.binary(max_size=100))
    def test_random_rows(self, key: bytes, value: bytes) -> None:
        try:
            read_rows([(TABLE, key, value)])
        except JournalError as error:
            self.assertIn(key.hex(), str(error))
