"""The rules of one transaction (PROTOCOL 3): its structure, and its spends against known outputs.

Cheap checks come before signatures, of which a block brings thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from timecoin import params
from timecoin.crypto.hashing import HASH_BYTES, hash160
from timecoin.crypto.keys import Verify
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import TAG_STAKE, Data, Multisig, Stake, parse_script
from timecoin.ledger.sighash import SIGHASH_ALL, sighash
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput
from timecoin.ledger.utxo import Utxo

NULL_TXID = bytes(HASH_BYTES)
"""What the input of a reward transaction names; no other transaction may."""

StakeFree = Callable[[bytes, Outpoint, Stake], bool]
"""(txid, outpoint, stake) -> whether the masternode lets ``txid`` spend its stake (PROTOCOL 4)."""


def stake_kept(txid: bytes, point: Outpoint, stake: Stake) -> bool:
    """The :data:`StakeFree` of who knows no active set: no stake can be spent."""
    return False


_STAKE = bytes((TAG_STAKE,))

_Claim = tuple[bytes, bytes, bytes]
"""(pubkey, message, signature), to be verified."""


def stake_released(txid: bytes, point: Outpoint, stake: Stake) -> bool:
    """The :data:`StakeFree` of a certified spend: a quorum has found its stake free."""
    return True


def check_structure(tx: Transaction) -> None:
    """Raise ``RuleBroken`` unless ``tx`` may be valid somewhere; needs no chain."""
    if tx.version != params.TX_VERSION:
        raise RuleBroken("bad-txns-version", f"version {tx.version}")
    if not tx.inputs:
        raise RuleBroken("bad-txns-vin-empty", "no input")
    if not tx.outputs:
        raise RuleBroken("bad-txns-vout-empty", "no output")
    if len(tx.witnesses) != len(tx.inputs):
        raise RuleBroken(
            "bad-witness", f"{len(tx.witnesses)} witnesses for {len(tx.inputs)} inputs"
        )
    if len(tx.encoded) > params.MAX_TX_BYTES:
        raise RuleBroken("bad-txns-oversize", f"{len(tx.encoded)} bytes")
    if len(set(tx.outpoints)) != len(tx.inputs):
        raise RuleBroken("bad-txns-inputs-duplicate", "an output is spent twice")
    if any(item.prev_txid == NULL_TXID for item in tx.inputs):
        raise RuleBroken("bad-txns-prevout-null", "only a reward has a null input")
    for index, output in enumerate(tx.outputs):
        _check_output(index, output)
    if sum(output.value for output in tx.outputs) > params.MAX_AMOUNT_UNITS:
        raise RuleBroken("bad-txns-txouttotal-toolarge", "the outputs' sum is out of range")


def is_dust(output: TxOutput) -> bool:
    """Whether ``output`` is too small to be worth relaying: a policy, no rule of validity."""
    return output.value < params.DUST_UNITS and not isinstance(
        parse_script(output.lock_script), Data
    )


def check_spend(
    tx: Transaction,
    spent: Sequence[Utxo],
    chain_id: bytes,
    height: int,
    parent_time_ms: int,
    verify: Verify,
    stake_free: StakeFree = stake_kept,
    memo: SpendMemo | None = None,
) -> int:
    """The fee in units of ``tx``, which must have passed :func:`check_structure`.

    ``spent`` are the outputs that it spends, in input order; ``height`` is that of the block that
    would archive it and ``parent_time_ms`` the slot_time of the block before. ``RuleBroken`` when
    a rule is broken. What ``memo`` knows of witnesses and fee is not checked again.
    """
    if not is_final(tx, height, parent_time_ms):
        raise RuleBroken("non-final", f"lock time {tx.lock_time} is not reached")
    for utxo in spent:
        if utxo.coinbase and height - utxo.height < params.COINBASE_MATURITY_BLOCKS:
            raise RuleBroken(
                "bad-txns-premature-spend-of-coinbase",
                f"a reward of height {utxo.height} spent at {height}",
            )
    for point, stake in spent_stakes(tx, spent):
        if stake.unlock_height >= height:
            raise RuleBroken("stake-frozen", f"unlocked above height {stake.unlock_height}")
        if not stake_free(tx.txid, point, stake):
            raise RuleBroken("stake-frozen", "its masternode still needs it, or is jailed")
    known = None if memo is None else memo.fee_units(tx.wtxid)
    if known is not None:
        return known
    fee_units = _fee(tx, spent)
    claims = [
        claim for index, utxo in enumerate(spent) for claim in _claims(tx, index, utxo, chain_id)
    ]
    _check_claims(claims, verify)
    if memo is not None:
        memo.add(tx.wtxid, fee_units)
    return fee_units


def spent_stakes(tx: Transaction, spent: Sequence[Utxo]) -> tuple[tuple[Outpoint, Stake], ...]:
    """The stakes among ``spent``, the outputs that ``tx`` spends in input order."""
    found = []
    for item, utxo in zip(tx.inputs, spent, strict=True):
        if utxo.script.startswith(_STAKE):
            script = parse_script(utxo.script)
            assert isinstance(script, Stake)
            found.append((item.outpoint, script))
    return tuple(found)


def check_witness(tx: Transaction, index: int, utxo: Utxo, chain_id: bytes, verify: Verify) -> None:
    """Raise ``RuleBroken`` ("bad-witness") unless input ``index`` may spend ``utxo``.

    This alone proves that the owner meant to spend it (the loser of a resolution, PROTOCOL 5).
    """
    _check_claims(_claims(tx, index, utxo, chain_id), verify)


def is_final(tx: Transaction, height: int, parent_time_ms: int) -> bool:
    """Whether the lock time of ``tx`` is reached for a block at ``height``, as in Bitcoin.

    A time is compared with the parent's slot_time, which nobody can choose at will (BIP 113).
    """
    if tx.lock_time < params.LOCK_TIME_THRESHOLD:
        reached = tx.lock_time < height
    else:
        reached = tx.lock_time * 1000 < parent_time_ms
    return reached or all(item.sequence == params.SEQUENCE_FINAL for item in tx.inputs)


def min_fee_units(size: int) -> int:
    """The least fee of a transaction of ``size`` bytes."""
    return max(params.MIN_FEE_UNITS, params.MIN_FEE_RATE_UNITS_PER_BYTE * size)


def _check_output(index: int, output: TxOutput) -> None:
    script = parse_script(output.lock_script)
    if isinstance(script, Data):
        if output.value:
            raise RuleBroken("bad-txns-data-value", f"output {index} burns {output.value} units")
    elif not output.value:
        raise RuleBroken("bad-txns-vout-zero", f"output {index} has no value")


def _fee(tx: Transaction, spent: Sequence[Utxo]) -> int:
    available = sum(utxo.value for utxo in spent)
    if available > params.MAX_AMOUNT_UNITS:
        raise RuleBroken("bad-txns-inputvalues-outofrange", "the inputs' sum is out of range")
    paid = sum(output.value for output in tx.outputs)
    if paid > available:
        raise RuleBroken("bad-txns-in-belowout", f"{paid} units out of {available}")
    fee_units = available - paid
    if fee_units < min_fee_units(len(tx.encoded)):
        raise RuleBroken(
            "min-fee-not-met", f"a fee of {fee_units} units for {len(tx.encoded)} bytes"
        )
    return fee_units


def _claims(tx: Transaction, index: int, utxo: Utxo, chain_id: bytes) -> list[_Claim]:
    """The signatures that input ``index`` brings, once all else about its witness is right."""
    witness = tx.witnesses[index]
    script = parse_script(utxo.script)
    if isinstance(script, Data):
        raise _bad_witness(index, "data cannot be spent")
    if isinstance(script, Multisig):
        signers = _signers(index, script, witness)
    else:
        owner = script.owner_hash if isinstance(script, Stake) else script.pubkey_hash
        if len(witness) != 2 or hash160(witness[0]) != owner:
            raise _bad_witness(index, "the key is not the owner's")
        signers = [(witness[0], witness[1])]
    message = sighash(chain_id, SIGHASH_ALL, tx.txid, index, utxo.value, utxo.script)
    return [(pubkey, message, signature) for pubkey, signature in signers]


def _signers(index: int, script: Multisig, witness: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    """Keys and signatures of a multisig witness: u16 bitmap of the signers, then signatures."""
    if len(witness) != 1 + script.required or len(witness[0]) != 2:
        raise _bad_witness(index, f"not a bitmap and {script.required} signatures")
    bitmap = int.from_bytes(witness[0], "little")
    if bitmap >> len(script.pubkeys) or bitmap.bit_count() != script.required:
        raise _bad_witness(index, f"the bitmap does not name {script.required} keys")
    signing = [pubkey for bit, pubkey in enumerate(script.pubkeys) if bitmap >> bit & 1]
    return list(zip(signing, witness[1:], strict=True))


def _check_claims(claims: Sequence[_Claim], verify: Verify) -> None:
    for pubkey, message, signature in claims:
        if not verify(pubkey, message, signature):
            raise RuleBroken("bad-witness", f"a signature of {pubkey.hex()} is wrong")


def _bad_witness(index: int, detail: str) -> RuleBroken:
    return RuleBroken("bad-witness", f"input {index}: {detail}")
