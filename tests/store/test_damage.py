"""What the disk does to a store: bits flip, the log is torn, a table is missing (F13, F14).

Each is told, none is taken for rows that are not there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from rocksdict import Options, Rdict
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Net
from timecoin.store import keys
from timecoin.store.engine import StoreDamaged, StoreError
from timecoin.store.reindex import is_interrupted, reindex
from timecoin.store.rocks import RocksEngine
from timecoin.store.tornlog import newest_log, zeros_at_end

TABLES = ("one", "two")
ROWS = 600
"""More than one page of a scan, and several blocks of a file."""


class StoreCase(SynchronousTestCase):
    """Stores in memory, where no disk is waited for."""

    def setUp(self) -> None:
        memory = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None)) / "store"
        self.addCleanup(shutil.rmtree, self.directory.parent)

    def settle(self, tables: tuple[str, ...] = keys.TABLES) -> None:
        """Bring what is in the log into table files."""
        RocksEngine(self.directory, tables).close()

    def flip(self, file: Path, bit: int) -> None:
        """Turn one bit of ``file``."""
        content = bytearray(file.read_bytes())
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)


class FlippedBitTests(StoreCase):
    """F14: a bit of a table file, or of what says which files there are."""

    def setUp(self) -> None:
        super().setUp()
        engine = RocksEngine(self.directory, TABLES)
        for number in range(ROWS):
            engine.write([("one", b"%04d" % number, bytes(100))], sync=False)
        engine.close()
        self.settle(TABLES)
        (self.file,) = self.directory.glob("*.sst")
        self.size = self.file.stat().st_size

    def test_rows_are_damaged_not_absent(self) -> None:
        self.flip(self.file, self.size * 4)
        engine = RocksEngine(self.directory, TABLES)
        self.addCleanup(engine.close)
        seen = 0
        with self.assertRaises(StoreDamaged) as raised:
            for _ in engine.scan("one"):
                seen += 1
        self.assertLess(seen, ROWS)
        self.assertIn(str(self.directory), str(raised.exception))
        self.assertIn("timecoin-cli doctor", str(raised.exception))
        with self.assertRaises(StoreDamaged):
            for number in range(ROWS):
                self.assertIsNotNone(engine.get("one", b"%04d" % number))
        self.assertEqual(list(engine.scan("two")), [])

    def test_the_end_of_a_damaged_table_is_not_reached_from_within(self) -> None:
        self.flip(self.file, self.size * 4)
        engine = RocksEngine(self.directory, TABLES)
        self.addCleanup(engine.close)
        self.assertRaises(StoreDamaged, list, engine.scan("one", start=b"0010"))
        self.assertRaises(StoreDamaged, list, engine.scan("one", prefix=b"0"))
        self.assertEqual(len(list(engine.scan("one", prefix=b"000"))), 10)

    def test_the_foot_of_a_file(self) -> None:
        self.flip(self.file, self.size * 8 - 100)
        self.assertRaises(StoreDamaged, RocksEngine, self.directory, TABLES)

    def test_the_list_of_files(self) -> None:
        (manifest,) = self.directory.glob("MANIFEST-*")
        self.flip(manifest, manifest.stat().st_size * 4)
        self.assertRaises(StoreDamaged, RocksEngine, self.directory, TABLES)

    def test_any_bit_of_a_file(self) -> None:
        """Every row is as it was written, or the store says that it is damaged."""
        whole = self.file.read_bytes()
        told = 0
        for step in range(64):
            self.flip(self.file, step * (self.size * 8 // 64) + step % 8)
            try:
                engine = RocksEngine(self.directory, TABLES)
                try:
                    self.assertEqual(len(list(engine.scan("one"))), ROWS)
                finally:
                    engine.close()
            except StoreDamaged:
                told += 1
            self.file.write_bytes(whole)
        self.assertGreater(told, 48)


class TornLogTests(StoreCase):
    """F13: a power cut leaves any part of the last record, or zeros in its place."""

    def cut_everywhere(self, torn: Callable[[Path, int], None]) -> None:
        """Each synced vote is there at every cut; the last one only where nothing is missing."""
        engine = RocksEngine(self.directory, TABLES)
        for number in range(3):
            engine.write([("one", b"vote %d" % number, bytes([number]) * 40)], sync=True)
        log = self.log()
        safe = log.stat().st_size
        engine.write([("one", b"vote 3", b"3" * 40), ("two", b"lock", b"4")], sync=False)
        written = log.stat().st_size
        copy = self.directory.with_name("copy")
        shutil.copytree(self.directory, copy)
        engine.close()
        self.assertGreater(written - safe, 70)
        for cut in range(safe, written + 1):
            shutil.rmtree(self.directory)
            shutil.copytree(copy, self.directory)
            torn(self.directory / log.name, cut)
            engine = RocksEngine(self.directory, TABLES)
            votes = [key for key, _ in engine.scan("one")]
            whole = cut == written
            self.assertEqual(votes, [b"vote %d" % number for number in range(3 + whole)], cut)
            self.assertEqual(engine.get("two", b"lock"), b"4" if whole else None)
            engine.close()

    def log(self) -> Path:
        """The log that is being written."""
        log = newest_log(self.directory)
        assert log is not None
        return log

    def test_a_bit_before_the_end_is_damage(self) -> None:
        """By its default RocksDB would forget every synced vote behind it, and say nothing."""
        engine = RocksEngine(self.directory, TABLES)
        sizes = []
        for number in range(4):
            engine.write([("one", b"vote %d" % number, bytes(40))], sync=True)
            sizes.append(self.log().stat().st_size)
        copy = self.directory.with_name("copy")
        shutil.copytree(self.directory, copy)
        engine.close()
        for zeros in (0, 100):
            shutil.rmtree(self.directory)
            shutil.copytree(copy, self.directory)
            self.flip(self.log(), 4 * (sizes[0] + sizes[1]))
            with self.log().open("ab") as file:
                file.write(bytes(zeros))
            before = self.log().read_bytes()
            self.assertRaises(StoreDamaged, RocksEngine, self.directory, TABLES)
            self.assertEqual(self.log().read_bytes(), before, "it is left as it was")

    def test_zeros_at_the_end_of_a_file(self) -> None:
        path = self.directory.with_name("file")
        large = 3 << 20
        for content, zeros in ((b"", 0), (b"a", 0), (bytes(5), 5), (b"a" + bytes(large), large)):
            path.write_bytes(content)
            self.assertEqual(zeros_at_end(path), zeros)
        self.assertEqual(zeros_at_end(None), 0)

    def test_cut_at_every_byte(self) -> None:
        def cut(log: Path, size: int) -> None:
            with log.open("r+b") as file:
                file.truncate(size)

        self.cut_everywhere(cut)

    def test_zeros_from_every_byte_on(self) -> None:
        def fill(log: Path, size: int) -> None:
            written = log.stat().st_size
            with log.open("r+b") as file:
                file.truncate(size)
                file.truncate(written)

        self.cut_everywhere(fill)


class UnmadeTests(StoreCase):
    """F11: a kill while the first start makes the store."""

    def test_some_tables_only(self) -> None:
        for made in ((), (keys.UTXO,), (keys.META, keys.UTXO)):
            options = Options(raw_mode=True)
            options.create_if_missing(True)
            options.create_missing_column_families(True)
            families = dict.fromkeys(made, options)
            Rdict(str(self.directory), options=options, column_families=families).close()
            engine = RocksEngine(self.directory)
            engine.write([(table, b"key", b"value") for table in keys.TABLES], sync=True)
            engine.close()
            shutil.rmtree(self.directory)


class ReindexTests(StoreCase):
    """What follows from the blocks comes back when its files are damaged."""

    NET = Net()

    def setUp(self) -> None:
        super().setUp()
        engine = RocksEngine(self.directory)
        chain = self.NET.chain(engine)
        for height in range(4):
            tx = self.NET.pay([self.NET.coins(chain, height % 4)[0]], (height + 1) % 4)
            self.NET.grow(chain, self.NET.archive(tx, anchor=height))
        self.before = {table: list(engine.scan(table)) for table in keys.TABLES}
        engine.close()
        self.settle()

    def damage(self, table: str) -> None:
        """Turn a bit of the first row of ``table``, in its file."""
        key, value = self.before[table][0]
        # The properties of a file hold "...column.family.id" and then, shortened, "name" and it.
        named = b"name" + table.encode()
        (file,) = (path for path in self.directory.glob("*.sst") if named in path.read_bytes())
        at = file.read_bytes().find(value or key)
        self.assertGreaterEqual(at, 0)
        self.flip(file, at * 8)

    def rebuild(self) -> None:
        engine = RocksEngine(self.directory)
        try:
            reindex(engine, self.NET.genesis, True, lambda height, tip: None)
            after = {table: list(engine.scan(table)) for table in keys.TABLES}
        finally:
            engine.close()
        self.assertEqual(after, self.before)

    def test_damaged_unspent_outputs(self) -> None:
        self.damage(keys.UTXO)
        engine = RocksEngine(self.directory)
        self.assertRaises(StoreDamaged, list, engine.scan(keys.UTXO))
        engine.close()
        self.rebuild()

    def test_every_table_that_follows_from_blocks(self) -> None:
        for table in keys.REBUILT:
            self.damage(table)
            self.rebuild()
            self.settle()

    def test_damaged_blocks_are_not_built_upon(self) -> None:
        self.damage(keys.BODIES)
        self.assertRaises(StoreDamaged, self.rebuild)

    def test_a_crash_while_a_table_is_replaced(self) -> None:
        self.drop(keys.UTXO)
        error = self.assertRaises(StoreError, RocksEngine, self.directory)
        self.assertIn("another layout (without utxo)", str(error))

        engine = self.restored()
        engine.write([(keys.META, keys.META_REINDEX, b"")], sync=True)
        engine.close()
        self.drop(keys.UTXO)
        engine = RocksEngine(self.directory)
        self.assertTrue(is_interrupted(engine))
        engine.close()
        self.rebuild()

    def restored(self) -> RocksEngine:
        """A new store with the rows that there were."""
        shutil.rmtree(self.directory)
        engine = RocksEngine(self.directory)
        found = [(table, *row) for table, rows in self.before.items() for row in rows]
        engine.write(found, sync=True)
        return engine

    def drop(self, table: str) -> None:
        """Take the table away, as a crash in the midst of ``clear`` leaves it."""
        options = Options(raw_mode=True)
        names = Rdict.list_cf(str(self.directory), options)
        database = Rdict(
            str(self.directory), options=options, column_families=dict.fromkeys(names, options)
        )
        database.drop_column_family(table)
        database.close()
