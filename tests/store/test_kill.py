"""RocksDB survives kill -9 and a torn log: no acknowledged batch lost, none half there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.store.writer import TABLES
from timecoin.store.engine import DataDirectoryInUse
from timecoin.store.rocks import RocksEngine

ROUNDS = 5
BATCHES_A_ROUND = 40


class KillTests(SynchronousTestCase):
    """A writer process, killed while it writes."""

    def check_whole(self, directory: Path) -> int:
        """The number of the last batch, once every row has been seen to be of that batch."""
        engine = RocksEngine(directory, TABLES)
        last = engine.get("one", b"last")
        assert last is not None
        for table in TABLES:
            for row in range(20):
                self.assertEqual(engine.get(table, b"%d" % row), last * 64)
        engine.close()
        return int.from_bytes(last, "big")

    def test_kill_in_a_loop(self) -> None:
        directory = Path(self.mktemp()).absolute()
        acknowledged = 0
        for _ in range(ROUNDS):
            command = [sys.executable, "-m", "tests.store.writer", str(directory)]
            process = subprocess.Popen(
                [*command, str(acknowledged + 1)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
            assert process.stdout is not None
            goal = acknowledged + BATCHES_A_ROUND
            try:
                while acknowledged < goal:
                    line = process.stdout.readline()
                    self.assertNotEqual(line, "", "the writer ended by itself")
                    acknowledged = int(line)
                self.assertRaises(DataDirectoryInUse, RocksEngine, directory, TABLES)
            finally:
                process.kill()
                rest = process.stdout.read()
                process.stdout.close()
                process.wait()
            whole_lines = rest[: rest.rfind("\n") + 1].split()
            if whole_lines:
                acknowledged = int(whole_lines[-1])
            written = self.check_whole(directory)
            self.assertIn(written, (acknowledged, acknowledged + 1))
            acknowledged = written

    def test_log_torn_anywhere_in_the_last_batch(self) -> None:
        """A power cut may leave any part of the last record of the write-ahead log."""
        directory = Path(self.mktemp()).absolute()
        engine = RocksEngine(directory, TABLES)
        sizes = []
        for number in range(1, 4):
            value = number.to_bytes(8, "big")
            rows = [(table, b"%d" % row, value * 64) for table in TABLES for row in range(20)]
            engine.write([*rows, ("one", b"last", value)], sync=True)
            log = max(directory.glob("*.log"))
            sizes.append(log.stat().st_size)
        copy = Path(self.mktemp()).absolute()
        shutil.copytree(directory, copy)
        engine.close()
        (copy / "LOCK").unlink()
        before, end = sizes[-2], sizes[-1]
        cuts = [before, before + 1, before + 7, before + 8, (before + end) // 2, end - 1]
        for cut in cuts:
            torn = Path(self.mktemp()).absolute()
            shutil.copytree(copy, torn)
            with (torn / log.name).open("r+b") as file:
                file.truncate(cut)
            self.assertEqual(self.check_whole(torn), 2, f"cut at {cut} of {before}..{end}")
        self.assertEqual(self.check_whole(copy), 3)
