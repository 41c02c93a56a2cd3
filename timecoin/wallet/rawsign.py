"""Signing transactions that others made, perhaps in several places and without a network.

Who signs needs the outputs that are spent, nothing else: the signature covers their value and
script, so that a lie about them makes it void and harms nobody (PROTOCOL 3).

A multisig output may collect its signatures one by one. Until it has all, its witness has the
final form with fewer signatures: a bitmap of who has signed, then their signatures in key order.
Multisig outputs have no address, only their script (:func:`timecoin.ledger.script.multisig`):
they are paid by it, in hex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey, Verify
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import Data, Multisig, Stake, parse_script
from timecoin.ledger.sighash import SIGHASH_ALL, sighash
from timecoin.ledger.signing import Witness, with_witnesses
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput

Prevouts = Mapping[Outpoint, TxOutput]
"""The outputs that a transaction spends."""
KeyOf = Callable[[bytes], SigningKey | None]
"""The key whose public key has this hash, if it is at hand."""

_BITMAP_BYTES = 2


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An input whose witness is not complete."""

    index: int
    point: Outpoint
    reason: str


@dataclass(frozen=True, slots=True)
class RawSigned:
    """A transaction with all signatures that could be had."""

    tx: Transaction
    unsigned: tuple[Unsigned, ...]

    @property
    def complete(self) -> bool:
        """Whether every input has a witness that spends its output."""
        return not self.unsigned


def key_finder(keys: Iterable[SigningKey]) -> KeyOf:
    """Finds one of ``keys`` by its hash."""
    return {hash160(key.public): key for key in keys}.get


def sign_raw(
    tx: Transaction, prevouts: Prevouts, key_of: KeyOf, chain_id: bytes, verify: Verify
) -> RawSigned:
    """``tx`` signed with all keys at hand; signatures that it has and that are right are kept.

    ``ValueError`` unless it has a witness, perhaps an empty one, for each input.
    """
    return _complete([tx], prevouts, key_of, chain_id, verify)


def combine(
    txs: Sequence[Transaction], prevouts: Prevouts, chain_id: bytes, verify: Verify
) -> RawSigned:
    """One transaction with the signatures of all ``txs``; wrong ones are left out.

    ``ValueError`` when they are not all the same but for their witnesses, or there is none.
    """
    if not txs or any(tx.txid != txs[0].txid for tx in txs):
        raise ValueError("transactions to be combined differ in nothing but their witnesses")
    return _complete(txs, prevouts, lambda pubkey_hash: None, chain_id, verify)


def _complete(
    txs: Sequence[Transaction], prevouts: Prevouts, key_of: KeyOf, chain_id: bytes, verify: Verify
) -> RawSigned:
    tx = txs[0]
    for each in txs:
        if len(each.witnesses) != len(each.inputs):
            raise ValueError(f"{len(each.witnesses)} witnesses for {len(each.inputs)} inputs")
    witnesses: list[Witness] = []
    unsigned = []
    for index, point in enumerate(tx.outpoints):
        offered = [each.witnesses[index] for each in txs if each.witnesses[index]]
        output = prevouts.get(point)
        if output is None:
            witness, missing = (offered[0] if offered else ()), "the spent output is not known"
        else:
            message = sighash(
                chain_id, SIGHASH_ALL, tx.txid, index, output.value, output.lock_script
            )
            spend = _Spend(message, offered, key_of, verify)
            witness, missing = spend.witness(output.lock_script)
        witnesses.append(witness)
        if missing:
            unsigned.append(Unsigned(index, point, missing))
    return RawSigned(with_witnesses(tx, witnesses), tuple(unsigned))


@dataclass(frozen=True, slots=True)
class _Spend:
    """The spending of one output: what is to be signed, and who may have done so."""

    message: bytes
    offered: Sequence[Witness]
    key_of: KeyOf
    verify: Verify

    def witness(self, lock_script: bytes) -> tuple[Witness, str]:
        """The witness as far as it can be made, and what it lacks."""
        try:
            script = parse_script(lock_script)
        except RuleBroken as broken:
            return (), str(broken)
        if isinstance(script, Data):
            return (), "data cannot be spent"
        if isinstance(script, Multisig):
            return self._multisig(script)
        return self._single(script.owner_hash if isinstance(script, Stake) else script.pubkey_hash)

    def _single(self, owner_hash: bytes) -> tuple[Witness, str]:
        for witness in self.offered:
            if len(witness) == 2 and hash160(witness[0]) == owner_hash:
                if self.verify(witness[0], self.message, witness[1]):
                    return witness, ""
        key = self.key_of(owner_hash)
        if key is None:
            return (), "its key is not at hand"
        return (key.public, key.sign(self.message)), ""

    def _multisig(self, script: Multisig) -> tuple[Witness, str]:
        signatures: dict[int, bytes] = {}
        for witness in self.offered:
            for place, signature in _signatures(witness, len(script.pubkeys)).items():
                if self.verify(script.pubkeys[place], self.message, signature):
                    signatures[place] = signature
        for place, pubkey in enumerate(script.pubkeys):
            key = self.key_of(hash160(pubkey))
            if key is not None and len(signatures) < script.required:
                signatures.setdefault(place, key.sign(self.message))
        places = sorted(signatures)[: script.required]
        if not places:
            return (), f"{script.required} signatures are missing"
        bitmap = sum(1 << place for place in places).to_bytes(_BITMAP_BYTES, "little")
        missing = script.required - len(places)
        reason = f"{missing} of {script.required} signatures are missing" if missing else ""
        return (bitmap, *(signatures[place] for place in places)), reason


def _signatures(witness: Witness, key_count: int) -> dict[int, bytes]:
    """Place -> signature of a multisig witness, complete or not; none if it is malformed."""
    if len(witness[0]) != _BITMAP_BYTES:
        return {}
    bitmap = int.from_bytes(witness[0], "little")
    places = [place for place in range(key_count) if bitmap >> place & 1]
    if bitmap >> key_count or len(places) != len(witness) - 1:
        return {}
    return dict(zip(places, witness[1:], strict=True))
