"""Which coins a payment spends: branch and bound for one without change, else the largest first.

Values stand in descending order, and ``needed(count)`` is what ``count`` coins have to reach: the
payment and its fee, which never falls as coins are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

MAX_TRIES = 10_000
"""Steps of a search, some 10 milliseconds; Bitcoin Core allows ten times as many."""

Needed = Callable[[int], int]


def branch_and_bound(
    values: Sequence[int], needed: Needed, tolerance: int, max_tries: int = MAX_TRIES
) -> list[int] | None:
    """Positions of values that reach ``needed`` and exceed it by at most ``tolerance``.

    The least excess that ``max_tries`` steps find (Murch's algorithm, as in Bitcoin Core); None if
    they find none. Each value must be worth the fee of its own input.
    """
    best: list[int] | None = None
    best_excess = tolerance + 1
    chosen: list[int] = []
    total, remaining, position = 0, sum(values), 0
    for _ in range(max_tries):
        need = needed(len(chosen))
        excess = total - need
        if chosen and 0 <= excess < best_excess:
            best, best_excess = list(chosen), excess
            if not excess:
                break
        if total + remaining < need or (chosen and excess >= 0):
            if not chosen:
                break
            # Back to the last one chosen, and on without it.
            position -= 1
            while position > chosen[-1]:
                remaining += values[position]
                position -= 1
            total -= values[chosen.pop()]
        else:
            value = values[position]
            remaining -= value
            # What was tried with the value before it need not be tried with its equal.
            left_out = position and (not chosen or chosen[-1] != position - 1)
            if not (left_out and values[position - 1] == value):
                chosen.append(position)
                total += value
        position += 1
    return best


def largest_first(values: Sequence[int], needed: Needed) -> int | None:
    """How many of the first values reach ``needed``; None if all together do not."""
    total = 0
    for count, value in enumerate(values, start=1):
        total += value
        if total >= needed(count):
            return count
    return None
