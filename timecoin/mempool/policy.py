"""Limits of the pool: settings of one node, never consensus (PROTOCOL 9)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How much may wait, and how long."""

    max_pending: int = 10_000
    max_bytes: int = 300_000_000
    expiry_ms: int = 72 * 3600 * 1000
    max_orphans: int = 1_000
    max_orphan_bytes: int = 10_000_000
    max_refused: int = 20_000
    max_conflicts: int = 128
    """Conflicting spends of one outpoint that are kept."""
