"""``timecoin-cli sim``: one seed, one digest, whatever order sets have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.sim import sim

CLI = (sys.executable, "-c", "from timecoin.cli.main import main; main()")
SMALL = ("--nodes=3", "--minutes=2", "--payments=4")


class SimTests(SynchronousTestCase):
    def run_it(self, hash_seed: str, *arguments: str) -> list[str]:
        ended = subprocess.run(
            [*CLI, "sim", *SMALL, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            timeout=120,
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout.splitlines()

    def test_one_seed_one_digest(self) -> None:
        first, second = self.run_it("1", "--seed=5"), self.run_it("2", "--seed=5")
        self.assertEqual(first, second)
        self.assertRegex(first[-1], r"^digest [0-9a-f]{64}$")
        self.assertNotEqual(self.run_it("1", "--seed=6")[-1], first[-1])

    def test_the_trace_is_what_happened(self) -> None:
        path = Path(self.mktemp())
        ended = CliRunner().invoke(sim, [*SMALL, "--seed=5", f"--trace={path}"])
        self.assertEqual(ended.exit_code, 0, ended.output)
        lines = path.read_text().splitlines()
        self.assertGreater(sum(" frame " in line for line in lines), 50)
        self.assertIn("payments     4, final 4", ended.output)

    def test_refusals(self) -> None:
        for arguments in (["--nodes=0"], ["--seed=x"], ["--minutes=0"], ["--slot=0"]):
            self.assertEqual(CliRunner().invoke(sim, arguments).exit_code, 2)
        ended = CliRunner().invoke(sim, [*SMALL, "--trace=/nonexistent/trace"])
        self.assertEqual(ended.exit_code, 1)
