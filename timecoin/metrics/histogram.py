"""Counts of values by size: cheap to add to, rendered when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate


class Histogram:
    """How many values lie at or below each bound; a last bucket takes the rest."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """``bounds``: ascending, at least one; ``ValueError`` otherwise."""
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError(f"bounds {bounds} do not ascend")
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Bound (``+Inf`` last) and the number of values up to it, as Prometheus wants them."""
        names = [*map(_number, self._bounds), "+Inf"]
        return list(zip(names, accumulate(map(float, self._counts)), strict=True))


def _number(bound: float) -> str:
    return repr(float(bound))
