"""Unsigned transactions from the inputs and outputs that ``createrawtransaction`` is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from timecoin import params
from timecoin.crypto.address import AddressError, decode_address
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import data, parse_script, pay_to_pubkey_hash
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.params import Network
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, RpcError
from timecoin.rpc.valuetypes import AmountOfTime, Hex, Integer

MAX_SCRIPT_BYTES = 1_000
SEQUENCE_LOCKED = params.SEQUENCE_FINAL - 1
"""The default of inputs under a lock time, which the highest sequence would disable."""

_TXID = Hex(32, 32, label="hash")
_INDEX = Integer(0, 2**32 - 1, label="index")
_SEQUENCE = Integer(0, params.SEQUENCE_FINAL, label="sequence")
_DATA = Hex(0, params.MAX_DATA_BYTES)
_AMOUNT = AmountOfTime()
_HEX_DIGITS = frozenset("0123456789abcdef")

Outputs = Mapping[str, object] | Sequence[Mapping[str, object]]


def unsigned_transaction(
    network: Network, inputs: Sequence[Mapping[str, object]], outputs: Outputs, lock_time: int
) -> Transaction:
    """A transaction without witnesses; RPC errors -3, -5 and -8 as the values deserve."""
    default = SEQUENCE_LOCKED if lock_time else params.SEQUENCE_FINAL
    tx = Transaction(
        version=params.TX_VERSION,
        inputs=tuple(
            _input(item, f"inputs[{number}]", default) for number, item in enumerate(inputs)
        ),
        outputs=tuple(_outputs(network, outputs)),
        lock_time=lock_time,
        witnesses=((),) * len(inputs),
    )
    if len(tx.encoded) > params.MAX_TX_BYTES:
        raise RpcError(INVALID_PARAMETER, f"transaction above {params.MAX_TX_BYTES} bytes")
    return tx


def lock_script(network: Network, text: str) -> bytes:
    """The script that ``text`` stands for: an address, or a lock script in hex.

    RPC error -5 when it is neither. An address is never hex: it begins with its network's name.
    """
    try:
        if text and len(text) <= 2 * MAX_SCRIPT_BYTES and _HEX_DIGITS.issuperset(text):
            script = bytes.fromhex(text)
            parse_script(script)
            return script
        return pay_to_pubkey_hash(decode_address(network, text))
    except (AddressError, RuleBroken, ValueError) as error:
        raise RpcError(NOT_FOUND, f"Invalid address: {error}") from error


def _input(item: Mapping[str, object], name: str, default_sequence: int) -> TxInput:
    for key in ("txid", "vout"):
        if key not in item:
            raise RpcError(INVALID_PARAMETER, f"{name}: missing {key} key")
    return TxInput(
        _TXID.read(item["txid"], f"{name}.txid"),
        _INDEX.read(item["vout"], f"{name}.vout"),
        _SEQUENCE.read(item.get("sequence", default_sequence), f"{name}.sequence"),
    )


def _outputs(network: Network, outputs: Outputs) -> Iterator[TxOutput]:
    seen: set[bytes] = set()
    for target, value in _pairs(outputs):
        if target == "data":
            yield TxOutput(0, data(_DATA.read(value, "outputs.data")))
            continue
        script = lock_script(network, target)
        if script in seen:
            raise RpcError(INVALID_PARAMETER, f"Invalid parameter, duplicated address: {target}")
        seen.add(script)
        yield TxOutput(_AMOUNT.read(value, f"outputs.{target}"), script)


def _pairs(outputs: Outputs) -> Iterator[tuple[str, object]]:
    if isinstance(outputs, Mapping):
        yield from outputs.items()
        return
    for item in outputs:
        if len(item) != 1:
            raise RpcError(INVALID_PARAMETER, "outputs: each object names exactly one output")
        yield from item.items()
