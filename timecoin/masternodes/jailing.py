"""Whom evidence may still jail (PROTOCOL 6, Evidence)."""

from __future__ import annotations

from timecoin.masternodes.active_set import ActiveSet


def last_jailing(parent: ActiveSet, pubkey: bytes) -> int:
    """Height of the last block that jailed ``pubkey``, as far as ``parent`` knows; 0 for none."""
    heights = (row.jailed_height for row in parent.departed if row.pubkey == pubkey)
    return max(heights, default=0)


def is_punishable(parent: ActiveSet, pubkey: bytes, height: int) -> bool:
    """Whether an offence of ``pubkey`` at ``height`` jails it in the block after ``parent``.

    It must be a member, or have left with a stake that is not free yet; and the offence lies
    after its last jailing.
    """
    known = pubkey in parent.by_pubkey or any(row.pubkey == pubkey for row in parent.departed)
    return known and height > last_jailing(parent, pubkey)
