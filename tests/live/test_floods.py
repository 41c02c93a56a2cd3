"""Attacks from many addresses: known users are answered, payments go on (FAULTS F24, F25)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = 11
HELD = 250
"""Connections that are open at a time are fewer: of 500 the node lets most go."""


class FloodTests(SynchronousTestCase):
    """``benchmarks/floods.py``, its figures judged; no latency is."""

    skip = unless_long("eleven attacks one after the other")

    def test_every_kind(self) -> None:
        run = subprocess.run(
            [sys.executable, "benchmarks/floods.py", "--json", "--seconds=5", "--port=9480"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr[-2_000:])
        parts = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual(len(parts), ATTACKS + 2, "a quiet one before and after")
        for part in parts:
            print(part)
            self.assertEqual((part["late"], part["failed"]), (0, 0), part)
            self.assertGreater(part["payments"], 0, part)
            self.assertGreater(part["blocks"], 0, part)
            self.assertLess(part["attackers"].get("open", 0), HELD, part)
        self.assertTrue(all(part["attackers"]["opened"] for part in parts[1:-1]))
