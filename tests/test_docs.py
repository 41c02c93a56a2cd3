"""The pages in docs/ are sound reStructuredText, and their links to each other lead somewhere."""

from __future__ import annotations

import io
import re
from pathlib import Path

from docutils.core import publish_doctree
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst")))
WARNING = 2
LINK = re.compile(r"<([A-Za-z0-9_./-]+\.rst)>`_")


class PageTests(SynchronousTestCase):
    def test_no_page_has_an_error(self) -> None:
        self.assertGreater(len(PAGES), 20)
        for path in PAGES:
            said = io.StringIO()
            settings = {
                "report_level": WARNING,
                "halt_level": 5,
                "warning_stream": said,
                "syntax_highlight": "none",
            }
            publish_doctree(path.read_text("utf-8"), str(path), settings_overrides=settings)
            self.assertEqual(said.getvalue(), "")

    def test_links_between_pages(self) -> None:
        for path in PAGES:
            for target in LINK.findall(path.read_text("utf-8")):
                self.assertTrue((path.parent / target).is_file(), f"{path}: {target}")

    def test_every_page_for_operators_is_in_the_index(self) -> None:
        folder = ROOT / "docs" / "operations"
        listed = LINK.findall((folder / "index.rst").read_text("utf-8"))
        pages = {path.name for path in folder.glob("*.rst")} - {"index.rst"}
        self.assertEqual(sorted(listed), sorted(pages))
