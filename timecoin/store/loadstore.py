"""The rows of a UTXO set that is being loaded: the store always says how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from timecoin.chain.addresses import AddressChanges, owned
from timecoin.chain.loading import LoadState
from timecoin.chain.ports import GenesisState
from timecoin.codec import decode, encode
from timecoin.ledger.connect import Coin
from timecoin.store import keys
from timecoin.store.addressindex import AddressIndex
from timecoin.store.engine import Engine, Row
from timecoin.store.keys import height_key

_BATCH_ROWS = 10_000


class EngineLoadStore:
    """Implements :class:`timecoin.chain.loading.LoadStore`."""

    def __init__(self, engine: Engine, address_index: bool = True) -> None:
        self._engine = engine
        self._addresses = AddressIndex(engine) if address_index else None

    def loading(self) -> LoadState | None:
        """See the port."""
        row = self._engine.get(keys.META, keys.META_LOADING)
        return None if row is None else decode(row, LoadState, len(row))

    def begin_load(self, state: LoadState) -> None:
        """See the port."""
        # The mark first: from here on the set is not the chain's.
        self._engine.write([self._mark(state)], sync=True)
        self._clear()

    def add_coins(self, coins: Sequence[Coin], state: LoadState) -> None:
        """See the port."""
        self._engine.write([*self._coin_rows(coins), self._mark(state)], sync=False)

    def finish_load(self, state: LoadState) -> None:
        """See the port."""
        number = height_key(state.height)
        self._engine.write(
            [
                (keys.META, keys.META_TIP, number + state.hash),
                (keys.META, keys.META_LTHASH, state.lthash),
                (keys.META, keys.META_SUPPLY, state.supply.to_bytes(16, "big")),
                (keys.META, keys.META_FIRST_BODY, height_key(state.height + 1)),
                (keys.META, keys.META_LOADING, None),
            ],
            sync=True,
        )

    def cancel_load(self, state: LoadState, genesis: GenesisState) -> None:
        """See the port."""
        self.begin_load(state)
        rows = self._coin_rows(genesis.created)
        self._engine.write([*rows, (keys.META, keys.META_LOADING, None)], sync=True)

    def _mark(self, state: LoadState) -> Row:
        return (keys.META, keys.META_LOADING, encode(state))

    def _coin_rows(self, coins: Sequence[Coin]) -> list[Row]:
        rows: list[Row] = [(keys.UTXO, point, encode(utxo)) for point, utxo in coins]
        if self._addresses is not None:
            rows += self._addresses.rows(0, AddressChanges((), owned(coins), ()))
        return rows

    def _clear(self) -> None:
        for table in (keys.UTXO, keys.ADDRESS_UNSPENT):
            while found := [key for key, _ in islice(self._engine.scan(table), _BATCH_ROWS)]:
                self._engine.write([(table, key, None) for key in found], sync=False)
