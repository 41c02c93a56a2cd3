"""``timecoin-cli soak``: its files, its lines, its exit status."""

from __future__ import annotations

import itertools
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.soak.kit import PlantedNode, target_of
from timecoin.cli.devnet import processes
from timecoin.cli.main import main
from timecoin.cli.soak import command
from timecoin.cli.soak.report import CSV_NAME, HTML_NAME

URLS = "https://a.example:24101,https://b.example:24101"
SECOND_HOURS = "0.0003"


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.out = Path(self.mktemp())
        seconds = itertools.count()
        self.nodes = [PlantedNode(name, lambda: float(next(seconds))) for name in ("a", "b")]
        self.asked: list[tuple[str, str | None, str | None]] = []

        def targets_of(urls: str, user: str | None, password: str | None, cert: object) -> object:
            self.asked.append((urls, user, password))
            return [target_of(node) for node in self.nodes]

        self.patch(command, "targets_of_urls", targets_of)
        self.patch(processes, "stop_by_signals", lambda: None)

    def soak(self, *words: str) -> Result:
        return CliRunner().invoke(
            main,
            ["--rpc-user", "monitor", "soak", *words, "--out", str(self.out)],
            env={"TIMECOIN_RPC_PASSWORD": "secret"},
            prog_name="timecoin-cli",
        )

    def test_nothing_found(self) -> None:
        ended = self.soak("--nodes", URLS, "--hours", SECOND_HOURS, "--interval", "0.2")
        self.assertEqual((ended.exit_code, self.asked), (0, [(URLS, "monitor", "secret")]))
        self.assertIn("nothing found", ended.output)
        self.assertIn("memory of a node, most", ended.output)
        self.assertNotIn("secret", ended.output)
        self.assertIn("a,", (self.out / CSV_NAME).read_text("utf-8"))
        self.assertIn("<svg", (self.out / HTML_NAME).read_text("utf-8"))

    def test_a_finding(self) -> None:
        self.nodes[1].disk = 1
        ended = self.soak("--nodes", URLS, "--hours", SECOND_HOURS, "--interval", "0.2")
        self.assertEqual(ended.exit_code, 1)
        self.assertRegex(ended.output, r"finding: .*disk")
        self.assertIn("1 findings", ended.output)
        self.assertIn("disk", (self.out / HTML_NAME).read_text("utf-8"))

    def test_wrong_usage(self) -> None:
        for words in (
            (),
            ("--nodes", URLS, "--start", "3"),
            ("--nodes", URLS, "--hours", "1", "--minutes", "1"),
            ("--nodes", URLS, "--hours", "0"),
        ):
            self.assertEqual(self.soak(*words).exit_code, 2, words)
        self.assertEqual(self.asked, [])
