"""A fresh node on a long chain, killed on the way: real processes, RocksDB, ``kill -9``.

``benchmarks/sync.py`` does it. Unspent outputs and blocks must be those of the node that it fetched
them from.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_S = 3_600


class SyncCase(SynchronousTestCase):
    """What the benchmark says of one way to catch up."""

    timeout = LIMIT_S

    def catch_up(self, blocks: int, kills: int, *options: str) -> None:
        command = [sys.executable, str(ROOT / "benchmarks" / "sync.py")]
        command += [f"--blocks={blocks}", f"--kills={kills}", f"--cache={ROOT / '.cache'}"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("same unspent outputs and blocks", done.stdout)
        self.assertEqual(done.stdout.count("killed at"), kills)


class ShortSyncTests(SyncCase):
    """Five hundred blocks."""

    def test_all_blocks(self) -> None:
        self.catch_up(500, 5, "--sources=1")

    def test_from_a_set_then_backwards(self) -> None:
        """Two of the kills fall on the blocks behind the fast start."""
        self.catch_up(500, 3, "--sources=1", "--fast")


class LongSyncTests(SyncCase):
    """Ten thousand blocks, fifty thousand transactions."""

    skip = unless_long("ten thousand blocks, five kills, twice")

    def test_all_blocks(self) -> None:
        self.catch_up(10_000, 5)

    def test_from_a_set_then_backwards(self) -> None:
        self.catch_up(10_000, 5, "--fast")
