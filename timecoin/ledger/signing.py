"""Making witnesses: what a wallet needs to spend its outputs (PROTOCOL 3)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from timecoin.crypto.keys import SigningKey
from timecoin.ledger.script import Multisig, parse_script
from timecoin.ledger.sighash import SIGHASH_ALL, sighash
from timecoin.ledger.transaction import Transaction
from timecoin.ledger.utxo import Utxo

Witness = tuple[bytes, ...]


def sign_input(
    tx: Transaction, index: int, utxo: Utxo, chain_id: bytes, key: SigningKey
) -> Witness:
    """The witness with which ``key`` spends ``utxo`` by input ``index`` of ``tx``.

    For outputs with one owner: pay-to-pubkey-hash and stake. Whether ``key`` is the owner's is
    for :func:`~timecoin.ledger.check.check_witness` to say.
    """
    return key.public, key.sign(_message(tx, index, utxo, chain_id))


def sign_multisig(
    tx: Transaction, index: int, utxo: Utxo, chain_id: bytes, keys: Sequence[SigningKey]
) -> Witness:
    """The witness with which ``keys``, in any order, spend the multisig output ``utxo``.

    ``ValueError`` when it is no multisig, or these are not exactly the required number of its
    distinct keys.
    """
    script = parse_script(utxo.script)
    if not isinstance(script, Multisig):
        raise ValueError("the output is no multisig")
    key_of = {key.public: key for key in keys}
    places = [place for place, pubkey in enumerate(script.pubkeys) if pubkey in key_of]
    if not len(places) == len(keys) == script.required:
        raise ValueError(f"{len(places)} keys of this multisig, {script.required} are required")
    message = _message(tx, index, utxo, chain_id)
    bitmap = sum(1 << place for place in places).to_bytes(2, "little")
    return bitmap, *(key_of[script.pubkeys[place]].sign(message) for place in places)


def sign_transaction(
    tx: Transaction, spent: Sequence[Utxo], chain_id: bytes, keys: Sequence[SigningKey]
) -> Transaction:
    """``tx`` with a witness for each input, made by the key of the same position."""
    return with_witnesses(
        tx,
        [
            sign_input(tx, index, utxo, chain_id, key)
            for index, (utxo, key) in enumerate(zip(spent, keys, strict=True))
        ],
    )


def with_witnesses(tx: Transaction, witnesses: Sequence[Witness]) -> Transaction:
    """A copy of ``tx`` with these ``witnesses``; ``ValueError`` unless there is one per input."""
    if len(witnesses) != len(tx.inputs):
        raise ValueError(f"{len(witnesses)} witnesses for {len(tx.inputs)} inputs")
    return msgspec.structs.replace(tx, witnesses=tuple(witnesses))


def _message(tx: Transaction, index: int, utxo: Utxo, chain_id: bytes) -> bytes:
    return sighash(chain_id, SIGHASH_ALL, tx.txid, index, utxo.value, utxo.script)
