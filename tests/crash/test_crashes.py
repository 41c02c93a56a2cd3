"""Kill -9 and power cuts at every point of a store on RocksDB (FAULTS F11, F12).

``make test`` kills a network, a rebuild and a fast start some 30 times each, ``make check-long``
networks 500 times more. ``python -m tests.crash network --seed N`` is one campaign by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.disk import VARIABLE, kind_of
from tests.support.long import unless_long
from timecoin.store import keys

ROOT = Path(__file__).parents[2]
LONG_SEEDS = range(100, 120)
LONG_KILLS = 25


def campaign(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tests.crash``."""
    return subprocess.run(
        [sys.executable, "-m", "tests.crash", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | variables,
    )


class CrashCase(SynchronousTestCase):
    """Runs campaigns."""

    def survived(self, scenario: str, seed: int, kills: int, **variables: str) -> Any:
        """The report of a campaign that found nothing wrong."""
        ended = campaign(scenario, f"--seed={seed}", f"--kills={kills}", **variables)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        report = json.loads(ended.stdout)
        self.assertEqual(report["kills"], kills)
        return report


class CrashTests(CrashCase):
    """Part of every run."""

    def test_a_network(self) -> None:
        report = self.survived("network", 1, 30)
        self.assertEqual(report["missed"], [], "points at which no life ended")
        for point in ("run.ballots.before", "run.sync.done", "run.block.written", "start.scan"):
            self.assertIn(point, report["ended"])

    def test_a_rebuild(self) -> None:
        self.assertEqual(self.survived("rebuild", 1, 25)["missed"], [])

    def test_a_fast_start(self) -> None:
        self.assertEqual(self.survived("load", 1, 30)["missed"], [])

    def test_the_same_point_again_and_again(self) -> None:
        """A node that is killed in each recovery still recovers in the end."""
        report = self.survived("network", 2, 6, **{VARIABLE: "start.journal.written:2"})
        self.assertGreater(report["ended"]["start.journal.written"], 2)

    def test_a_disk_that_does_not_sync_is_found(self) -> None:
        """What the campaigns look for is seen."""
        ended = campaign("lying", "--seed=1", "--kills=30")
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertRegex(ended.stderr, "never two votes|lost|no double spend|signed")

    def test_points_are_named_by_what_is_written(self) -> None:
        self.assertEqual(kind_of([("consensus", b"a", b"")]), "ballots")
        self.assertEqual(kind_of([("locks", b"a", b""), ("pool", b"a", None)]), "votes")
        self.assertEqual(kind_of([(keys.UTXO, b"a", None)]), "rows")
        self.assertEqual(kind_of([(keys.META, keys.META_LOADING, b"")]), "load")


class FiveHundredCrashesTests(CrashCase):
    """Part of ``make check-long``."""

    skip = unless_long("five hundred kills of networks on RocksDB")

    def test_five_hundred(self) -> None:
        missed = None
        for seed in LONG_SEEDS:
            report = self.survived("network", seed, LONG_KILLS)
            missed = set(report["missed"]) & (missed or set(report["missed"]))
        self.assertEqual(missed, set())
