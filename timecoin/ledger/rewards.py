"""What a block creates and who gets it (PROTOCOL 6): a pure function of committed state."""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol

from timecoin import params
from timecoin.ledger.check import NULL_TXID
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput

_CONTEXT = decimal.Context(prec=50, rounding=decimal.ROUND_HALF_EVEN)

Share = tuple[bytes, int, bool]
"""(payout hash, weight, staked) of a member."""


class Earner(Protocol):
    """A member of the active set, as far as rewards go."""

    @property
    def pubkey(self) -> bytes:
        """Voting key."""

    @property
    def payout_hash(self) -> bytes:
        """Hash of the key that its rewards go to."""

    @property
    def weight(self) -> int:
        """Share of the pool that it belongs to."""

    @property
    def staked(self) -> bool:
        """False for Free members, which share a pool of their own."""


@lru_cache(maxsize=64)
def block_reward(base_units: int, staked_count: int) -> int:
    """``base * (1 + ln N)`` in units, floored once at the end; N = staked members of avs(h-1)."""
    if staked_count < 1:
        raise ValueError("no reward without a staked member")
    factor = _CONTEXT.add(1, _CONTEXT.ln(staked_count))
    return int(_CONTEXT.multiply(base_units, factor))


def split_reward(
    reward: int, fees: int, producer: bytes, members: Iterable[Share]
) -> tuple[TxOutput, ...]:
    """The outputs that share out ``reward`` + ``fees`` units exactly.

    ``producer`` is the payout hash of the member that made the block: a tenth and all remainders go
    there. One output for each distinct payout hash, its shares summed, in ascending order; zero
    shares are left out.
    """
    shares = tuple(members)
    staked_weight = sum(weight for _, weight, staked in shares if staked)
    free_weight = sum(weight for _, weight, staked in shares if not staked)
    total = reward + fees
    pool = 9 * total // 10
    free = 0
    if free_weight:
        free = min(pool * free_weight // (staked_weight + free_weight), total // 20)
    units_of: dict[bytes, int] = {}
    for payout_hash, weight, staked in shares:
        pot, total_weight = (pool - free, staked_weight) if staked else (free, free_weight)
        units = pot * weight // total_weight
        units_of[payout_hash] = units_of.get(payout_hash, 0) + units
    units_of[producer] += total - sum(units_of.values())
    return tuple(
        TxOutput(units, pay_to_pubkey_hash(payout_hash))
        for payout_hash, units in sorted(units_of.items())
        if units
    )


def reward_transaction(height: int, outputs: Sequence[TxOutput]) -> Transaction:
    """The transaction that creates ``outputs``; its null input makes its txid unique."""
    null = TxInput(NULL_TXID, height, params.SEQUENCE_FINAL)
    return Transaction(params.TX_VERSION, (null,), tuple(outputs), 0, ((),))


def expected_reward(
    base_units: int, members: Sequence[Earner], producer: bytes, fees: int, height: int
) -> Transaction:
    """The one reward transaction of block ``height``, made by the member ``producer`` (its pubkey).

    ``members`` are all of avs(h-1). ``RuleBroken`` when the producer is not among them.
    """
    payout_hash = next((m.payout_hash for m in members if m.pubkey == producer), None)
    if payout_hash is None:
        raise RuleBroken("bad-producer", f"{producer.hex()} is no member")
    reward = block_reward(base_units, sum(member.staked for member in members))
    shares = ((member.payout_hash, member.weight, member.staked) for member in members)
    return reward_transaction(height, split_reward(reward, fees, payout_hash, shares))
