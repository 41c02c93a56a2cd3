"""What has been found of a transaction once and holds for good.

An outpoint names a txid, which commits to the outputs, so it fixes the spent script and value; the
wtxid fixes everything else. Structure, witnesses and fee of a transaction therefore never change:
pool, proposal and block need them checked once. What depends on the height is checked every time.
"""

from __future__ import annotations


class SpendMemo:
    """Fees of transactions that passed, by wtxid; the oldest goes first.

    Good for one chain only. Refusals are not remembered: anyone can make them.
    """

    def __init__(self, capacity: int) -> None:
        """``capacity``: entries kept; ``ValueError`` below 1."""
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self._capacity = capacity
        self._fees: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._fees)

    def fee_units(self, wtxid: bytes) -> int | None:
        """The fee of a transaction that passed; None if it is not known."""
        return self._fees.get(wtxid)

    def add(self, wtxid: bytes, fee_units: int) -> None:
        """Structure, witnesses and amounts of ``wtxid`` are right, and it pays ``fee_units``."""
        self._fees[wtxid] = fee_units
        if len(self._fees) > self._capacity:
            del self._fees[next(iter(self._fees))]
