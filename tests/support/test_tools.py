"""A missing program is a skip that names its package, and a failure in CI."""

from __future__ import annotations

import os
import re
from pathlib import Path

from twisted.trial.unittest import FailTest, SkipTest, SynchronousTestCase

from tests.support import tools

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


class NeedsToolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(tools, "PACKAGE_OF", {"no-such-program": "its-package", "sh": "dash"})
        self.patch(os, "environ", {})

    def test_present(self) -> None:
        self.assertTrue(os.access(tools.needs_tool("sh"), os.X_OK))

    def test_missing(self) -> None:
        error = self.assertRaises(SkipTest, tools.needs_tool, "no-such-program")
        self.assertIn("apt-get install its-package", str(error))

    def test_missing_in_ci(self) -> None:
        os.environ["CI"] = "true"
        error = self.assertRaises(FailTest, tools.needs_tool, "no-such-program")
        self.assertIn("no-such-program is missing", str(error))


class MakefileTests(SynchronousTestCase):
    def test_make_tools_installs_every_package(self) -> None:
        found = re.search(r"^TOOLS \?= ((?:.*\\\n)*.*)$", MAKEFILE.read_text("utf-8"), re.MULTILINE)
        assert found is not None
        named = found[1].replace("\\\n", " ").split()
        for_the_package = {"debhelper", "git", "python3-venv", "systemd-container"}
        self.assertEqual(sorted(named), sorted(set(tools.PACKAGE_OF.values()) | for_the_package))
