"""The wallet: its addresses and coins, and the coins of any other address."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from timecoin.ledger.transaction import Outpoint, outpoint, split_outpoint
from timecoin.rpc.addressreader import AddressCoin, AddressReader
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.purse import Purse, refuse_set, wallet_errors
from timecoin.rpc.rendering import Json, script_address
from timecoin.rpc.unspentquery import UnspentQuery
from timecoin.rpc.valuetypes import AddressText, Hex, Integer, Text
from timecoin.wallet.coins import Balance, OwnCoin, Standing
from timecoin.wallet.wallet import MAX_CONFIRMATIONS

MAX_PAGE = 1_000

Confirmations = Annotated[int, Integer(0, MAX_CONFIRMATIONS, label="confirmations")]
Label = Annotated[str, Text(max_chars=1_024, label="label")]
CursorText = Annotated[str, Text(max_chars=75, label="TXID:VOUT")]
Limit = Annotated[int, Integer(1, MAX_PAGE, label="count")]

ADDRESS_TYPE = "bech32m"
PURPOSES = ("", "receive", "send")

_TXID = Hex(32, 32, label="hash")
_INDEX = Integer(0, 2**32 - 1, label="index")


class WalletMethods:
    """Shows addresses and coins, and keeps notes about them."""

    def __init__(self, purse: Purse, addresses: AddressReader) -> None:
        self._purse = purse
        self._addresses = addresses

    # addresses

    @rpc_method()
    def getnewaddress(self, label: Label = "", address_type: str = ADDRESS_TYPE) -> str:
        """A fresh address to be paid at, called label; the only address_type is bech32m."""
        if address_type != ADDRESS_TYPE:
            raise RpcError(NOT_FOUND, f"Unknown address type '{address_type[:32]}'")
        with wallet_errors():
            return self._purse.wallet.new_address(label)

    @rpc_method()
    def getaddressinfo(self, address: AddressText) -> Json:
        """What the wallet knows of an address, its own or another's.

        pubkey is shown for own ones while the wallet is unlocked.
        """
        wallet, script = self._purse.wallet, self._purse.script(address)
        mine, label = wallet.is_mine(script), wallet.label_of(script)
        shown: Json = {
            "address": address.lower(),
            "scriptPubKey": script.hex(),
            "ismine": mine,
            "iswatchonly": False,
            "solvable": mine,
            "isscript": False,
            "iswitness": False,
            "ischange": wallet.is_change(script),
            "labels": [] if label is None else [label],
        }
        path = wallet.hd_path(script)
        if path is not None:
            shown["hdkeypath"] = path
            if not wallet.locked:
                shown["pubkey"] = wallet.pubkey(address).hex()
        return shown

    @rpc_method()
    def setlabel(self, address: AddressText, label: Label) -> None:
        """Call an address, own or another's; an empty label takes the name away."""
        self._purse.script(address)
        with wallet_errors():
            self._purse.wallet.set_label(address, label)

    @rpc_method()
    def listlabels(self, purpose: Annotated[str, Text(choices=PURPOSES)] = "") -> list[str]:
        """All labels in order; purpose receive: of own addresses, send: of others'."""
        wallet = self._purse.wallet
        return sorted(
            {
                label
                for address, label in wallet.labelled().items()
                if not purpose
                or wallet.is_mine(self._purse.script(address)) == (purpose == "receive")
            }
        )

    # coins

    @rpc_method()
    async def getbalance(
        self,
        dummy: str = "*",
        minconf: Confirmations = 0,
        include_watchonly: bool = True,
        avoid_reuse: bool = False,
        *,
        address: AddressText | None = None,
        verbose: bool = False,
    ) -> Decimal | Json:
        """What can be spent now: final and archived coins, a final one counting as confirmed.

        address: of this address alone, the wallet's or (by the index of addresses) any other.
        verbose: total, spendable, pending (not final yet), immature (rewards that rest) and staked.
        """
        if dummy != "*":
            raise RpcError(INVALID_PARAMETER, 'dummy: must be excluded or "*"')
        refuse_set(avoid_reuse=avoid_reuse)
        balance = await self._balance(address, minconf)
        if not verbose:
            return amount_json(balance.spendable)
        return {
            "total": amount_json(balance.total),
            "spendable": amount_json(balance.spendable),
            "pending": amount_json(balance.pending),
            "immature": amount_json(balance.immature),
            "staked": amount_json(balance.staked),
        }

    async def _balance(self, address: str | None, minconf: int) -> Balance:
        if address is None:
            return self._purse.wallet.balance(minconf)
        script = self._purse.script(address)
        if self._purse.wallet.is_mine(script):
            return self._purse.wallet.balance(minconf, script)
        return await self._addresses.balance(script, minconf)

    @rpc_method()
    async def listunspent(
        self,
        minconf: Confirmations = 1,
        maxconf: Confirmations = MAX_CONFIRMATIONS,
        addresses: list[AddressText] | None = None,
        include_unsafe: bool = True,
        query_options: dict[str, object] | None = None,
        *,
        address: AddressText | None = None,
        after: CursorText | None = None,
        limit: Limit | None = None,
    ) -> list[Json]:
        """The wallet's coins with minconf to maxconf confirmations; a final one satisfies 1.

        minconf 0 shows those not final yet, too, unless include_unsafe is false. query_options:
        minimumAmount, maximumAmount, minimumSumAmount (in TIME) and maximumCount. address: the
        coins of any one address instead, by the index of addresses, at most limit (1,000 unless
        told), in outpoint order; after names the last coin of the page before as TXID:VOUT, and a
        page with fewer than limit is the last.
        """
        query = UnspentQuery.read(query_options or {})
        scripts = None if not addresses else self._scripts(addresses)
        if address is not None:
            if scripts is not None or query_options:
                raise RpcError(INVALID_PARAMETER, "address: not with addresses or query_options")

            def wanted(coin: AddressCoin) -> bool:
                return (
                    coin.satisfies(minconf)
                    and coin.confirmations <= maxconf
                    and (include_unsafe or coin.standing is not Standing.PENDING)
                )

            found = await self._addresses.unspent(
                self._purse.script(address),
                wanted,
                _cursor(after),
                MAX_PAGE if limit is None else limit,
            )
            return [self._coin_json(coin) for coin in found]
        if after is not None or limit is not None:
            raise RpcError(INVALID_PARAMETER, "after and limit go with address")
        coins = (
            coin
            for coin in self._purse.wallet.unspent(minconf, maxconf, scripts)
            if include_unsafe or coin.standing is Standing.SPENDABLE
        )
        return [self._coin_json(coin) for coin in query.select(coins)]

    def _scripts(self, addresses: list[str]) -> list[bytes]:
        scripts: dict[bytes, None] = {}
        for address in addresses:
            script = self._purse.script(address)
            if script in scripts:
                raise RpcError(INVALID_PARAMETER, f"duplicated address: {address}")
            scripts[script] = None
        return list(scripts)

    def _coin_json(self, coin: OwnCoin | AddressCoin) -> Json:
        txid, index = split_outpoint(coin.point)
        script, standing = coin.utxo.script, coin.standing
        label = self._purse.wallet.label_of(script)
        mine = self._purse.wallet.is_mine(script)
        shown: Json = {
            "txid": txid.hex(),
            "vout": index,
            "address": script_address(self._purse.network, script),
            "scriptPubKey": script.hex(),
            "amount": amount_json(coin.utxo.value),
            "confirmations": coin.confirmations,
            "final": standing is not Standing.PENDING,
            "spendable": mine and standing is Standing.SPENDABLE,
            "solvable": mine,
            "safe": standing is not Standing.PENDING,
        }
        if label is not None:
            shown["label"] = label
        if standing in (Standing.IMMATURE, Standing.STAKED):
            shown["standing"] = standing.value
        return shown

    @rpc_method()
    def lockunspent(
        self,
        unlock: bool,
        transactions: list[dict[str, object]] | None = None,
        persistent: bool = False,
    ) -> bool:
        """Leave coins alone, or with unlock true let them be spent again; without any, all.

        transactions: objects with txid and vout. Locks end with the node unless persistent. Error
        -8 for a coin that is not the wallet's, spent, or so already.
        """
        points = None if transactions is None else _points(transactions)
        wallet = self._purse.wallet
        with wallet_errors():
            if unlock:
                wallet.unlock_coins(points)
            elif points:
                wallet.lock_coins(points, persistent)
        return True

    @rpc_method()
    def listlockunspent(self) -> list[Json]:
        """The coins that lockunspent has locked, longest locked first."""
        pairs = map(split_outpoint, self._purse.wallet.locked_coins())
        return [{"txid": txid.hex(), "vout": index} for txid, index in pairs]


def _points(items: Sequence[dict[str, object]]) -> list[Outpoint]:
    points: dict[Outpoint, None] = {}
    for number, item in enumerate(items):
        name = f"transactions[{number}]"
        for key in ("txid", "vout"):
            if key not in item:
                raise RpcError(INVALID_PARAMETER, f"{name}: missing {key} key")
        txid = _TXID.read(item["txid"], f"{name}.txid")
        points[outpoint(txid, _INDEX.read(item["vout"], f"{name}.vout"))] = None
    if len(points) != len(items):
        raise RpcError(INVALID_PARAMETER, "transactions: an output comes twice")
    return list(points)


def _cursor(text: str | None) -> Outpoint | None:
    if text is None:
        return None
    txid, _, index = text.partition(":")
    if not (index.isascii() and index.isdigit()):
        raise RpcError(INVALID_PARAMETER, "after: not TXID:VOUT")
    return outpoint(_TXID.read(txid, "after"), _INDEX.read(int(index), "after"))
