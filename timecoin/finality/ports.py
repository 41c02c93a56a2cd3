"""What finality needs of the chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import ActiveSet

FindBody = Callable[[bytes], Transaction | None]
"""wtxid -> the transaction, wherever this node holds its body."""


class FinalityChain(Protocol):
    """Port: archived history as finality sees it."""

    @property
    def tip_height(self) -> int:
        """Height of the last archived block."""

    @property
    def tip_time_ms(self) -> int:
        """slot_time of the last archived block, Unix milliseconds."""

    @property
    def slot_ms(self) -> int:
        """Length of a slot in milliseconds."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), or None when it is unknown, ahead of the tip or no longer kept."""

    def archived(self, txid: bytes) -> int | None:
        """Height of the block that archived ``txid``."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The archived unspent output ``point``."""
