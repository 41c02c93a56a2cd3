"""Leaf bitmaps of votes and receipts: ceil(n/8) bytes, lowest bit first, padding zero."""

from __future__ import annotations

from collections.abc import Iterable


def make_bitmap(leaf_count: int, leaves: Iterable[int]) -> bytes:
    """The bitmap of ``leaf_count`` bits in which exactly ``leaves`` are set."""
    bits = 0
    for leaf in leaves:
        if not 0 <= leaf < leaf_count:
            raise ValueError(f"leaf {leaf} of {leaf_count}")
        bits |= 1 << leaf
    return bits.to_bytes((leaf_count + 7) // 8, "little")


def is_bitmap(bitmap: bytes, leaf_count: int) -> bool:
    """Whether ``bitmap`` has the exact length and zero padding for ``leaf_count`` leaves."""
    if len(bitmap) != (leaf_count + 7) // 8:
        return False
    return int.from_bytes(bitmap, "little") >> leaf_count == 0


def has_leaf(bitmap: bytes, leaf: int) -> bool:
    """Whether bit ``leaf`` is set."""
    return bool(bitmap[leaf // 8] >> (leaf % 8) & 1)
