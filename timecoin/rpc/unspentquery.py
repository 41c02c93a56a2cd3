"""The ``query_options`` of ``listunspent``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from timecoin.params import MAX_AMOUNT_UNITS
from timecoin.rpc.errors import TYPE_ERROR, RpcError
from timecoin.rpc.valuetypes import AmountOfTime, Integer
from timecoin.wallet.coins import OwnCoin


@dataclass(frozen=True, slots=True)
class UnspentQuery:
    """Bounds of what is listed; amounts in units."""

    minimum_units: int = 0
    maximum_units: int = MAX_AMOUNT_UNITS
    minimum_sum_units: int = MAX_AMOUNT_UNITS
    """Enough is listed once it sums up to this."""
    maximum_count: int = 2**63 - 1

    @classmethod
    def read(cls, options: Mapping[str, object]) -> UnspentQuery:
        """From JSON; RPC error -3 for an unknown key or a wrong type, -8 out of range."""
        chosen: dict[str, int] = {}
        for name, value in options.items():
            if name not in _OPTIONS:
                raise RpcError(TYPE_ERROR, f"query_options: unexpected key {name[:64]}")
            field, kind = _OPTIONS[name]
            chosen[field] = kind.read(value, f"query_options.{name}")
        return cls(**chosen)

    def select(self, coins: Iterable[OwnCoin]) -> list[OwnCoin]:
        """The first of ``coins`` that fit, until one of the bounds is reached."""
        found: list[OwnCoin] = []
        total = 0
        for coin in coins:
            if len(found) >= self.maximum_count or total >= self.minimum_sum_units:
                break
            if self.minimum_units <= coin.utxo.value <= self.maximum_units:
                found.append(coin)
                total += coin.utxo.value
        return found


_OPTIONS: Mapping[str, tuple[str, AmountOfTime | Integer]] = {
    "minimumAmount": ("minimum_units", AmountOfTime()),
    "maximumAmount": ("maximum_units", AmountOfTime()),
    "minimumSumAmount": ("minimum_sum_units", AmountOfTime()),
    "maximumCount": ("maximum_count", Integer(0)),
}
