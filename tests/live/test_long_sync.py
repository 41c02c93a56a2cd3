"""A fresh node on ten thousand blocks, killed five times on the way (``benchmarks/sync.py``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_S = 3_600


class LongSyncTests(SynchronousTestCase):
    """Real processes, RocksDB, ``kill -9``; the set of unspent outputs must be the sources'."""

    skip = unless_long("ten thousand blocks, five kills, twice")
    timeout = 2 * LIMIT_S

    def run_benchmark(self, *options: str) -> str:
        command = [sys.executable, str(ROOT / "benchmarks" / "sync.py"), "--kills=5", *options]
        command.append(f"--cache={ROOT / '.cache'}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_all_blocks(self) -> None:
        said = self.run_benchmark()
        self.assertIn("same set of unspent outputs", said)
        self.assertEqual(said.count("killed at"), 5)

    def test_from_a_set(self) -> None:
        said = self.run_benchmark("--option=--snapshotsync=1")
        self.assertIn("same set of unspent outputs", said)
