"""The address book: places, what nobody can take from others, what rests."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import NOW_MS, NOW_S, host, unsigned
from timecoin.codec import CodecError
from timecoin.p2p.addressbook import (
    BUCKET_SLOTS,
    FIRST_PAUSE_MS,
    MAX_FAILURES,
    MAX_PAUSE_MS,
    MAX_STAKED_PAUSE_MS,
    NEW_BUCKETS_OF_SOURCE,
    TRIED_BUCKETS_OF_GROUP,
    AddressBook,
    Entry,
)
from timecoin.p2p.netgroup import address_group
from timecoin.p2p.records import MAX_AGE_S, AddressRecord

SOURCE = address_group(host("9.9.9.9"))


def any_entry(entry: Entry) -> bool:
    """Everybody fits."""
    return True


def spread(number: int) -> str:
    """An address in a group of its own."""
    return f"{11 + number // 256 % 100}.{number % 256}.{number // 25_600}.1"


class BookCase(SynchronousTestCase):
    """An empty book and a generator."""

    def setUp(self) -> None:
        self.book = AddressBook(b"secret" * 5)
        self.rng = random.Random(5)

    def add(self, number: int, address: str, at_s: int = NOW_S) -> bytes:
        """One node, told by SOURCE."""
        record = unsigned(number, address, at_s)
        self.assertTrue(self.book.add(record, SOURCE))
        return record.node_id

    def choose(self, tried: bool | None = None, now_ms: int = NOW_MS) -> AddressRecord | None:
        """Anybody."""
        entry = self.book.choose(now_ms, self.rng, tried, any_entry)
        return None if entry is None else entry.record


class RecordsTests(BookCase):
    """Records of one node."""

    def test_empty(self) -> None:
        self.assertIsNone(self.choose())
        self.assertEqual(self.book.sample(10, NOW_MS, self.rng, True), [])

    def test_newest_wins(self) -> None:
        node = self.add(1, "8.8.8.8")
        self.assertFalse(self.book.add(unsigned(1, "8.8.4.4"), SOURCE), "as old")
        self.assertFalse(self.book.add(unsigned(1, "8.8.4.4", NOW_S - 1), SOURCE))
        self.assertTrue(self.book.add(unsigned(1, "8.8.4.4", NOW_S + 1), SOURCE))
        entry = self.book.get(node)
        assert entry is not None
        self.assertEqual(entry.record.host, host("8.8.4.4"))
        self.assertEqual(len(self.book), 1)

    def test_new_address_begins_anew(self) -> None:
        """What is known of the old address says nothing of the new one."""
        node = self.add(1, "8.8.8.8")
        self.book.linked(node, b"\x05" * 32)
        self.assertIsNotNone(self.choose(tried=True))
        self.book.add(unsigned(1, "9.8.8.8", NOW_S + 1), SOURCE)
        self.assertIsNone(self.choose(tried=True))
        entry = self.book.get(node)
        assert entry is not None
        self.assertEqual((entry.tried, entry.masternode), (False, b"\x05" * 32))

    def test_same_address_keeps_its_place(self) -> None:
        node = self.add(1, "8.8.8.8")
        self.book.linked(node, None)
        self.book.add(unsigned(1, "8.8.8.8", NOW_S + 1), SOURCE)
        self.assertIsNotNone(self.choose(tried=True))

    def test_old_records_are_not_called_and_not_told(self) -> None:
        self.add(1, "8.8.8.8", NOW_S - MAX_AGE_S)
        self.assertIsNotNone(self.choose())
        self.assertIsNone(self.choose(now_ms=NOW_MS + 1_000))
        self.assertEqual(self.book.sample(10, NOW_MS + 1_000, self.rng, True), [])

    def test_private_hosts_are_not_told_to_the_internet(self) -> None:
        self.add(1, "10.0.0.1")
        self.assertEqual(self.book.sample(10, NOW_MS, self.rng, True), [])
        self.assertEqual(len(self.book.sample(10, NOW_MS, self.rng, False)), 1)

    def test_a_sample_is_a_part(self) -> None:
        """Nobody learns the whole book at once."""
        for number in range(1_000):
            self.book.add(unsigned(number, spread(number)), address_group(host(spread(number))))
        held = len(self.book)
        self.assertGreater(held, 800)
        self.assertEqual(len(self.book.sample(10**6, NOW_MS, self.rng, True)), held // 4)
        self.assertEqual(len(self.book.sample(7, NOW_MS, self.rng, True)), 7)


class CallingTests(BookCase):
    """Pauses and tables."""

    def test_a_link_moves_it_to_tried(self) -> None:
        node = self.add(1, "8.8.8.8")
        self.assertIsNone(self.choose(tried=True))
        self.book.linked(node, None)
        self.assertIsNotNone(self.choose(tried=True))
        self.assertIsNone(self.choose(tried=False))

    def test_pause_doubles_with_jitter(self) -> None:
        """From one second to five minutes; three seconds for staked ones."""
        for staked, longest_ms in ((False, MAX_PAUSE_MS), (True, MAX_STAKED_PAUSE_MS)):
            seen = set()
            for seed in range(40):
                book, rng = AddressBook(bytes(32)), random.Random(seed)
                record = unsigned(1, "8.8.8.8")
                book.add(record, SOURCE)
                for failures in range(1, 15):
                    book.failed(record.node_id, NOW_MS, rng, staked)
                    entry = book.get(record.node_id)
                    assert entry is not None
                    pause_ms = entry.next_call_ms - NOW_MS
                    bound_ms = min(longest_ms, FIRST_PAUSE_MS * 2**failures)
                    self.assertTrue(FIRST_PAUSE_MS <= pause_ms <= bound_ms)
                seen.add(pause_ms)
            self.assertGreater(len(seen), 20, "nodes do not call in step")

    def test_not_called_during_its_pause(self) -> None:
        node = self.add(1, "8.8.8.8")
        self.book.failed(node, NOW_MS, self.rng, False)
        self.assertIsNone(self.choose())
        self.assertIsNotNone(self.choose(now_ms=NOW_MS + 2 * FIRST_PAUSE_MS))
        self.book.linked(node, None)
        self.assertIsNotNone(self.choose())

    def test_unknown_nodes_are_no_error(self) -> None:
        self.book.linked(b"\x01" * 32, None)
        self.book.failed(b"\x01" * 32, NOW_MS, self.rng, False)
        self.assertEqual(self.book.changed, {})


class FloodTests(BookCase):
    """F26: nobody fills the book."""

    def test_one_source_reaches_a_part_of_new(self) -> None:
        """However many nodes of however many networks it tells of."""
        for number in range(6_000):
            self.book.add(unsigned(number, spread(number)), SOURCE)
        self.assertLessEqual(len(self.book), NEW_BUCKETS_OF_SOURCE * BUCKET_SLOTS)

    def test_one_group_reaches_a_part_of_tried(self) -> None:
        for number in range(5_000):
            record = unsigned(number, f"8.8.{number // 250}.{number % 250 + 1}")
            if self.book.add(record, address_group(host(spread(number)))):
                self.book.linked(record.node_id, None)
        tried = sum(entry.tried for entry in self.book.nodes())
        self.assertGreater(tried, TRIED_BUCKETS_OF_GROUP * BUCKET_SLOTS // 2)
        self.assertLessEqual(tried, TRIED_BUCKETS_OF_GROUP * BUCKET_SLOTS)

    def test_who_is_there_stays_until_it_fails(self) -> None:
        node = self.add(0, "8.8.8.8")
        for number in range(1, 3_000):
            self.book.add(unsigned(number, "8.8.8.8"), SOURCE)
        self.assertIsNotNone(self.book.get(node))
        for _ in range(MAX_FAILURES):
            self.book.failed(node, NOW_MS, self.rng, False)
        for number in range(3_000, 12_000):
            self.book.add(unsigned(number, "8.8.8.8"), SOURCE)
        self.assertIsNone(self.book.get(node))

    def test_places_depend_on_the_secret(self) -> None:
        """Nobody can foretell whom he displaces."""
        other = AddressBook(b"other!" * 5)
        kept = []
        for book in (self.book, other):
            for number in range(2_000):
                book.add(unsigned(number, "8.8.8.8"), SOURCE)
            kept.append([entry.record.node_id for entry in book.nodes()])
        self.assertNotEqual(kept[0], kept[1])


class RestTests(BookCase):
    """Rows."""

    def test_a_row_brings_it_back(self) -> None:
        node = self.add(1, "8.8.8.8")
        self.book.linked(node, b"\x05" * 32)
        self.assertEqual(list(self.book.changed), [node])
        row = self.book.row(node)
        assert row is not None
        again = AddressBook(b"secret" * 5)
        again.restore(row)
        self.assertEqual(again.changed, {})
        entry = again.get(node)
        assert entry is not None
        self.assertEqual((entry.tried, entry.masternode), (True, b"\x05" * 32))
        self.assertEqual(entry.record, unsigned(1, "8.8.8.8"))

    def test_rubbish_is_refused(self) -> None:
        self.assertRaises(CodecError, self.book.restore, b"\x93\x01\x02")
        self.assertIsNone(self.book.row(b"\x01" * 32))
