"""Making a payment: its fee and its change (PROTOCOL 3); ``select`` chooses the coins.

Sizes are counted with every number at its widest, so the fee of the signed transaction is never
below the least one, and but a little above it.
"""

from __future__ import annotations

import heapq
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
from timecoin.wallet.select import branch_and_bound, largest_first

_WIDEST = 2**64 - 1
_INPUT_BYTES = len(encode(TxInput(bytes(32), 2**32 - 1, params.SEQUENCE_FINAL))) + len(
    encode((bytes(PUBKEY_BYTES), bytes(SIGNATURE_BYTES)))
)
# Each of the three lists may need two bytes more for its length than an empty one.
_FRAME_BYTES = len(encode(Transaction(params.TX_VERSION, (), (), 0, ()))) + 3 * 2


_MAX_INPUTS = params.MAX_TX_BYTES // _INPUT_BYTES

MAX_FEE_UNITS = params.UNITS_PER_TIME
"""A wallet pays no fee above it: 100 times what the largest transaction has to pay."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A transaction and what it spends, in input order."""

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
    fee_rate: int = params.MIN_FEE_RATE_UNITS_PER_BYTE,
) -> Payment:
    """The payment of ``outputs`` out of ``coins``, which one signature each can spend.

    Coins that make change needless are searched for (branch and bound), for they may exceed what
    is needed by what change would cost; otherwise the largest are taken first. The rest returns to
    ``change_script``, or goes to the fee if it would be dust. The outputs whose positions stand in
    ``subtract_fee_from`` bear the fee in equal parts, the first of them the remainder too; if
    there are none, the payer does. ``fee_rate`` is in units per byte; no fee is below the least
    one. :class:`PaymentRefused` for what no transaction may hold, :class:`InsufficientFunds` when
    the coins do not reach.
    """
    _check(outputs, subtract_fee_from)
    paid_units = sum(output.value for output in outputs)
    change_bytes = _output_bytes(TxOutput(0, change_script))
    cost = _Cost(_FRAME_BYTES + sum(map(_output_bytes, outputs)), fee_rate)
    cost_with_change = _Cost(cost.fixed_bytes + change_bytes, fee_rate)

    def needed(count: int, cost: _Cost) -> int:
        return paid_units if subtract_fee_from else paid_units + cost.fee_units(count)

    coins = list(coins)
    tolerance = fee_rate * (change_bytes + _INPUT_BYTES)
    # What costs as much as it brings, or is by itself too much, is in no payment without change.
    least, most = fee_rate * _INPUT_BYTES, needed(1, cost) + tolerance
    fitting = _largest([coin for coin in coins if least < coin[1].value <= most])
    exact = branch_and_bound(_values(fitting), lambda count: needed(count, cost), tolerance)
    if exact is not None:
        spent = [fitting[position] for position in exact]
        fee_units = cost.fee_units(len(spent))
    else:
        largest = _largest(coins)
        count = largest_first(_values(largest), lambda count: needed(count, cost_with_change))
        if count is None:
            available = sum(_values(coins))
            if available < needed(len(coins), cost_with_change):
                raise InsufficientFunds(needed(len(coins), cost_with_change), available)
            raise PaymentRefused("more coins are needed than one transaction can hold: merge some")
        spent = largest[:count]
        fee_units = cost_with_change.fee_units(count)
    rest = sum(_values(spent)) - paid_units
    if not subtract_fee_from:
        rest -= fee_units
    has_change = exact is None and not is_dust(TxOutput(rest, change_script))
    made = list(outputs)
    if subtract_fee_from:
        # What does not come back pays a part of the fee.
        _subtract(made, subtract_fee_from, fee_units - (0 if has_change else rest))
    if has_change:
        made.append(TxOutput(rest, change_script))
    return _payment(spent, made, has_change)


