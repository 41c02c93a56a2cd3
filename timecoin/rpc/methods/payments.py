"""Payments out of the wallet."""

from __future__ import annotations

from typing import Annotated

from timecoin.ledger.transaction import Transaction, TxOutput
from timecoin.rpc.errors import INVALID_PARAMETER, TYPE_ERROR, RpcError
from timecoin.rpc.feerate import FeeRate
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.methods.finality import WAIT_S, FinalityWait
from timecoin.rpc.purse import Purse, refuse_set
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import AddressText, Amount, AmountOfTime, Integer, Object, Text

Comment = Annotated[str, Text(max_chars=1_024)]
Amounts = Annotated[dict[str, int], Object(AmountOfTime())]
Count = Annotated[int, Integer(2, 100_000, label="count")]

MAX_RECIPIENTS = 1_000
"""Far more outputs than a transaction of 100 kB and a payer's patience can hold."""


class PaymentMethods:
    """Each sends one transaction; fees are what estimatefee says."""

    def __init__(self, purse: Purse, fee_rate: FeeRate, wait: FinalityWait) -> None:
        self._purse = purse
        self._fee_rate = fee_rate
        self._wait = wait

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

        Comments are not kept. The fee is that of estimatefee: replaceable, conf_target,
        estimate_mode, avoid_reuse, fee_rate and verbose cannot be set. Errors: -3 amount, -5
        address, -6 funds, -11 sent but not final in 300 seconds, -13 passphrase needed, -28
        catching up.
        """
        refuse_set(
            replaceable=replaceable,
            conf_target=conf_target is not None,
            estimate_mode=estimate_mode != "unset",
            avoid_reuse=avoid_reuse,
            fee_rate=fee_rate is not None,
            verbose=verbose,
        )
        outputs = [self._output(address, amount)]
        return await self._send(outputs, [0] if subtractfeefromamount else [], wait)

    @rpc_method()
    async def sendmany(
        self,
        dummy: str,
        amounts: Amounts,
        minconf: object = None,
        comment: Comment = "",
        subtractfeefrom: list[AddressText] | None = None,
        replaceable: bool = False,
        conf_target: int | None = None,
        estimate_mode: str = "unset",
        fee_rate: object = None,
        verbose: bool = False,
        *,
        wait: bool = False,
    ) -> str:
        """Pay several addresses at once; returns the txid, with wait as soon as it is final.

        dummy must be "". minconf is ignored, as in Bitcoin. Those in subtractfeefrom bear the fee
        in equal parts. The rest as in sendtoaddress.
        """
        if dummy:
            raise RpcError(INVALID_PARAMETER, 'dummy: must be ""')
        refuse_set(
            replaceable=replaceable,
            conf_target=conf_target is not None,
            estimate_mode=estimate_mode != "unset",
            fee_rate=fee_rate is not None,
            verbose=verbose,
        )
        if not 1 <= len(amounts) <= MAX_RECIPIENTS:
            raise RpcError(INVALID_PARAMETER, f"amounts: 1 to {MAX_RECIPIENTS} addresses")
        outputs = [self._output(address, amount) for address, amount in amounts.items()]
        _refuse_twice([output.lock_script for output in outputs], "amounts")
        bearing = []
        for address in subtractfeefrom or []:
            if address not in amounts:
                raise RpcError(INVALID_PARAMETER, "subtractfeefrom: not an address of amounts")
            bearing.append(list(amounts).index(address))
        _refuse_twice(bearing, "subtractfeefrom")
        return await self._send(outputs, bearing, wait)

    @rpc_method()
    def mergeutxos(
        self, min_count: Count = 2, max_count: Count = 100, address: AddressText | None = None
    ) -> Json:
        """Make one coin of min_count to max_count small ones.

        With an address of the wallet of its coins alone, and to it again. final_value is
        total_value less the fee. Error -4 when there are fewer than min_count.
        """
        if min_count > max_count:
            raise RpcError(INVALID_PARAMETER, "min_count: above max_count")
        script = None if address is None else self._purse.own_script(address)
        rate = self._fee_rate.units_per_byte()
        wallet = self._purse.wallet
        payment = self._purse.pay(
            lambda: wallet.merge(min_count, max_count, script, rate), lambda made: made.tx
        )
        total_units = sum(utxo.value for _, utxo in payment.spent)
        return {
            "txid": payment.tx.txid.hex(),
            "merged_count": len(payment.spent),
            "total_value": amount_json(total_units),
            "fee": amount_json(payment.fee_units),
            "final_value": amount_json(total_units - payment.fee_units),
        }

    def _output(self, address: str, units: int) -> TxOutput:
        script = self._purse.script(address)
        if units == 0:
            raise RpcError(TYPE_ERROR, "Invalid amount for send")
        return TxOutput(units, script)

    async def _send(self, outputs: list[TxOutput], bearing: list[int], wait: bool) -> str:
        rate = self._fee_rate.units_per_byte()
        tx: Transaction = self._purse.pay(
            lambda: self._purse.wallet.send(outputs, bearing, rate), lambda made: made
        )
        if wait:
            await self._wait.until_final(tx.txid, WAIT_S)
        return tx.txid.hex()


def _refuse_twice(items: list[bytes] | list[int], name: str) -> None:
    if len(set(items)) != len(items):
        raise RpcError(INVALID_PARAMETER, f"{name}: duplicated address")
