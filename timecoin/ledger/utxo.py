"""Unspent outputs as the chain keeps them (PROTOCOL 3, 6)."""

from __future__ import annotations

from typing import Protocol

from timecoin.codec import U64, Wire, encode
from timecoin.ledger.transaction import Outpoint


class Utxo(Wire, frozen=True):
    """An unspent output: ``height`` is that of the block that archived it."""

    value: U64
    script: bytes
    height: U64
    coinbase: bool


class UtxoView(Protocol):
    """Port: a set of unspent outputs that can be asked for one."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The unspent output ``point``, or None when there is none."""


def utxo_element(point: Outpoint, utxo: Utxo) -> bytes:
    """The element that stands for ``utxo`` in the LtHash behind ``utxo_root`` (PROTOCOL 6)."""
    return encode((point, utxo.value, utxo.script, utxo.height, utxo.coinbase))
