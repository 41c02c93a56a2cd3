"""What a block does to the set of unspent outputs, and how that is undone (PROTOCOL 3, 6).

The result does not depend on the order of the transactions: all outputs come into being first,
then all inputs are spent, so that entries can be sorted by txid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from timecoin.crypto.lthash import LtHash
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import TAG_DATA
from timecoin.ledger.transaction import Outpoint, Transaction, TxInput, outpoint
from timecoin.ledger.utxo import Utxo, UtxoView, utxo_element

Coin = tuple[Outpoint, Utxo]

_DATA = bytes((TAG_DATA,))


@dataclass(frozen=True, slots=True)
class UtxoDiff:
    """What leaves the set and what enters it, each sorted by outpoint.

    An output that is created and spent within one block appears in neither.
    """

    spent: tuple[Coin, ...]
    created: tuple[Coin, ...]

    def undo(self) -> UtxoDiff:
        """The diff that takes this one back."""
        return UtxoDiff(spent=self.created, created=self.spent)

    def apply_to(self, lthash: LtHash) -> LtHash:
        """The hash of the set after this diff, from ``lthash`` before it."""
        return lthash.add_many(utxo_element(*coin) for coin in self.created).subtract_many(
            utxo_element(*coin) for coin in self.spent
        )


def spent_outputs(
    transactions: Sequence[Transaction], view: UtxoView, height: int
) -> list[tuple[Utxo, ...]]:
    """The outputs that each transaction spends, from ``view`` or from within the block.

    ``RuleBroken`` when an output is missing or spent twice. What the block itself creates has
    ``height``; its reward is not among that, as nothing may spend it so young.
    """
    creators = {tx.txid: tx for tx in transactions}
    taken: set[Outpoint] = set()
    found = []
    for tx in transactions:
        coins = []
        for item in tx.inputs:
            point = item.outpoint
            creator = creators.get(item.prev_txid)
            utxo = view.utxo(point) if creator is None else _created_at(creator, item, height)
            if utxo is None or point in taken:
                raise RuleBroken("bad-txns-inputs-missingorspent", f"no output {point.hex()}")
            taken.add(point)
            coins.append(utxo)
        found.append(tuple(coins))
    return found


def utxo_diff(
    transactions: Sequence[Transaction],
    spent: Sequence[Sequence[Utxo]],
    reward: Transaction,
    height: int,
) -> UtxoDiff:
    """The change that a block makes; ``spent`` is what :func:`spent_outputs` found."""
    created = dict(_created(transactions, height, coinbase=False))
    created.update(_created((reward,), height, coinbase=True))
    removed: dict[Outpoint, Utxo] = {}
    for tx, coins in zip(transactions, spent, strict=True):
        for point, utxo in zip(tx.outpoints, coins, strict=True):
            if created.pop(point, None) is None:
                removed[point] = utxo
    return UtxoDiff(spent=tuple(sorted(removed.items())), created=tuple(sorted(created.items())))


def connect(
    transactions: Sequence[Transaction], reward: Transaction, view: UtxoView, height: int
) -> UtxoDiff:
    """The change that a block of ``transactions`` makes to ``view``.

    ``RuleBroken`` when an output is missing or spent twice.
    """
    return utxo_diff(transactions, spent_outputs(transactions, view, height), reward, height)


def _created_at(creator: Transaction, place: TxInput, height: int) -> Utxo | None:
    """The output of ``creator`` that ``place`` names, if there is one and it can be spent."""
    if place.prev_index >= len(creator.outputs):
        return None
    output = creator.outputs[place.prev_index]
    if output.lock_script.startswith(_DATA):
        return None
    return Utxo(output.value, output.lock_script, height, False)


def _created(transactions: Sequence[Transaction], height: int, coinbase: bool) -> list[Coin]:
    """All outputs of ``transactions`` but data, which can never be spent."""
    return [
        (outpoint(tx.txid, index), Utxo(output.value, output.lock_script, height, coinbase))
        for tx in transactions
        for index, output in enumerate(tx.outputs)
        if not output.lock_script.startswith(_DATA)
    ]
