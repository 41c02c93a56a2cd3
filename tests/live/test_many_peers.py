"""Many peers that chat and many more that come and go: the node goes on, within its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long

ROOT = Path(__file__).resolve().parents[2]
CEILING_MB = 500
OWN_LINKS = 2
"""With the other two validators."""


class ManyPeersTests(SynchronousTestCase):
    """``benchmarks/peers.py``, its figures judged; no time of theirs is."""

    def run_and_judge(self, peers: int, opened: int, seconds: int, port: int) -> dict[str, Any]:
        """The parts of the run by name: everywhere payments become final and memory is bounded."""
        run = subprocess.run(
            [
                sys.executable,
                "benchmarks/peers.py",
                "--json",
                f"--peers={peers}",
                f"--opened={opened}",
                f"--seconds={seconds}",
                f"--port={port}",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr[-2_000:])
        parts: dict[str, Any] = {}
        for line in run.stdout.splitlines():
            print(line)
            figures = json.loads(line)
            parts[figures["part"]] = figures
            self.assertLess(figures["peak_mb"], CEILING_MB, figures)
            self.assertGreater(figures["payments"], 0, f"nothing became final: {figures}")
            self.assertEqual(figures["failures"], 0, figures)
        self.assertGreaterEqual(parts["peers chat"]["links"], peers)
        hurry = parts["callers in a hurry"]
        self.assertEqual(hurry["opened"] + hurry["refused"], opened)
        self.assertGreater(hurry["opened"], opened // 2)
        inbound = peers + OWN_LINKS + 1  # what the setting allows, and its own two calls
        self.assertLessEqual(hurry["links"], inbound + OWN_LINKS)
        self.assertEqual(parts["all gone"]["links"], OWN_LINKS)
        return parts

    def test_some_peers(self) -> None:
        parts = self.run_and_judge(peers=30, opened=60, seconds=2, port=9_420)
        self.assertGreater(parts["callers in a hurry"]["let_go"], 0)

    def test_a_thousand_peers_and_ten_thousand_connections(self) -> None:
        self.run_and_judge(peers=1_000, opened=10_000, seconds=30, port=9_430)

    test_a_thousand_peers_and_ten_thousand_connections.skip = (  # type: ignore[attr-defined]
        unless_long("a thousand peers, and ten thousand connections one after the other")
    )
