"""How transactions, scripts and outputs look as JSON; Bitcoin Core's names where it has them."""

from __future__ import annotations

from collections.abc import Callable

from timecoin.crypto.address import encode_address
from timecoin.ledger.check import NULL_TXID
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import (
    PAY_TO_PUBKEY_HASH_BYTES,
    TAG_PAY_TO_PUBKEY_HASH,
    Data,
    Multisig,
    PayToPubkeyHash,
    Stake,
    parse_script,
)
from timecoin.ledger.transaction import Outpoint, Transaction, TxInput, TxOutput
from timecoin.params import Network
from timecoin.rpc.jsonvalues import amount_json

_PAY_TO_PUBKEY_HASH = bytes((TAG_PAY_TO_PUBKEY_HASH,))

Json = dict[str, object]
FindOutput = Callable[[Outpoint], TxOutput | None]
"""The output that an outpoint names, spent or not."""


def is_reward(tx: Transaction) -> bool:
    """Whether ``tx`` is a block's reward: its one input names no transaction."""
    return bool(tx.inputs) and tx.inputs[0].prev_txid == NULL_TXID


def script_address(network: Network, script: bytes) -> str | None:
    """The address that ``script`` pays to; None for scripts that no address stands for."""
    if script[:1] == _PAY_TO_PUBKEY_HASH and len(script) == PAY_TO_PUBKEY_HASH_BYTES:
        return encode_address(network, script[1:])
    return None


def script_json(network: Network, script: bytes) -> Json:
    """A lock script with its parts; the type of one that no rule allows is nonstandard."""
    shown: Json = {"hex": script.hex()}
    try:
        parsed = parse_script(script)
    except RuleBroken:
        return shown | {"type": "nonstandard"}
    match parsed:
        case PayToPubkeyHash(pubkey_hash):
            shown |= {"type": "pubkeyhash", "address": encode_address(network, pubkey_hash)}
        case Multisig(required, pubkeys):
            keys = [pubkey.hex() for pubkey in pubkeys]
            shown |= {"type": "multisig", "required": required, "pubkeys": keys}
        case Data(payload):
            shown |= {"type": "nulldata", "data": payload.hex()}
        case Stake() as stake:
            shown |= {
                "type": "stake",
                "pubkey": stake.pubkey.hex(),
                "vrf_pubkey": stake.vrf_pubkey.hex(),
                "owner_address": encode_address(network, stake.owner_hash),
                "payout_address": encode_address(network, stake.payout_hash),
                "unlock_height": stake.unlock_height,
            }
    return shown


def output_json(network: Network, output: TxOutput, index: int) -> Json:
    """Output ``index`` of a transaction."""
    return {
        "value": amount_json(output.value),
        "n": index,
        "scriptPubKey": script_json(network, output.lock_script),
    }


def transaction_json(tx: Transaction, network: Network, find_output: FindOutput) -> Json:
    """``tx`` itself, valid or not: nothing about its place in chain or pool.

    ``fee`` if all inputs are known.
    """
    missing = len(tx.inputs) - len(tx.witnesses)
    shown: Json = {
        "txid": tx.txid.hex(),
        "hash": tx.wtxid.hex(),
        "version": tx.version,
        "size": len(tx.encoded),
        "locktime": tx.lock_time,
        "vin": [
            _input_json(item, witness, network, find_output)
            for item, witness in zip(tx.inputs, tx.witnesses + ((),) * missing, strict=False)
        ],
        "vout": [output_json(network, output, n) for n, output in enumerate(tx.outputs)],
        "hex": tx.encoded.hex(),
    }
    fee_units = fee_of(tx, find_output)
    if fee_units is not None:
        shown["fee"] = amount_json(fee_units)
    return shown


def fee_of(tx: Transaction, find_output: FindOutput) -> int | None:
    """What ``tx`` pays, in units; None for a reward and where an input is not known here.

    None as well for one that pays out more than it spends.
    """
    if is_reward(tx):
        return None
    available = 0
    for point in tx.outpoints:
        spent = find_output(point)
        if spent is None:
            return None
        available += spent.value
    fee_units = available - sum(output.value for output in tx.outputs)
    return fee_units if fee_units >= 0 else None


def _input_json(
    item: TxInput, witness: tuple[bytes, ...], network: Network, find_output: FindOutput
) -> Json:
    if item.prev_txid == NULL_TXID:
        return {"coinbase": "", "height": item.prev_index, "sequence": item.sequence}
    shown: Json = {
        "txid": item.prev_txid.hex(),
        "vout": item.prev_index,
        "txinwitness": [part.hex() for part in witness],
        "sequence": item.sequence,
    }
    spent = find_output(item.outpoint)
    if spent is not None:
        script = script_json(network, spent.lock_script)
        shown["prevout"] = {"value": amount_json(spent.value), "scriptPubKey": script}
        address = script_address(network, spent.lock_script)
        if address is not None:
            shown["address"] = address
    return shown
