"""The wallet: addresses, coins, payments, passphrase."""

from __future__ import annotations

from collections.abc import Awaitable
from decimal import Decimal
from typing import Annotated, TypeVar

from timecoin.crypto.address import AddressError, decode_address
from timecoin.crypto.secretbox import WrongPassphrase
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import TxOutput, split_outpoint
from timecoin.mempool.entry import Admission
from timecoin.params import Network
from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import (
    INSUFFICIENT_FUNDS,
    INVALID_PARAMETER,
    NOT_FOUND,
    PASSPHRASE_NEEDED,
    TYPE_ERROR,
    WALLET_ERROR,
    WRONG_ENCRYPTION_STATE,
    WRONG_PASSPHRASE,
    RpcError,
)
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.methods.finality import WAIT_S, FinalityWait
from timecoin.rpc.ports import Submit
from timecoin.rpc.refusal import refusal
from timecoin.rpc.rendering import Json, script_address
from timecoin.rpc.unspentquery import UnspentQuery
from timecoin.rpc.valuetypes import AddressText, Amount, Integer, Text
from timecoin.wallet.coins import OwnCoin, Standing
from timecoin.wallet.errors import InsufficientFunds, WalletError, WalletLocked, WrongState
from timecoin.wallet.service import MAX_UNLOCK_S, WalletService
from timecoin.wallet.wallet import MAX_CONFIRMATIONS

Confirmations = Annotated[int, Integer(0, MAX_CONFIRMATIONS, label="confirmations")]
Seconds = Annotated[int, Integer(0, 2**63 - 1, label="seconds")]
Passphrase = Annotated[str, Text(max_chars=1_024, label="passphrase")]
Comment = Annotated[str, Text(max_chars=1_024)]

ADDRESS_TYPE = "bech32m"

T = TypeVar("T")


