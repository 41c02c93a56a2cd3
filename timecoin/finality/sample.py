"""Whom to ask, in which order: stake-weighted and random, in integers (PROTOCOL 5)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from random import Random

from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.tally import quorum_weight


def union_weights(snapshots: Sequence[ActiveSet]) -> dict[bytes, int]:
    """Staked members of any of ``snapshots`` with the highest weight that each has in one."""
    weights: dict[bytes, int] = {}
    for snapshot in snapshots:
        for pubkey, weight in snapshot.weights.items():
            weights[pubkey] = max(weight, weights.get(pubkey, 0))
    return weights


def stake_order(weights: Mapping[bytes, int], rng: Random) -> tuple[bytes, ...]:
    """All keys of positive weight, drawn one after the other, each by its share of what is left.

    Draws that hit someone already drawn are repeated; the table of bounds is made anew whenever
    half of its weight is gone, so the whole order takes O(n log n) draws and lookups.
    """
    order: list[bytes] = []
    remaining = [(key, weight) for key, weight in weights.items() if weight > 0]
    while remaining:
        bounds = list(accumulate(weight for _, weight in remaining))
        total = left = bounds[-1]
        drawn: dict[int, None] = {}
        while 2 * left > total:
            index = bisect_right(bounds, rng.randrange(total))
            if index not in drawn:
                drawn[index] = None
                order.append(remaining[index][0])
                left -= remaining[index][1]
        remaining = [item for index, item in enumerate(remaining) if index not in drawn]
    return tuple(order)


def first_wave(
    own: Iterable[bytes],
    order: Sequence[bytes],
    snapshots: Sequence[ActiveSet],
    extra_percent: int,
) -> int | None:
    """How many of ``order`` to ask at once, beside ``own``: until they hold Q + 10 % everywhere.

    None when all of them together hold less.
    """
    held = [sum(snapshot.weights.get(key, 0) for key in own) for snapshot in snapshots]
    needed = [
        min(total, quorum_weight(total) * (100 + extra_percent) // 100)
        for total in (snapshot.total_weight for snapshot in snapshots)
    ]
    for count in range(len(order) + 1):
        if all(have >= need for have, need in zip(held, needed, strict=True)):
            return count
        if count < len(order):
            for index, snapshot in enumerate(snapshots):
                held[index] += snapshot.weights.get(order[count], 0)
    return None
