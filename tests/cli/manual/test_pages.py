"""The manual pages name everything there is, and the formatter has nothing to say against them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.tools import needs_tool
from timecoin.cli.main import main
from timecoin.cli.manual.pages import pages, write
from timecoin.cli.manual.roff import Page
from timecoin.cli.rpc.published import published_methods
from timecoin.node.config import OPTIONS

MADE_S = 1_700_000_000


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pages = {page.file_name: page.text for page in pages(MADE_S)}

    def test_every_option_is_in_both_pages(self) -> None:
        for option in OPTIONS:
            term = option.name.replace("-", r"\-")
            self.assertIn(rf"\fB{term}=\fR", self.pages["timecoin.conf.5"])
            self.assertIn(rf"\fB\-\-{term} VALUE\fR", self.pages["twistd-timecoin.8"])

    def test_every_command_and_method_is_named(self) -> None:
        text = self.pages["timecoin-cli.1"]
        for methods in published_methods().values():
            for name in methods:
                self.assertIn(rf"\fB{name}", text)
        for name in main.commands:
            self.assertRegex(text, rf'\.SS "{name} ')

    def test_the_date_is_that_of_the_sources(self) -> None:
        for text in self.pages.values():
            self.assertIn(" 2023-11-14 ", text.splitlines()[0])
        self.assertEqual({page.file_name: page.text for page in pages(MADE_S)}, self.pages)

    def test_lines_of_text_begin_no_request(self) -> None:
        page = Page("x", 1, "y", MADE_S)
        page.paragraph(".SH not a section\n\n'br \\fBnot bold")
        self.assertIn("\n\\&.SH not a section\n", page.text)
        self.assertIn("\n\\&'br \\efBnot bold\n", page.text)


class FormatterTests(SynchronousTestCase):
    def test_no_warnings(self) -> None:
        man = needs_tool("man")
        directory = Path(self.mktemp())
        write(directory, MADE_S)
        for path in sorted(directory.iterdir()):
            ended = subprocess.run(
                [man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)],
                env=os.environ | {"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "100"},
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertIn("timecoin", ended.stdout)