class WalletMethods:
    """Spends and shows the coins of one wallet."""

    def __init__(
        self,
        service: WalletService,
        network: Network,
        submit: Submit,
        condition: Condition,
        wait: FinalityWait,
    ) -> None:
        self._service = service
        self._wallet = service.wallet
        self._network = network
        self._submit = submit
        self._condition = condition
        self._wait = wait

    # addresses and coins

    @rpc_method()
    def getnewaddress(self, label: Comment = "", address_type: str = ADDRESS_TYPE) -> str:
        """A fresh address to be paid at. Labels are not kept; the only address_type is bech32m."""
        if address_type != ADDRESS_TYPE:
            raise RpcError(NOT_FOUND, f"Unknown address type '{address_type[:32]}'")
        try:
            return self._wallet.new_address()
        except WalletError as error:
            raise _wallet_refusal(error) from error

    @rpc_method()
    def getbalance(
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

        address: of this address of the wallet alone. verbose: total, spendable, pending (not final
        yet), immature (rewards that rest) and staked.
        """
        if dummy != "*":
            raise RpcError(INVALID_PARAMETER, 'dummy: must be excluded or "*"')
        _refuse_set(avoid_reuse=avoid_reuse)
        script = None
        if address is not None:
            script = self._script(address)
            if not self._wallet.is_mine(script):
                raise RpcError(NOT_FOUND, "address is not the wallet's own")
        balance = self._wallet.balance(minconf, script)
        if not verbose:
            return amount_json(balance.spendable)
        return {
            "total": amount_json(balance.total),
            "spendable": amount_json(balance.spendable),
            "pending": amount_json(balance.pending),
            "immature": amount_json(balance.immature),
            "staked": amount_json(balance.staked),
        }

    @rpc_method()
    def listunspent(
        self,
        minconf: Confirmations = 1,
        maxconf: Confirmations = MAX_CONFIRMATIONS,
        addresses: list[AddressText] | None = None,
        include_unsafe: bool = True,
        query_options: dict[str, object] | None = None,
    ) -> list[Json]:
        """The wallet's coins with minconf to maxconf confirmations; a final one satisfies 1.

        minconf 0 shows those not final yet, too, unless include_unsafe is false. query_options:
        minimumAmount, maximumAmount, minimumSumAmount (in TIME) and maximumCount.
        """
        query = UnspentQuery.read(query_options or {})
        scripts = None if not addresses else self._scripts(addresses)
        coins = [
            coin
            for coin in self._wallet.unspent(minconf, maxconf, scripts)
            if include_unsafe or coin.standing is Standing.SPENDABLE
        ]
        return [self._coin_json(coin) for coin in query.select(coins)]

    def _scripts(self, addresses: list[str]) -> list[bytes]:
        scripts: dict[bytes, None] = {}
        for address in addresses:
            script = self._script(address)
            if script in scripts:
                raise RpcError(INVALID_PARAMETER, f"duplicated address: {address}")
            scripts[script] = None
        return list(scripts)

    def _coin_json(self, coin: OwnCoin) -> Json:
        txid, index = split_outpoint(coin.point)
        final = coin.standing is not Standing.PENDING
        return {
            "txid": txid.hex(),
            "vout": index,
            "address": script_address(self._network, coin.utxo.script),
            "scriptPubKey": coin.utxo.script.hex(),
            "amount": amount_json(coin.utxo.value),
            "confirmations": coin.confirmations,
            "final": final,
            "spendable": final,
            "solvable": True,
            "safe": final,
        }

    # paying

    @rpc_method()
    async def sendtoaddress(
        self,
        address: AddressText,
        amount: Amount,
        comment: Comment = "",
        comment_to: Comment = "",
        subtractfeefromamount: bool = False,
        replaceable: bool = False,
        conf_target: int | None = None,
        estimate_mode: str = "unset",
        avoid_reuse: bool = False,
        fee_rate: object = None,
        verbose: bool = False,
        *,
        wait: bool = False,
    ) -> str:
        """Pay an address; returns the txid, with wait as soon as it is final.

        Comments are not kept. The fee is the least one: replaceable, conf_target, estimate_mode,
        avoid_reuse, fee_rate and verbose cannot be set. Errors: -3 amount, -5 address, -6 funds,
        -11 sent but not final in 300 seconds, -13 passphrase needed, -28 catching up.
        """
        _refuse_set(
            replaceable=replaceable,
            conf_target=conf_target is not None,
            estimate_mode=estimate_mode != "unset",
            avoid_reuse=avoid_reuse,
            fee_rate=fee_rate is not None,
            verbose=verbose,
        )
        script = self._script(address)
        if amount == 0:
            raise RpcError(TYPE_ERROR, "Invalid amount for send")
        self._condition.require_current()
        txid = self._pay(TxOutput(amount, script), subtractfeefromamount)
        if wait:
            await self._wait.until_final(txid, WAIT_S)
        return txid.hex()

    def _pay(self, output: TxOutput, subtract_fee: bool) -> bytes:
        try:
            tx = self._wallet.send([output], [0] if subtract_fee else [])
        except WalletError as error:
            raise _wallet_refusal(error) from error
        verdict = self._submit(tx)
        if verdict.admission not in (Admission.ACCEPTED, Admission.KNOWN):
            self._wallet.abandon(tx.txid)
            raise refusal(verdict)
        return tx.txid

    def _script(self, address: str) -> bytes:
        try:
            return pay_to_pubkey_hash(decode_address(self._network, address))
        except AddressError as error:
            raise RpcError(NOT_FOUND, f"Invalid address: {error}") from error

    # passphrase

    @rpc_method()
    async def walletpassphrase(self, passphrase: Passphrase, timeout: Seconds) -> None:
        """Allow payments for timeout seconds (at most three years).

        Errors: -14 wrong passphrase, -15 the wallet has none.
        """
        _refuse_empty(passphrase)
        await _translated(self._service.unlock(passphrase, min(timeout, MAX_UNLOCK_S)))

    @rpc_method()
    def walletlock(self) -> None:
        """Forget the private keys until the next walletpassphrase; -15 without a passphrase."""
        try:
            self._service.lock()
        except WalletError as error:
            raise _wallet_refusal(error) from error

    @rpc_method()
    async def encryptwallet(self, passphrase: Passphrase) -> str:
        """Seal the wallet under a passphrase for the first time; it is locked then.

        Error -15 when it has one already.
        """
        _refuse_empty(passphrase)
        await _translated(self._service.change_passphrase(None, passphrase))
        return "wallet encrypted and locked: walletpassphrase unlocks it; keep the passphrase safe"


async def _translated(work: Awaitable[T]) -> T:
    try:
        return await work
    except WrongPassphrase as error:
        raise RpcError(
            WRONG_PASSPHRASE, "Error: The wallet passphrase entered was incorrect."
        ) from error
    except WalletError as error:
        raise _wallet_refusal(error) from error


def _wallet_refusal(error: WalletError) -> RpcError:
    match error:
        case WalletLocked():
            code = PASSPHRASE_NEEDED
        case InsufficientFunds():
            code = INSUFFICIENT_FUNDS
        case WrongState():
            code = WRONG_ENCRYPTION_STATE
        case _:
            code = WALLET_ERROR
    return RpcError(code, str(error))


def _refuse_empty(passphrase: str) -> None:
    if not passphrase:
        raise RpcError(INVALID_PARAMETER, "passphrase cannot be empty")


def _refuse_set(**options: bool) -> None:
    for name, is_set in options.items():
        if is_set:
            raise RpcError(INVALID_PARAMETER, f"{name}: not supported")
