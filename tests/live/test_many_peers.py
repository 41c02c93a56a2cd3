"""A thousand peers that chat and ten thousand connections: the node goes on, within its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long

ROOT = Path(__file__).resolve().parents[2]
CEILING_MB = 500


class ManyPeersTests(SynchronousTestCase):
    """``benchmarks/peers.py``, its figures judged; no time of theirs is."""

    skip = unless_long("a thousand peers, and ten thousand connections one after the other")

    def test_limits_hold(self) -> None:
        run = subprocess.run(
            [sys.executable, "benchmarks/peers.py", "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stderr[-2_000:])
        parts = {}
        for line in run.stdout.splitlines():
            print(line)
            figures = json.loads(line)
            parts[figures["part"]] = figures
            self.assertLess(figures["peak_mb"], CEILING_MB, figures)
            self.assertGreater(figures["payments"], 0, f"nothing became final: {figures}")
            self.assertEqual(figures["failures"], 0, figures)
        self.assertGreaterEqual(parts["peers chat"]["links"], 1_000)
        hurry = parts["callers in a hurry"]
        self.assertEqual(hurry["opened"] + hurry["refused"], 10_000)
        self.assertGreater(hurry["opened"], 5_000)
        self.assertLessEqual(hurry["links"], 1_000 + 3 + 2, "inbound limit, and its own two calls")
        self.assertLess(parts["all gone"]["links"], 10)
