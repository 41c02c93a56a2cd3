"""Whether this node's clock agrees with its peers' (PROTOCOL 7)."""

from __future__ import annotations

from collections.abc import Iterable

from timecoin.params import MAX_CLOCK_OFFSET_MS


def median_offset_ms(offsets_ms: Iterable[int]) -> int:
    """By how much the peers' clocks are ahead of this one, in the middle; 0 without peers.

    ``offsets_ms`` has one value for each peer. This node's own clock counts as one more, and of
    two values in the middle the smaller offset is taken: one peer alone changes nothing, and
    less than half of the peers cannot move the median beyond what honest ones say.
    """
    ordered = sorted((0, *offsets_ms))
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return min(low, high, key=abs)


def is_sound(offset_ms: int) -> bool:
    """Whether a node whose clock is off by ``offset_ms`` may propose and witness."""
    return abs(offset_ms) <= MAX_CLOCK_OFFSET_MS
