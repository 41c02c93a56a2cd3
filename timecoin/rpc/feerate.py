"""The fee rate at which this node's pool takes a payment now."""

from __future__ import annotations

from timecoin import params
from timecoin.mempool.policy import PoolLimits
from timecoin.rpc.ports import PoolReader

ROOM_BYTES = params.MAX_TX_BYTES
"""A pool with less room than the largest transaction counts as full."""


class FeeRate:
    """Reads the pool; blocks choose by age, so that there is nothing else to outbid."""

    def __init__(self, pool: PoolReader, limits: PoolLimits) -> None:
        self._pool = pool
        self._limits = limits

    def units_per_byte(self) -> int:
        """The least rate of all, or what displaces the cheapest entry of a full pool."""
        stats = self._pool.stats()
        least = params.MIN_FEE_RATE_UNITS_PER_BYTE
        full = (
            stats.pending >= self._limits.max_pending
            or stats.bytes + ROOM_BYTES > self._limits.max_bytes
        )
        if not full:
            return least
        cheapest = self._pool.cheapest()
        return least if cheapest is None else max(least, cheapest.fee_units // cheapest.size + 1)
