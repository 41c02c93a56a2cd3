"""A bounded memory of what was met last, in the room of plain dictionaries.

Two generations: what is new or asked for stands in the young one; when that holds half of the
capacity it becomes the old one, and the old one before it is forgotten as a whole. An ordered
dictionary would keep the last ones exactly, at twice the memory for each; a plain one that gives up
its first entry again and again walks over the places of all that went before.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At least the last half of ``capacity`` entries that were put or found, at most all of it."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, capacity: int) -> None:
        """``ValueError`` if ``capacity`` is below 2."""
        if capacity < 2:
            raise ValueError(f"capacity {capacity} is below 2")
        self._half = capacity // 2
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._young) + len(self._old)

    def find(self, key: K) -> V | None:
        """The value at ``key``, which is now one of the last; None if there is none."""
        value = self._young.get(key)
        if value is None and key in self._old:
            value = self._old.pop(key)
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember ``value``, which is not None, at ``key``."""
        self._old.pop(key, None)
        self._young[key] = value
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
