"""Making a payment: which coins, which fee, which change (PROTOCOL 3).

Sizes are counted with every number at its widest, so the fee of the signed transaction is never
below the least one, and but a little above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from timecoin import params
from timecoin.codec import encode
from timecoin.crypto.keys import PUBKEY_BYTES, SIGNATURE_BYTES
from timecoin.ledger.amount import format_time
from timecoin.ledger.check import is_dust, min_fee_units
from timecoin.ledger.connect import Coin
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import Data, parse_script
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput, split_outpoint
from timecoin.wallet.errors import InsufficientFunds, PaymentRefused

_WIDEST = 2**64 - 1
_INPUT_BYTES = len(encode(TxInput(bytes(32), 2**32 - 1, params.SEQUENCE_FINAL))) + len(
    encode((bytes(PUBKEY_BYTES), bytes(SIGNATURE_BYTES)))
)
# Each of the three lists may need two bytes more for its length than an empty one.
_FRAME_BYTES = len(encode(Transaction(params.TX_VERSION, (), (), 0, ()))) + 3 * 2


@dataclass(frozen=True, slots=True)
class Payment:
    """An unsigned transaction and what it spends, in input order."""

    tx: Transaction
    spent: tuple[Coin, ...]
    fee_units: int
    has_change: bool
    """Whether its last output returns to the payer."""


def build_payment(
    outputs: Sequence[TxOutput],
    coins: Iterable[Coin],
    change_script: bytes,
    subtract_fee_from: Sequence[int] = (),
) -> Payment:
    """The payment of ``outputs`` out of ``coins``, which one signature each can spend.

    The largest coins are taken first. The rest returns to ``change_script``, or goes to the fee
    if it would be dust. The outputs whose positions stand in ``subtract_fee_from`` bear the fee
    in equal parts, the first of them the remainder too; if there are none, the payer does.
    :class:`PaymentRefused` for what no transaction may hold, :class:`InsufficientFunds` when the
    coins do not reach.
    """
    _check(outputs, subtract_fee_from)
    paid_units = sum(output.value for output in outputs)
    size = _FRAME_BYTES + sum(map(_output_bytes, (*outputs, TxOutput(0, change_script))))
    spent: list[Coin] = []
    available = 0
    fee_units = min_fee_units(size)
    needed = paid_units if subtract_fee_from else paid_units + fee_units
    for coin in sorted(coins, key=lambda coin: (-coin[1].value, coin[0])):
        spent.append(coin)
        available += coin[1].value
        size += _INPUT_BYTES
        fee_units = min_fee_units(size)
        needed = paid_units if subtract_fee_from else paid_units + fee_units
        if available >= needed:
            break
    if not spent or available < needed:
        raise InsufficientFunds(needed, available)
    if size > params.MAX_TX_BYTES:
        raise PaymentRefused(f"{len(spent)} coins are needed, too many for one transaction")
    change = TxOutput(available - needed, change_script)
    made = list(outputs)
    if subtract_fee_from:
        # What is too little to come back pays a part of the fee.
        _subtract(made, subtract_fee_from, fee_units - change.value * is_dust(change))
    if not is_dust(change):
        made.append(change)
    return Payment(
        tx=_unsigned(spent, made),
        spent=tuple(spent),
        fee_units=available - sum(output.value for output in made),
        has_change=not is_dust(change),
    )


def _check(outputs: Sequence[TxOutput], subtract_fee_from: Sequence[int]) -> None:
    if not outputs:
        raise PaymentRefused("a payment needs an output")
    for output in outputs:
        try:
            carries_data = isinstance(parse_script(output.lock_script), Data)
        except RuleBroken as broken:
            raise PaymentRefused(str(broken)) from broken
        if carries_data and output.value:
            raise PaymentRefused("an output with data cannot carry coins")
        if is_dust(output):
            raise PaymentRefused(f"{format_time(output.value)} TIME are too little to be paid")
    if sum(output.value for output in outputs) > params.MAX_AMOUNT_UNITS:
        raise PaymentRefused("the sum of the outputs is out of range")
    if len(set(subtract_fee_from)) != len(subtract_fee_from):
        raise PaymentRefused("an output can bear its part of the fee once only")
    for position in subtract_fee_from:
        if not 0 <= position < len(outputs) or not outputs[position].value:
            raise PaymentRefused(f"there is no output {position} with coins to bear the fee")


def _subtract(outputs: list[TxOutput], positions: Sequence[int], fee_units: int) -> None:
    """Take ``fee_units`` from the outputs at ``positions``."""
    part, remainder = divmod(fee_units, len(positions))
    for number, position in enumerate(positions):
        value = outputs[position].value - part - (remainder if number == 0 else 0)
        if value < params.DUST_UNITS:
            raise PaymentRefused(f"output {position} is too small to bear its part of the fee")
        outputs[position] = msgspec.structs.replace(outputs[position], value=value)


def _output_bytes(output: TxOutput) -> int:
    return len(encode(msgspec.structs.replace(output, value=_WIDEST)))


def _unsigned(spent: Sequence[Coin], outputs: Sequence[TxOutput]) -> Transaction:
    return Transaction(
        version=params.TX_VERSION,
        inputs=tuple(TxInput(*split_outpoint(point), params.SEQUENCE_FINAL) for point, _ in spent),
        outputs=tuple(outputs),
        lock_time=0,
        witnesses=((),) * len(spent),
    )
