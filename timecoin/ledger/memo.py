"""What has been found of a transaction once and holds for good.

An outpoint names a txid, which commits to the outputs, so it fixes the spent script and value; the
wtxid fixes everything else. Structure, witnesses and fee of a transaction therefore never change:
pool, proposal and block need them checked once. What depends on the height is checked every time.
"""

from __future__ import annotations

from timecoin.recent import Recent


class SpendMemo:
    """Fees of transactions that passed, by wtxid; those met last are kept.

    Good for one chain only. Refusals are not remembered: anyone can make them.
    """

    def __init__(self, capacity: int) -> None:
        """``capacity``: entries kept at most, and half of it at least; ``ValueError`` below 2."""
        self._fees: Recent[bytes, int] = Recent(capacity)

    def __len__(self) -> int:
        return len(self._fees)

    def fee_units(self, wtxid: bytes) -> int | None:
        """The fee of a transaction that passed; None if it is not known."""
        return self._fees.find(wtxid)

    def add(self, wtxid: bytes, fee_units: int) -> None:
        """Structure, witnesses and amounts of ``wtxid`` are right, and it pays ``fee_units``."""
        self._fees.put(wtxid, fee_units)
