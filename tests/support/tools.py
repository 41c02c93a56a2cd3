"""Programs that some tests need besides Python: where each is, and the Debian package that has it.

Outside of CI a test without its program is skipped and names the package. In CI, where `make tools`
has run, it fails: a check that silently stops running is worth nothing.
"""

from __future__ import annotations

import os
import shutil

from twisted.trial.unittest import FailTest, SkipTest

PACKAGE_OF = {
    "bash": "bash",
    "curl": "curl",
    "debootstrap": "debootstrap",
    "dh_virtualenv": "dh-virtualenv",
    "dpkg": "dpkg",
    "dpkg-buildpackage": "dpkg-dev",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "lintian": "lintian",
    "man": "man-db",
    "nginx": "nginx-light",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "shellcheck": "shellcheck",
    "ssh-keygen": "openssh-client",
    "systemd-analyze": "systemd",
    "unshare": "util-linux",
}
"""The package of every program; `make tools` installs them all."""

_SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Daemons are where the path of a user does not lead."""


def needs_tool(name: str) -> str:
    """The path of the program ``name`` of ``PACKAGE_OF``; called in a test or its ``setUp``.

    ``SkipTest`` where it is missing, ``FailTest`` where it is missing in CI.
    """
    found = shutil.which(name, path=_SEARCHED)
    if found is not None:
        return found
    reason = f"{name} is missing: apt-get install {PACKAGE_OF[name]} (make tools)"
    if os.environ.get("CI") == "true":
        raise FailTest(reason)
    raise SkipTest(reason)
