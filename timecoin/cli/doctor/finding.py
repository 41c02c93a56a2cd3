"""What one check found."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.Enum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"
    """It works, but somebody should look at it."""
    FAIL = "fail"
    """A node cannot start like this, or does not do its work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, how it stands, and what to do unless that is fine."""

    check: str
    state: State
    detail: str
    advice: str = ""

    def json(self) -> dict[str, str]:
        """As an object."""
        return {
            "check": self.check,
            "state": self.state.value,
            "detail": self.detail,
            "advice": self.advice,
        }


def ok(check: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(check, State.OK, detail)


def warn(check: str, detail: str, advice: str) -> Finding:
    """Something to look at."""
    return Finding(check, State.WARN, detail, advice)


def fail(check: str, detail: str, advice: str) -> Finding:
    """Something to mend."""
    return Finding(check, State.FAIL, detail, advice)
