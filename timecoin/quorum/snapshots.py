"""Which snapshots of the active set a quorum is demanded in (PROTOCOL 4-6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from timecoin import params
from timecoin.masternodes.active_set import ActiveSet


class Snapshots(Protocol):
    """Port: the snapshots that the chain keeps."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), or None when it is unknown, ahead of the tip or no longer kept."""


def _distinct(source: Snapshots, heights: Iterable[int]) -> tuple[ActiveSet, ...] | None:
    found: dict[bytes, ActiveSet] = {}
    for height in heights:
        if height < 0:
            continue
        snapshot = source.active_set(height)
        if snapshot is None:
            return None
        found.setdefault(snapshot.root, snapshot)
    return tuple(found.values())


def certificate_snapshots(source: Snapshots, anchor: int) -> tuple[ActiveSet, ...] | None:
    """The distinct snapshots among anchor-4 .. anchor; None when one of them is not at hand."""
    return _distinct(source, range(anchor - params.SNAPSHOT_DEPTH, anchor + 1))


def receipt_snapshots(source: Snapshots, tip: int) -> tuple[ActiveSet, ...] | None:
    """avs(tip) and avs(tip-1): where receipts of tip ``tip`` need a quorum."""
    return _distinct(source, (tip - 1, tip))


def block_snapshots(source: Snapshots, height: int) -> tuple[ActiveSet, ...] | None:
    """avs(h-1) and avs(h-2): where votes on block ``height`` need a quorum."""
    return _distinct(source, (height - 2, height - 1))


def voter_index(snapshots: Sequence[ActiveSet]) -> tuple[bytes, ...]:
    """Voters in index order: the sorted union of the snapshots' staked members."""
    union: dict[bytes, None] = {}
    for snapshot in snapshots:
        union.update(dict.fromkeys(snapshot.weights))
    return tuple(sorted(union))
