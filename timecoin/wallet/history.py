"""What one transaction means for us, as Bitcoin Core's ``gettransaction`` tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from timecoin.ledger.check import NULL_TXID
from timecoin.ledger.script import TAG_STAKE
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput
from timecoin.wallet.derive import Branch, KeyPath

FindOutput = Callable[[Outpoint], TxOutput | None]
"""An output, spent or not, wherever the node knows its transaction from."""
_STAKE = bytes((TAG_STAKE,))
Owner = Callable[[bytes], KeyPath | None]


@dataclass(frozen=True, slots=True)
class Detail:
    """One output that was received by us, staked by us, or sent by us to others."""

    category: str
    """``receive``, ``send``, ``generate`` for a reward, ``stake`` for a collateral of ours,
    ``unstake`` for one that has come back."""
    index: int
    lock_script: bytes
    units: int


@dataclass(frozen=True, slots=True)
class Effect:
    """The sums of one transaction over own keys, in units."""

    received_units: int
    """In outputs of ours, change included."""
    spent_units: int
    """By inputs of ours."""
    fee_units: int | None
    """None unless every input is ours."""
    details: tuple[Detail, ...]

    @property
    def net_units(self) -> int:
        """What we have gained (or lost, negative), our fee left aside."""
        return self.received_units - self.spent_units + (self.fee_units or 0)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One output of the history, as ``listtransactions`` shows it."""

    txid: bytes
    category: str
    """``send``, ``receive``, ``generate``, ``immature`` (a reward that rests), ``stake`` or
    ``unstake``."""
    index: int
    """Which output of the transaction."""
    lock_script: bytes
    units: int
    """Negative for ``send``."""
    fee_units: int | None
    """Of the whole transaction: for ``send``, when every input was ours."""
    height: int | None
    """None while it waits to be archived."""
    position: int | None
    """Index in the block."""
    time_ms: int | None
    """slot_time of the block; None while it waits."""
    confirmations: int
    final: bool
    """Final or archived."""
    label: str | None
    """What the user calls the address."""


def effect_of(tx: Transaction, find_output: FindOutput, owner: Owner) -> Effect:
    """What ``tx`` means to whom ``owner`` knows.

    An input whose output ``find_output`` does not know counts as foreign.
    """
    inputs = [find_output(point) for point in tx.outpoints]
    own = [found for found in inputs if found is not None and owner(found.lock_script)]
    own_inputs = [found.value for found in own]
    unstaked = any(found.lock_script.startswith(_STAKE) for found in own)
    paths = [owner(output.lock_script) for output in tx.outputs]
    received = sum(o.value for o, path in zip(tx.outputs, paths, strict=True) if path is not None)
    all_own = len(own_inputs) == len(tx.inputs)
    fee = sum(own_inputs) - sum(output.value for output in tx.outputs) if all_own else None
    gained = "generate" if tx.inputs[0].prev_txid == NULL_TXID else "receive"
    details = []
    for index, (output, path) in enumerate(zip(tx.outputs, paths, strict=True)):
        if path is not None and output.lock_script.startswith(_STAKE):
            details.append(Detail("stake", index, output.lock_script, output.value))
            continue
        if unstaked and path is not None:
            details.append(Detail("unstake", index, output.lock_script, output.value))
            continue
        returned = bool(own_inputs) and path is not None and path.branch is Branch.CHANGE
        if own_inputs and not returned:
            details.append(Detail("send", index, output.lock_script, output.value))
        if path is not None and not returned:
            details.append(Detail(gained, index, output.lock_script, output.value))
    return Effect(received, sum(own_inputs), fee, tuple(details))
