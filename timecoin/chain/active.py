"""The active set from block to block (PROTOCOL 4).

One place: whoever brings joins, leaves, removals and jailing changes :func:`next_active_set`.
"""

from __future__ import annotations

from timecoin.ledger.block import Body
from timecoin.ledger.rules import RuleBroken
from timecoin.masternodes.active_set import ActiveSet

SNAPSHOT_RETENTION_MS = 7 * 24 * 3600 * 1000
"""Snapshots count for certificates so long, in slot time (PROTOCOL 4)."""


def retained_blocks(slot_ms: int) -> int:
    """How many blocks below the tip a snapshot still counts: seven days of slots."""
    return max(1, SNAPSHOT_RETENTION_MS // slot_ms)


def next_active_set(parent: ActiveSet, body: Body) -> ActiveSet:
    """avs(h) of the block with ``body``, given ``parent`` = avs(h-1).

    This version knows no changes: a block that carries any is refused with "not-yet-allowed".
    """
    if body.avs_changes:
        raise RuleBroken("not-yet-allowed", "changes of the active set")
    if body.evidence:
        raise RuleBroken("not-yet-allowed", "evidence")
    return parent
