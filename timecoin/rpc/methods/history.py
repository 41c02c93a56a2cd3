"""The history of the wallet, and of any other address."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Annotated

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import SchedulerStopped

from timecoin.chain.views import ChainViews
from timecoin.rpc.addressreader import AddressReader
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, WALLET_ERROR, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.method import rpc_method
from timecoin.rpc.purse import Purse, wallet_errors
from timecoin.rpc.rendering import Json, script_address
from timecoin.rpc.turns import in_turns
from timecoin.rpc.valuetypes import AddressText, Hash, Height, Integer, Text
from timecoin.wallet.history import HistoryEntry

Count = Annotated[int, Integer(0, 10_000, label="count")]
Skip = Annotated[int, Integer(0, 2**31 - 1, label="count")]
Label = Annotated[str, Text(max_chars=1_024, label="label")]
Target = Annotated[int, Integer(1, 2**31 - 1, label="confirmations")]

ANY_LABEL = "*"


class HistoryMethods:
    """What was paid and received."""

    def __init__(
        self,
        purse: Purse,
        views: ChainViews,
        lookup: Lookup,
        addresses: AddressReader,
        clock: IReactorTime,
    ) -> None:
        self._purse = purse
        self._views = views
        self._lookup = lookup
        self._addresses = addresses
        self._clock = clock

    @rpc_method(aliases={"dummy": "label"})
    async def listtransactions(
        self,
        label: Label = ANY_LABEL,
        count: Count = 10,
        skip: Skip = 0,
        include_watchonly: bool = True,
        *,
        address: AddressText | None = None,
    ) -> list[Json]:
        """The newest count outputs of the wallet's history after skip, the newest last.

        What waits to be archived counts as newest. category is send, receive, generate, immature
        (a reward that rests) or stake. label: of addresses called so. address: of any one address
        instead, by the index of addresses.
        """
        if address is not None:
            if label != ANY_LABEL:
                raise RpcError(INVALID_PARAMETER, "address: not with label")
            script = self._purse.script(address)
            found = await self._addresses.transactions(script, count, skip)
            return await self._entries_json(found)
        entries: Iterable[HistoryEntry] = self._purse.wallet.entries()
        if label != ANY_LABEL:
            entries = (entry for entry in entries if (entry.label or "") == label)
        return await self._entries_json(islice(entries, skip, skip + count))

    @rpc_method()
    async def listsinceblock(
        self,
        blockhash: Hash | None = None,
        target_confirmations: Target = 1,
        include_watchonly: bool = True,
        include_removed: bool = True,
    ) -> Json:
        """The wallet's history in blocks above the one of that hash, and what waits; newest last.

        Without blockhash all of it. lastblock is what to ask with the next time: the block that has
        target_confirmations. No block is ever removed.
        """
        height = -1
        if blockhash is not None:
            found = self._views.height_of(blockhash)
            if found is None:
                raise RpcError(NOT_FOUND, "Block not found")
            height = found
        last = self._views.block_hash(max(0, self._views.tip.height + 1 - target_confirmations))
        assert last is not None  # at or below the tip
        entries = await self._entries_json(self._purse.wallet.since(height))
        shown: Json = {"transactions": entries}
        if include_removed:
            shown["removed"] = []
        return shown | {"lastblock": last.hex()}

    @rpc_method()
    async def rescanblockchain(
        self, start_height: Height = 0, stop_height: Height | None = None
    ) -> Json:
        """Read the blocks again for the wallet's history; answers at the end.

        getwalletinfo shows how far it is. It goes on when the caller leaves. Errors: -4 when it
        runs already, -8 for blocks that there are not.
        """
        tip_height = self._views.tip.height
        if start_height > tip_height:
            raise RpcError(INVALID_PARAMETER, "Invalid start_height")
        if stop_height is not None and not start_height <= stop_height <= tip_height:
            raise RpcError(INVALID_PARAMETER, "Invalid stop_height")
        last = tip_height if stop_height is None else stop_height
        first = max(1, start_height)  # genesis is no block with transactions
        if first <= last:
            with wallet_errors():
                walk = self._purse.service.rescan(first, stop_height)
                try:
                    await _apart(walk)
                except SchedulerStopped as error:
                    raise RpcError(WALLET_ERROR, "the node stops") from error
        return {"start_height": start_height, "stop_height": last}

    async def _entries_json(self, entries: Iterable[HistoryEntry]) -> list[Json]:
        shown = [self._entry_json(entry) async for entry in in_turns(self._clock, entries)]
        return shown[::-1]

    def _entry_json(self, entry: HistoryEntry) -> Json:
        shown: Json = {
            "address": script_address(self._purse.network, entry.lock_script),
            "category": entry.category,
            "amount": amount_json(entry.units),
            "vout": entry.index,
            "txid": entry.txid.hex(),
            "confirmations": entry.confirmations,
            "final": entry.final,
        }
        if entry.label is not None:
            shown["label"] = entry.label
        if entry.fee_units is not None:
            shown["fee"] = amount_json(-entry.fee_units)
        found = self._lookup.transaction(entry.txid)
        return shown if found is None else {**shown, **found.place_json()}


def _apart(work: Deferred[None]) -> Deferred[None]:
    """Ends as ``work`` does; cancelling it leaves ``work`` alone."""
    waiting: Deferred[None] = Deferred()
    work.addCallbacks(waiting.callback, waiting.errback)
    return waiting