def build_merge(
    coins: Iterable[Coin],
    script: bytes,
    min_count: int,
    max_count: int,
    fee_rate: int = params.MIN_FEE_RATE_UNITS_PER_BYTE,
) -> Payment:
    """One output to ``script`` out of ``min_count`` to ``max_count`` of ``coins``, smallest first.

    No more than a transaction can hold. :class:`PaymentRefused` when there are fewer, or the
    numbers make no sense; :class:`InsufficientFunds` when all that they hold is the fee.
    """
    if not 2 <= min_count <= max_count:
        raise PaymentRefused(f"{min_count} to {max_count} coins cannot be merged")
    cost = _Cost(_FRAME_BYTES + _output_bytes(TxOutput(0, script)), fee_rate)
    room = (params.MAX_TX_BYTES - cost.fixed_bytes) // _INPUT_BYTES
    ordered = sorted(coins, key=lambda coin: (coin[1].value, coin[0]))
    spent = ordered[: min(max_count, room)]
    if len(spent) < min_count:
        raise PaymentRefused(f"{len(spent)} coins can be merged now, not {min_count}")
    available = sum(_values(spent))
    fee_units = cost.fee_units(len(spent))
    merged = TxOutput(available - fee_units, script)
    if is_dust(merged):
        raise InsufficientFunds(fee_units + params.DUST_UNITS, available)
    return _payment(spent, [merged], has_change=False)


def build_release(
    stake: Coin, script: bytes, fee_rate: int = params.MIN_FEE_RATE_UNITS_PER_BYTE
) -> Payment:
    """All of ``stake``, less the fee, to ``script``; :class:`InsufficientFunds` if it is dust."""
    cost = _Cost(_FRAME_BYTES + _output_bytes(TxOutput(0, script)), fee_rate)
    fee_units = cost.fee_units(1)
    returned = TxOutput(stake[1].value - fee_units, script)
    if returned.value <= 0 or is_dust(returned):
        raise InsufficientFunds(fee_units + params.DUST_UNITS, stake[1].value)
    return _payment([stake], [returned], has_change=True)


def _largest(coins: Sequence[Coin]) -> list[Coin]:
    """As many of the largest as a transaction can hold, in descending order; equal by outpoint."""
    if len(coins) > _MAX_INPUTS:
        # Numbers alone are sorted many times faster than coins; coins of one value not at all.
        least = sorted(_values(coins))[-_MAX_INPUTS]
        above = [coin for coin in coins if coin[1].value > least]
        equal = (coin for coin in coins if coin[1].value == least)
        room = _MAX_INPUTS - len(above)
        coins = above + heapq.nsmallest(room, equal, key=lambda coin: coin[0])
    return sorted(coins, key=lambda coin: (-coin[1].value, coin[0]))


def _values(coins: Iterable[Coin]) -> list[int]:
    return [utxo.value for _, utxo in coins]


@dataclass(frozen=True, slots=True)
class _Cost:
    """The fee of a transaction by the number of its inputs."""

    fixed_bytes: int
    """Of all but the inputs."""
    rate: int

    def fee_units(self, inputs: int) -> int:
        size = self.fixed_bytes + inputs * _INPUT_BYTES
        return max(min_fee_units(size), self.rate * size)


def _payment(spent: Sequence[Coin], outputs: Sequence[TxOutput], has_change: bool) -> Payment:
    """:class:`PaymentRefused` when it would be too large, or pay a fee that nobody can mean."""
    size = _FRAME_BYTES + sum(map(_output_bytes, outputs)) + len(spent) * _INPUT_BYTES
    if size > params.MAX_TX_BYTES:
        raise PaymentRefused(f"{len(spent)} coins are needed, too many for one transaction")
    available = sum(_values(spent))
    fee_units = available - sum(output.value for output in outputs)
    if fee_units > MAX_FEE_UNITS:
        raise PaymentRefused(
            f"a fee of {format_time(fee_units)} TIME is above {format_time(MAX_FEE_UNITS)}"
        )
    return Payment(_unsigned(spent, outputs), tuple(spent), fee_units, has_change)


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
