"""Arithmetic over what was measured: percentiles, slopes, quantiles of histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Buckets = Mapping[float, float]
"""How many values lie at or below each bound; the largest bound may be infinite."""


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = max(1, -int(-percent * len(ordered) // 100))
    return ordered[min(rank, len(ordered)) - 1]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line with the least squares through ``points``, in y a unit of x; 0 for too few."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def difference(later: Buckets, earlier: Buckets) -> dict[float, float]:
    """What was counted between two readings of one histogram."""
    return {bound: count - earlier.get(bound, 0.0) for bound, count in later.items()}


def merged(several: Sequence[Buckets]) -> dict[float, float]:
    """Histograms with the same bounds, taken together."""
    found: dict[float, float] = {}
    for buckets in several:
        for bound, count in buckets.items():
            found[bound] = found.get(bound, 0.0) + count
    return found


def quantile(buckets: Buckets, share: float) -> float | None:
    """The value below which ``share`` of all lie, by straight lines within buckets.

    In the last, open bucket it is that bucket's lower bound; None when nothing was counted.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            inside = buckets[bound] - below
            if bound == float("inf") or not inside:
                return lower
            return lower + (bound - lower) * (wanted - below) / inside
        below, lower = buckets[bound], bound
    return lower
