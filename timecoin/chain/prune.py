"""Forgetting the bodies of old blocks: an operator's choice, no rule depends on them.

Headers, certificates, active sets and the place of each transaction stay.
"""

from __future__ import annotations

from typing import Protocol

KEEP_AT_LEAST = 1_100
"""Bodies of so many blocks stay: more than the sets of unspent outputs that peers may ask for
reach back (``pastset.SERVED_DEPTH``)."""
STEP_BLOCKS = 100
"""At most so many are forgotten at a block: one that has just been switched on takes its time."""


class PrunedStore(Protocol):
    """Port: what old bodies are taken from."""

    def first_body(self) -> int:
        """The lowest height from which on every body is here."""

    def forget_bodies(self, first: int, last: int) -> None:
        """Delete bodies, transactions and undo data of the blocks ``first`` to ``last``."""


class Pruner:
    """Keeps the bodies of the newest ``keep`` blocks."""

    def __init__(self, store: PrunedStore, keep: int) -> None:
        self._store = store
        self._keep = keep

    def connected(self, height: int) -> None:
        """The chain has a new tip."""
        first, last = self._store.first_body(), height - self._keep
        if first <= last:
            self._store.forget_bodies(first, min(last, first + STEP_BLOCKS - 1))
