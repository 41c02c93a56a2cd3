"""What the wallet needs of the chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from timecoin.ledger.connect import Coin


class WalletChain(Protocol):
    """Port: accepted history as the wallet sees it."""

    @property
    def tip_height(self) -> int:
        """Height of the newest block."""

    def archived(self, txid: bytes) -> int | None:
        """Height of the block that archived ``txid``."""

    def utxos(self) -> Iterator[Coin]:
        """The whole UTXO set."""
