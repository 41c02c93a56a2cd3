"""Coins and history of any address: the chain's index, and on top what waits to be archived.

As the wallet reads its own: of what waits only certified transactions count, so that no one can
fill an address with promises; a final coin counts as one confirmation; what a waiting
transaction spends is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from timecoin import params
from timecoin.chain.addresses import AddressIndexOff, AddressViews, owner_script
from timecoin.chain.views import ChainViews
from timecoin.ledger.script import TAG_STAKE
from timecoin.ledger.transaction import Outpoint, Transaction, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.rpc.errors import MISC_ERROR, RpcError
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.ports import FinalityReader, PoolReader
from timecoin.rpc.turns import in_turns
from timecoin.wallet.coins import Balance, Standing
from timecoin.wallet.derive import Branch, KeyPath
from timecoin.wallet.history import HistoryEntry, effect_of

MAX_WALKS = 5
"""A walk that a new block interrupts begins anew; so often at most."""

_SOME_KEY = KeyPath(Branch.RECEIVE, 0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AddressCoin:
    """An output of an address that no transaction known here spends."""

    point: Outpoint
    utxo: Utxo
    """Its ``height`` is the next block's while it waits to be archived."""
    standing: Standing
    confirmations: int
    """Blocks from the archiving one to the tip; 0 before."""

    def satisfies(self, minconf: int) -> bool:
        """Whether it has ``minconf`` confirmations; being final is worth one at once."""
        depth = 0 if self.standing is Standing.PENDING else max(1, self.confirmations)
        return depth >= minconf


class AddressReader:
    """``script`` is always the one that pays to the address.

    Every reading is of one tip. RPC error -1 when this node keeps no index, and when blocks come
    faster than a walk ends.
    """

    def __init__(
        self,
        clock: IReactorTime,
        addresses: AddressViews,
        views: ChainViews,
        lookup: Lookup,
        pool: PoolReader,
        finality: FinalityReader,
    ) -> None:
        self._clock = clock
        self._addresses = addresses
        self._views = views
        self._lookup = lookup
        self._pool = pool
        self._finality = finality

    async def balance(self, script: bytes, minconf: int = 0) -> Balance:
        """The sums over coins with ``minconf`` confirmations or more."""
        sums = dict.fromkeys(Standing, 0)
        for coin in await self._walked(lambda: self._coins(script, None), None):
            if coin.satisfies(minconf):
                sums[coin.standing] += coin.utxo.value
        return Balance(**{each.value: units for each, units in sums.items()})

    async def unspent(
        self,
        script: bytes,
        wanted: Callable[[AddressCoin], bool],
        after: Outpoint | None = None,
        limit: int | None = None,
    ) -> list[AddressCoin]:
        """At most ``limit`` coins that are ``wanted``, in outpoint order from behind ``after``."""
        return await self._walked(lambda: filter(wanted, self._coins(script, after)), limit)

    async def transactions(self, script: bytes, count: int, skip: int = 0) -> list[HistoryEntry]:
        """``count`` entries of the history after the newest ``skip``, newest first.

        Allocations of the genesis file are not in it: no transaction made them.
        """
        entries = await self._walked(lambda: self._history(script), skip + count)
        return entries[skip:]

    async def _walked(self, make: Callable[[], Iterable[T]], limit: int | None) -> list[T]:
        """The first ``limit`` of what ``make`` yields, with turns for others; of one tip."""
        for _ in range(MAX_WALKS):
            tip_hash = self._views.tip.hash
            found: list[T] = []
            if limit == 0:
                return found
            try:
                async for item in in_turns(self._clock, make()):
                    if self._views.tip.hash != tip_hash:
                        break
                    found.append(item)
                    if len(found) == limit:
                        return found
                else:
                    if self._views.tip.hash == tip_hash:
                        return found
            except AddressIndexOff as error:
                raise RpcError(MISC_ERROR, str(error)) from error
        raise RpcError(MISC_ERROR, f"a new block came during each of {MAX_WALKS} walks: try again")

    # coins

    def _coins(self, script: bytes, after: Outpoint | None) -> Iterator[AddressCoin]:
        waiting = [coin for coin in self._waiting(script) if after is None or coin.point > after]
        waiting.sort(key=lambda coin: coin.point)
        return merge(self._archived(script, after), waiting, key=lambda coin: coin.point)

    def _archived(self, script: bytes, after: Outpoint | None) -> Iterator[AddressCoin]:
        tip_height = self._views.tip.height
        for page in self._addresses.coins_in_steps(script, after):
            for point, utxo in page:
                if not self._pool.spenders(point):
                    standing = _standing(utxo, tip_height)
                    yield AddressCoin(point, utxo, standing, tip_height - utxo.height + 1)

    def _waiting(self, script: bytes) -> Iterator[AddressCoin]:
        height = self._views.tip.height + 1
        for tx in self._certified():
            for index, output in enumerate(tx.outputs):
                point = outpoint(tx.txid, index)
                if owner_script(output.lock_script) == script and not self._pool.spenders(point):
                    utxo = Utxo(output.value, output.lock_script, height, coinbase=False)
                    final = self._is_final(tx.txid)
                    standing = _standing(utxo, height) if final else Standing.PENDING
                    yield AddressCoin(point, utxo, standing, 0)

    def _certified(self) -> Iterator[Transaction]:
        for txid in self._pool.txids():
            entry = self._pool.entry(txid)
            if entry is not None and entry.certified:
                yield entry.tx

    def _is_final(self, txid: bytes) -> bool:
        known = self._finality.status(txid)
        return known is not None and known.status.finalized

    # history

    def _history(self, script: bytes) -> Iterator[HistoryEntry]:
        for tx in reversed(list(self._certified())):
            yield from self._entries(script, tx, None, None)
        before = None
        while True:
            page = self._addresses.history(script, before)
            for entry in page.entries:
                found = self._views.transaction(entry.txid)
                assert found is not None  # written in one batch with the index
                yield from self._entries(script, found.tx, *entry.place)
            before = page.next
            if before is None:
                return

    def _entries(
        self, script: bytes, tx: Transaction, height: int | None, position: int | None
    ) -> Iterator[HistoryEntry]:
        def owner(lock_script: bytes) -> KeyPath | None:
            return _SOME_KEY if owner_script(lock_script) == script else None

        effect = effect_of(tx, self._lookup.output, owner)
        confirmations = 0 if height is None else self._lookup.confirmations(height)
        header = None if height is None else self._views.header(height)
        for detail in effect.details:
            sent = detail.category == "send"
            rests = (
                detail.category == "generate" and confirmations < params.COINBASE_MATURITY_BLOCKS
            )
            yield HistoryEntry(
                txid=tx.txid,
                category="immature" if rests else detail.category,
                index=detail.index,
                lock_script=detail.lock_script,
                units=-detail.units if sent else detail.units,
                fee_units=effect.fee_units if sent else None,
                height=height,
                position=position,
                time_ms=None if header is None else header.slot_time,
                confirmations=confirmations,
                final=height is not None or self._is_final(tx.txid),
                label=None,
            )


def _standing(utxo: Utxo, tip_height: int) -> Standing:
    if utxo.script[0] == TAG_STAKE:
        return Standing.STAKED
    if utxo.coinbase and tip_height + 1 - utxo.height < params.COINBASE_MATURITY_BLOCKS:
        return Standing.IMMATURE
    return Standing.SPENDABLE
