"""Both engines keep the same contract; a crash takes unsynced batches only, latest first."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.store.engine import DataDirectoryInUse, Engine, Row, StoreError
from timecoin.store.memory import MemoryEngine
from timecoin.store.rocks import RocksEngine

TABLES = ("one", "two")

row = st.tuples(
    st.sampled_from(TABLES),
    st.binary(min_size=1, max_size=2),
    st.one_of(st.none(), st.binary(max_size=3)),
)
batches = st.lists(st.tuples(st.lists(row, max_size=6), st.booleans()), max_size=12)


def contents(engine: Engine) -> dict[str, list[tuple[bytes, bytes]]]:
    return {table: list(engine.scan(table)) for table in TABLES}


def model_of(writes: list[list[Row]]) -> dict[str, list[tuple[bytes, bytes]]]:
    tables: dict[str, dict[bytes, bytes]] = {table: {} for table in TABLES}
    for rows in writes:
        for table, key, value in rows:
            tables[table].pop(key, None)
            if value is not None:
                tables[table][key] = value
    return {table: sorted(rows.items()) for table, rows in tables.items()}


class Abstract:
    """Keeps the abstract case out of trial's sight."""

    class EngineContract(SynchronousTestCase):
        """What every engine does."""

        def open_engine(self) -> Engine:
            raise self.failureException("each engine's own test case opens it")

        def test_rows_of_a_batch(self) -> None:
            engine = self.open_engine()
            engine.write(
                [("one", b"a", b"1"), ("two", b"a", b"2"), ("one", b"a", b"3"), ("one", b"b", b"")],
                sync=True,
            )
            self.assertEqual(engine.get("one", b"a"), b"3")
            self.assertEqual(engine.get("two", b"a"), b"2")
            self.assertEqual(engine.get("one", b"b"), b"")
            self.assertIsNone(engine.get("two", b"b"))
            engine.write([("one", b"a", None), ("one", b"absent", None)], sync=False)
            self.assertIsNone(engine.get("one", b"a"))
            engine.close()

        def test_scan_by_prefix_in_key_order(self) -> None:
            engine = self.open_engine()
            names = [b"p\x01", b"p", b"o", b"p\xff\xff", b"q", b"p\x00"]
            engine.write([("one", name, name) for name in names], sync=False)
            self.assertEqual(
                [key for key, _ in engine.scan("one", b"p")],
                [b"p", b"p\x00", b"p\x01", b"p\xff\xff"],
            )
            self.assertEqual([key for key, _ in engine.scan("one")], sorted(names))
            self.assertEqual(list(engine.scan("two")), [])
            engine.close()

        def test_scan_from_a_key_on(self) -> None:
            engine = self.open_engine()
            names = [b"o", b"p", b"p1", b"p2", b"p3", b"q"]
            engine.write([("one", name, name) for name in names], sync=False)
            for start, expected in (
                (b"", names[1:5]),
                (b"a", names[1:5]),
                (b"p2", names[3:5]),
                (b"p2\0", names[4:5]),
                (b"q", []),
            ):
                found = [key for key, _ in engine.scan("one", b"p", start)]
                self.assertEqual(found, expected, start)
            self.assertEqual([key for key, _ in engine.scan("one", start=b"p3")], names[4:])
            engine.close()

        def test_scan_longer_than_a_page(self) -> None:
            engine = self.open_engine()
            names = [b"k" + number.to_bytes(3, "big") for number in range(2_000)]
            engine.write([("one", name, b"v") for name in [*names, b"j", b"l"]], sync=False)
            self.assertEqual([key for key, _ in engine.scan("one", b"k")], names)
            engine.close()

        def test_unknown_table(self) -> None:
            engine = self.open_engine()
            with self.assertRaises(KeyError):
                engine.write([("one", b"a", b"1"), ("three", b"a", b"1")], sync=False)
            self.assertIsNone(engine.get("one", b"a"))
            engine.close()


class MemoryEngineTests(Abstract.EngineContract):
    """The dictionary engine and its crashes."""

    def open_engine(self) -> Engine:
        return MemoryEngine(TABLES)

    @given(batches, st.integers(0, 12))
    def test_crash(self, writes: list[tuple[list[Row], bool]], keep: int) -> None:
        engine = MemoryEngine(TABLES)
        synced = 0
        for number, (rows, sync) in enumerate(writes, start=1):
            engine.write(rows, sync)
            if sync:
                synced = number
        self.assertEqual(contents(engine), model_of([rows for rows, _ in writes]))
        self.assertEqual(engine.unsynced_batches, len(writes) - synced)
        engine.crash(keep)
        survivors = writes[: min(synced + keep, len(writes))]
        self.assertEqual(contents(engine), model_of([rows for rows, _ in survivors]))
        engine.crash()
        self.assertEqual(contents(engine), model_of([rows for rows, _ in survivors]))


class RocksEngineTests(Abstract.EngineContract):
    """RocksDB: reopening, the lock on the directory, errors an operator reads."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())

    def open_engine(self) -> Engine:
        return RocksEngine(self.directory, TABLES)

    def test_close_lets_go_at_once_and_rows_stay(self) -> None:
        for value in range(3):
            engine = self.open_engine()
            expected = str(value - 1).encode() if value else None
            self.assertEqual(engine.get("one", b"key"), expected)
            engine.write([("one", b"key", str(value).encode())], sync=False)
            abandoned = engine.scan("one")
            next(abandoned)
            engine.close()
            engine.close()
            del abandoned

    def test_in_use(self) -> None:
        engine = self.open_engine()
        self.addCleanup(engine.close)
        error = self.assertRaises(DataDirectoryInUse, RocksEngine, self.directory, TABLES)
        self.assertIn(str(self.directory), str(error))
        self.assertIn("in use", str(error))

    def test_not_a_directory(self) -> None:
        self.directory.write_text("a file")
        self.assertRaises(StoreError, RocksEngine, self.directory, TABLES)

    def test_table_of_another_version(self) -> None:
        RocksEngine(self.directory, (*TABLES, "later")).close()
        error = self.assertRaises(StoreError, RocksEngine, self.directory, TABLES)
        self.assertNotIsInstance(error, DataDirectoryInUse)
        newer = (*TABLES, "later", "even later")
        error = self.assertRaises(StoreError, RocksEngine, self.directory, newer)
        self.assertIn("another layout (without even later)", str(error))
        RocksEngine(self.directory, (*TABLES, "later")).close()

    def test_sync_after_close_is_refused(self) -> None:
        engine = self.open_engine()
        engine.close()
        self.assertRaises(StoreError, engine.sync)

    @settings(max_examples=8, deadline=None)
    @given(batches)
    def test_same_as_memory(self, writes: list[tuple[list[Row], bool]]) -> None:
        directory = Path(self.mktemp())
        engine: Engine = RocksEngine(directory, TABLES)
        for rows, sync in writes:
            engine.write(rows, sync)
        expected = model_of([rows for rows, _ in writes])
        self.assertEqual(contents(engine), expected)
        engine.close()
        engine = RocksEngine(directory, TABLES)
        self.assertEqual(contents(engine), expected)
        engine.close()
