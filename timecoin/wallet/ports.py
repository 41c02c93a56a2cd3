"""What the wallet needs of the chain and of the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from timecoin.ledger.block import Block, Header
from timecoin.ledger.connect import Coin, UtxoDiff
from timecoin.ledger.transaction import Transaction


class WalletChain(Protocol):
    """Port: accepted history as the wallet sees it."""

    @property
    def tip_height(self) -> int:
        """Height of the newest block."""

    def archived(self, txid: bytes) -> int | None:
        """Height of the block that archived ``txid``."""

    def utxos(self) -> Iterator[Coin]:
        """The whole UTXO set."""

    @property
    def first_undo(self) -> int:
        """The lowest height from which on every block is here, with what it spent."""

    def header(self, height: int) -> Header | None:
        """The header at ``height``, from 1 to the tip."""

    def block(self, height: int) -> Block | None:
        """The block at ``height``, from 1 to the tip."""

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """The archived transaction ``wtxid``."""

    def undo(self, height: int) -> UtxoDiff | None:
        """What the block at ``height`` spent and created."""


class HistoryRows(Protocol):
    """Port: ordered rows on disk. A crash may lose the latest batches, never a part of one."""

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``, or None."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with ``prefix``, in key order."""

    def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write all ``rows`` or none; without a value a row is deleted."""
