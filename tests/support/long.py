"""Tests that take many minutes run only under `make check-long`."""

from __future__ import annotations

import os

VARIABLE = "TIMECOIN_LONG_TESTS"


def unless_long(reason: str) -> str | None:
    """The value for ``skip`` of a long test: None if long tests are wanted, else the reason.

    >>> class KillTest(TestCase):
    ...     skip = unless_long("fifty kills of three nodes")
    """
    return None if os.environ.get(VARIABLE) else f"{reason}; set {VARIABLE}=1 (make check-long)"
