"""Merkle trees over byte strings (PROTOCOL 2).

Leaves and inner nodes are hashed under different tags, so neither can pass for the other.
An odd node at the end of a level is promoted unchanged, never paired with itself (as in
Bitcoin, where two lists share a root). A root alone does not fix the number of leaves:
whoever signs one signs the leaf count beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from timecoin.crypto.hashing import HASH_BYTES, tagged
from timecoin.params import TAG_MERKLE_LEAF, TAG_MERKLE_NODE

EMPTY_ROOT = bytes(HASH_BYTES)
"""The root of no leaves."""


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The 32-byte root over ``leaves`` in their order; 32 zero bytes when there are none."""
    return hashed_root(_leaf_level(leaves))


def leaf_hash(leaf: bytes) -> bytes:
    """The node that stands for ``leaf`` at the bottom of the tree."""
    return tagged(TAG_MERKLE_LEAF, leaf)


def hashed_root(hashes: Sequence[bytes]) -> bytes:
    """:func:`merkle_root` from the :func:`leaf_hash` of each leaf, for those who keep them."""
    level = list(hashes)
    while len(level) > 1:
        level = _next_level(level)
    return level[0] if level else EMPTY_ROOT


def merkle_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The siblings from leaf ``index`` up to the root, for :func:`verify_path`.

    ``IndexError`` when there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    level = _leaf_level(leaves)
    path = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _next_level(level)
        index //= 2
    return tuple(path)


def verify_path(
    root: bytes, leaf: bytes, index: int, leaf_count: int, path: Sequence[bytes]
) -> bool:
    """Whether ``leaf`` stands at ``index`` among ``leaf_count`` leaves under ``root``.

    Index and leaf count fix which levels have a sibling; a path with a hash too many or
    too few is refused, as is any index outside the tree.
    """
    if not 0 <= index < leaf_count:
        return False
    node = leaf_hash(leaf)
    used = 0
    width = leaf_count
    while width > 1:
        if index ^ 1 < width:
            if used == len(path):
                return False
            sibling = path[used]
            used += 1
            left, right = (sibling, node) if index & 1 else (node, sibling)
            node = tagged(TAG_MERKLE_NODE, left, right)
        index //= 2
        width = (width + 1) // 2
    return used == len(path) and node == root


def _leaf_level(leaves: Sequence[bytes]) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in leaves]


def _next_level(level: list[bytes]) -> list[bytes]:
    parents = [
        tagged(TAG_MERKLE_NODE, left, right)
        for left, right in zip(level[::2], level[1::2], strict=False)
    ]
    if len(level) % 2:
        parents.append(level[-1])
    return parents
