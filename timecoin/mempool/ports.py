"""What the pool needs of the chain."""

from __future__ import annotations

from typing import Protocol

from timecoin.ledger.script import Stake
from timecoin.ledger.transaction import Outpoint
from timecoin.ledger.utxo import Utxo


class PoolView(Protocol):
    """Port: the chain as the pool sees it."""

    @property
    def tip_height(self) -> int:
        """Height of the last archived block."""

    @property
    def tip_time_ms(self) -> int:
        """slot_time of the last archived block, Unix milliseconds."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The archived unspent output ``point``."""

    def archived(self, txid: bytes) -> int | None:
        """Height of the block that archived ``txid``."""

    def stake_free(self, txid: bytes, point: Outpoint, stake: Stake) -> bool:
        """Whether the next block may spend ``stake``, the output ``point`` (PROTOCOL 4)."""
