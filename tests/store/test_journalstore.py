"""Journal commits: write, sync, acknowledge, in this order and first in first out."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.machine import Record
from timecoin.store.journalstore import JournalStore
from timecoin.store.memory import MemoryEngine


def record(name: int, durable: bool) -> Record:
    return Record("locks", name.to_bytes(4, "big"), b"x", durable)


class Disk:
    """An offload that runs its work when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def __call__(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        self.calls.append((work, done))

    def turn(self) -> None:
        work, done = self.calls.pop(0)
        work()
        done()


class JournalStoreTests(SynchronousTestCase):
    """Order and durability of acknowledgements."""

    def setUp(self) -> None:
        self.engine = MemoryEngine()
        self.disk = Disk()
        self.journal = JournalStore(self.engine, self.disk)
        self.done: list[int] = []

    def commit(self, number: int, durable: bool) -> None:
        self.journal.commit([record(number, durable)], lambda: self.done.append(number))

    def test_nothing_durable_is_acknowledged_at_once(self) -> None:
        self.commit(1, False)
        self.journal.commit([], lambda: self.done.append(2))
        self.assertEqual(self.done, [1, 2])
        self.assertEqual(self.disk.calls, [])
        self.assertEqual(len(self.journal.rows("locks")), 1)

    def test_durable_waits_for_the_sync(self) -> None:
        self.commit(1, True)
        self.assertEqual(self.done, [])
        self.assertEqual(self.journal.pending, 1)
        self.disk.turn()
        self.assertEqual(self.done, [1])
        self.assertEqual(self.journal.pending, 0)
        self.engine.crash()
        self.assertEqual(self.journal.rows("locks"), ((b"\x00\x00\x00\x01", b"x"),))

    def test_later_turns_never_overtake(self) -> None:
        self.commit(1, True)
        self.commit(2, False)
        self.commit(3, True)
        self.commit(4, False)
        self.assertEqual(len(self.disk.calls), 1)
        self.disk.turn()
        self.assertEqual(self.done, [1, 2])
        self.disk.turn()
        self.assertEqual(self.done, [1, 2, 3, 4])

    def test_written_during_a_sync_is_not_covered_by_it(self) -> None:
        self.commit(1, True)
        work, done = self.disk.calls.pop()
        work()
        self.commit(2, True)
        done()
        self.assertEqual(self.done, [1])
        self.engine.crash()
        self.assertEqual(len(self.journal.rows("locks")), 1)

    def test_commit_from_within_done(self) -> None:
        def again() -> None:
            self.done.append(1)
            self.commit(3, True)
            self.commit(4, False)

        self.journal.commit([record(1, True)], again)
        self.commit(2, False)
        self.disk.turn()
        self.assertEqual(self.done, [1, 2])
        self.disk.turn()
        self.assertEqual(self.done, [1, 2, 3, 4])

    def test_an_offload_that_works_at_once(self) -> None:
        def at_once(work: Callable[[], None], done: Callable[[], None]) -> None:
            work()
            done()

        journal = JournalStore(self.engine, at_once)

        def again() -> None:
            self.done.append(1)
            journal.commit([record(2, True)], lambda: self.done.append(2))

        journal.commit([record(1, True)], again)
        self.assertEqual(self.done, [1, 2])
        self.assertEqual(journal.pending, 0)

    def test_failed_sync_acknowledges_nothing(self) -> None:
        def broken(work: Callable[[], None], done: Callable[[], None]) -> None:
            raise OSError("disk gone")

        journal = JournalStore(self.engine, broken)
        with self.assertRaises(OSError):
            journal.commit([record(1, True)], lambda: self.done.append(1))
        self.assertEqual(self.done, [])

    def test_rows_of_a_journal_table_only(self) -> None:
        self.assertRaises(ValueError, self.journal.rows, "utxo")

    @given(st.lists(st.one_of(st.booleans(), st.none()), max_size=30))
    def test_order_and_durability(self, steps: list[bool | None]) -> None:
        """None lets one sync finish; acknowledged durable records survive a crash."""
        self.setUp()
        numbers = []
        durable_done: list[int] = []
        for number, step in enumerate(steps):
            if step is None:
                if self.disk.calls:
                    self.disk.turn()
            else:
                numbers.append(number)
                self.commit(number, step)
            self.assertEqual(self.done, numbers[: len(self.done)])
            self.assertEqual(self.journal.pending, len(numbers) - len(self.done))
        durable_done = [number for number in self.done if steps[number]]
        self.engine.crash()
        kept = {int.from_bytes(key, "big") for key, _ in self.journal.rows("locks")}
        self.assertEqual([number for number in durable_done if number not in kept], [])
