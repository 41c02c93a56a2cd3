"""The Debian package, as far as can be told without installing it; and its life, at length."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.support.long import unless_long
from tests.support.tools import needs_tool
from timecoin import __version__
from timecoin.node.tap import EX_USAGE

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = ROOT / "debian"
EXPOSURE_LIMIT = 2.0
CANNOT_RUN_HERE = 77
LIFE_S = 3_600


class SourceTests(SynchronousTestCase):
    def test_version(self) -> None:
        changelog = (DEBIAN / "changelog").read_text("utf-8")
        self.assertTrue(changelog.startswith(f"timecoin ({__version__}) "), changelog[:40])

    def test_copyright(self) -> None:
        licence = (ROOT / "LICENSE").read_text("utf-8")
        packaged = (DEBIAN / "copyright").read_text("utf-8")
        self.assertIn("Permission is hereby granted", licence)
        self.assertIn(
            " ".join(licence.split()[8:]), " ".join(packaged.replace("\n .\n", " ").split())
        )


class UnitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.unit = (DEBIAN / "timecoin.service").read_text("utf-8")

    def setting(self, name: str) -> str:
        (value,) = re.findall(rf"^{name}=(.*)$", self.unit, re.MULTILINE)
        return str(value)

    def test_template_differs_by_its_name_only(self) -> None:
        template = (DEBIAN / "timecoin@.service").read_text("utf-8")
        same = template.replace("masternode (%i)", "masternode").replace("%i", "timecoin")
        self.assertEqual(same, self.unit)

    def test_command(self) -> None:
        self.assertEqual(
            self.setting("ExecStart"),
            "/usr/lib/timecoin/bin/twistd --nodaemon --pidfile= timecoin "
            "--config /etc/timecoin/timecoin.conf",
        )
        self.assertEqual(self.setting("Type"), "notify")
        self.assertEqual(self.setting("Restart"), "on-failure")
        self.assertEqual(self.setting("RestartPreventExitStatus"), str(EX_USAGE))
        self.assertEqual(self.setting("StateDirectoryMode"), "0750")

    def test_exposure(self) -> None:
        ended = subprocess.run(
            [
                *(needs_tool("systemd-analyze"), "security", "--offline=true", "--no-pager"),
                str(DEBIAN / "timecoin.service"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        found = re.search(r"Overall exposure level for timecoin.service: ([0-9.]+)", ended.stdout)
        assert found is not None, ended.stdout + ended.stderr
        self.assertLessEqual(float(found[1]), EXPOSURE_LIMIT)


class LifeTests(SynchronousTestCase):
    skip = unless_long("a package is built, and lives in clean systems")
    timeout = LIFE_S

    def test_life(self) -> None:
        """Build, lint, install, run, upgrade, remove, purge: in a chroot and under systemd."""
        for tool in ("dh_virtualenv", "dpkg-buildpackage", "debootstrap", "lintian"):
            needs_tool(tool)
        for script in ("build.sh", "deb-test.sh"):
            ended = subprocess.run(
                [str(DEBIAN / script)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LIFE_S,
            )
            if ended.returncode == CANNOT_RUN_HERE:
                raise SkipTest(ended.stdout.splitlines()[-1])
            self.assertEqual(ended.returncode, 0, ended.stdout)
