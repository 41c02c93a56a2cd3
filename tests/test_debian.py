"""The Debian package, as far as can be told without installing it; and its life, at length."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
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

    def test_no_questions(self) -> None:
        """No debconf: an installation asks nothing."""
        self.assertEqual([*DEBIAN.glob("*templates"), *DEBIAN.glob("*.config")], [])
        self.assertNotIn("debconf", (DEBIAN / "control").read_text("utf-8"))

    def test_copyright(self) -> None:
        licence = (ROOT / "LICENSE").read_text("utf-8")
        packaged = (DEBIAN / "copyright").read_text("utf-8")
        self.assertIn("Permission is hereby granted", licence)
        self.assertIn(
            " ".join(licence.split()[8:]), " ".join(packaged.replace("\n .\n", " ").split())
        )


@dataclass(frozen=True, slots=True)
class Release:
    """What /etc/os-release says on it, its Python, and what the package must say."""

    os_release: str
    python: str
    suffix: str
    distribution: str
    depends: str


RELEASES = {
    "debian 12": Release(
        """PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
""",
        "3.11",
        "debian12",
        "bookworm",
        "python3 (>= 3.11), python3 (<< 3.12~)",
    ),
    "debian 13": Release(
        """PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
NAME="Debian GNU/Linux"
VERSION_ID="13"
VERSION="13 (trixie)"
VERSION_CODENAME=trixie
DEBIAN_VERSION_FULL=13.1
ID=debian
""",
        "3.13",
        "debian13",
        "trixie",
        "python3 (>= 3.13), python3 (<< 3.14~)",
    ),
    "debian testing": Release(
        """PRETTY_NAME="Debian GNU/Linux forky/sid"
NAME="Debian GNU/Linux"
VERSION_CODENAME=forky
ID=debian
""",
        "3.13",
        "debianforky",
        "forky",
        "python3 (>= 3.13), python3 (<< 3.14~)",
    ),
    "ubuntu 24.04": Release(
        """PRETTY_NAME="Ubuntu 24.04.1 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.1 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
""",
        "3.12",
        "ubuntu24.04",
        "noble",
        "python3 (>= 3.12), python3 (<< 3.13~)",
    ),
}


class ReleaseTests(SynchronousTestCase):
    """One source, one package for each release: what differs comes from the release itself."""

    def ask(self, field: str, os_release: str, python: str) -> subprocess.CompletedProcess[str]:
        path = Path(self.mktemp())
        path.write_text(os_release, "utf-8")
        return subprocess.run(
            [needs_tool("bash"), str(DEBIAN / "release.sh"), field, str(path), python],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def told(self, field: str, release: Release) -> str:
        ended = self.ask(field, release.os_release, release.python)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended.stdout.removesuffix("\n")

    def test_fields(self) -> None:
        for name, release in RELEASES.items():
            for field in ("suffix", "distribution", "depends"):
                self.assertEqual(self.told(field, release), getattr(release, field), name)

    def test_an_upgrade_of_the_system_brings_a_newer_version(self) -> None:
        older, newer = (
            f"{__version__}+{self.told('suffix', RELEASES[name])}"
            for name in ("debian 12", "debian 13")
        )
        subprocess.run(
            [needs_tool("dpkg"), "--compare-versions", older, "lt", newer], check=True, timeout=60
        )

    def test_a_python_that_is_too_old(self) -> None:
        """Ubuntu 22.04 has Python 3.10."""
        refused = self.ask("depends", 'ID=ubuntu\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n', "3.10")
        self.assertEqual(
            (refused.returncode, refused.stdout, refused.stderr),
            (1, "", "deb: Ubuntu 22.04.5 LTS has Python 3.10; 3.11 or newer is needed\n"),
        )

    def test_an_unknown_field(self) -> None:
        debian = RELEASES["debian 12"]
        self.assertEqual(
            self.ask("codename", debian.os_release, debian.python).returncode, EX_USAGE
        )

    def test_the_build_asks(self) -> None:
        """Suffix and distribution go into the changelog, the dependency into the package."""
        build = (DEBIAN / "build.sh").read_text("utf-8")
        self.assertIn("$(debian/release.sh suffix)", build)
        self.assertIn("$(debian/release.sh distribution)", build)
        rules = (DEBIAN / "rules").read_text("utf-8")
        self.assertIn("$(debian/release.sh depends)", rules.replace("$$", "$"))
        control = (DEBIAN / "control").read_text("utf-8")
        self.assertIn("${timecoin:Python}", control)


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
