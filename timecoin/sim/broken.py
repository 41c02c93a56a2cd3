"""What a checker of a run raises."""

from __future__ import annotations


class InvariantBroken(AssertionError):
    """The node code broke a promise; the text says which, then a colon, then where."""
