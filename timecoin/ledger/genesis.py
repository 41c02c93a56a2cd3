"""The genesis file: what a network starts from, under one hash (PROTOCOL 1, 4).

On disk it is JSON, with addresses and amounts as people write them. The hash covers the values,
not the text: spaces and the order of keys do not matter, the order of lists does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import msgspec

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes20, Bytes32, Wire, encode
from timecoin.crypto.address import decode_address, encode_address
from timecoin.crypto.hashing import tagged
from timecoin.ledger.amount import format_time, parse_time
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Outpoint, outpoint
from timecoin.ledger.utxo import Utxo

GENESIS_VERSION = 1
MAX_GENESIS_CHARS = 16_000_000

_MAX_NUMBER = 2**63 - 1


class GenesisError(ValueError):
    """A genesis file that no network can start from; the text says where and why."""


class GenesisValidator(Wire, frozen=True):
    """A founding member of the active set."""

    pubkey: Bytes32
    vrf_pubkey: Bytes32
    weight: U32
    payout_hash: Bytes20
    expiry_height: U64


class Allocation(Wire, frozen=True):
    """Coins that exist from the start, spendable at once by a key's hash."""

    pubkey_hash: Bytes20
    value: U64


class Genesis(Wire, frozen=True):
    """Everything that two nodes must agree on before the first block."""

    version: U8
    network: U32
    time_ms: U64
    slot_ms: U64
    base_reward: U64
    validators: tuple[GenesisValidator, ...]
    allocations: tuple[Allocation, ...]

    @functools.cached_property
    def hash(self) -> bytes:
        """The genesis hash: block hash at height 0 and seed_0."""
        return tagged(params.TAG_GENESIS, encode(self))

    @functools.cached_property
    def chain_id(self) -> bytes:
        """12 bytes in every signed object: network number, first 8 bytes of the genesis hash."""
        return self.network.to_bytes(4, "little") + self.hash[:8]

    def slot_at(self, time_ms: int) -> int:
        """The slot that ``time_ms`` (Unix) lies in."""
        return time_ms // self.slot_ms


def genesis_utxos(genesis: Genesis) -> tuple[tuple[Outpoint, Utxo], ...]:
    """The unspent outputs of block 0: allocation i is output i of the genesis hash."""
    return tuple(
        (
            outpoint(genesis.hash, index),
            Utxo(item.value, pay_to_pubkey_hash(item.pubkey_hash), height=0, coinbase=False),
        )
        for index, item in enumerate(genesis.allocations)
    )


def check_genesis(genesis: Genesis) -> None:
    """Raise :class:`GenesisError` unless a network can start from ``genesis``."""
    if genesis.version != GENESIS_VERSION:
        raise GenesisError(f"version {genesis.version}: this node knows {GENESIS_VERSION}")
    if genesis.network not in list(params.Network):
        raise GenesisError(f"unknown network number {genesis.network}")
    if genesis.slot_ms < 1:
        raise GenesisError("slot_ms must be positive")
    if genesis.base_reward < 1:
        raise GenesisError("base_reward must be positive")
    if not genesis.validators:
        raise GenesisError("at least one validator is needed")
    if not all(1 <= validator.weight < 2**32 for validator in genesis.validators):
        raise GenesisError("a validator's weight must be positive and below 2^32")
    heights = [validator.expiry_height for validator in genesis.validators]
    if max(genesis.time_ms, genesis.slot_ms, *heights) > _MAX_NUMBER:
        raise GenesisError(f"a number is above {_MAX_NUMBER}")
    _check_distinct("pubkey", [validator.pubkey for validator in genesis.validators])
    _check_distinct("vrf_pubkey", [validator.vrf_pubkey for validator in genesis.validators])
    if any(item.value < 1 for item in genesis.allocations):
        raise GenesisError("an allocation's amount must be positive")
    if sum(item.value for item in genesis.allocations) > params.MAX_AMOUNT_UNITS:
        raise GenesisError("the allocations' sum is out of range")


def genesis_to_json(genesis: Genesis) -> str:
    """The genesis file of ``genesis``; :class:`GenesisError` when it would not be read back."""
    check_genesis(genesis)
    network = params.Network(genesis.network)
    document = _GenesisFile(
        version=genesis.version,
        network=network.label,
        time_ms=genesis.time_ms,
        slot_ms=genesis.slot_ms,
        base_reward=format_time(genesis.base_reward),
        validators=[
            _ValidatorEntry(
                pubkey=validator.pubkey.hex(),
                vrf_pubkey=validator.vrf_pubkey.hex(),
                weight=validator.weight,
                payout_address=encode_address(network, validator.payout_hash),
                expiry_height=validator.expiry_height,
            )
            for validator in genesis.validators
        ],
        allocations=[
            _AllocationEntry(
                address=encode_address(network, item.pubkey_hash), amount=format_time(item.value)
            )
            for item in genesis.allocations
        ],
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def genesis_from_json(text: str) -> Genesis:
    """The genesis that the file ``text`` describes, checked; :class:`GenesisError` otherwise."""
    if len(text) > MAX_GENESIS_CHARS:
        raise GenesisError(f"{len(text)} characters, at most {MAX_GENESIS_CHARS}")
    try:
        document = msgspec.json.decode(text, type=_GenesisFile)
        network = params.network_of(document.network)
        genesis = Genesis(
            version=document.version,
            network=network,
            time_ms=document.time_ms,
            slot_ms=document.slot_ms,
            base_reward=parse_time(document.base_reward),
            validators=tuple(
                GenesisValidator(
                    pubkey=_key("pubkey", item.pubkey),
                    vrf_pubkey=_key("vrf_pubkey", item.vrf_pubkey),
                    weight=item.weight,
                    payout_hash=decode_address(network, item.payout_address),
                    expiry_height=item.expiry_height,
                )
                for item in document.validators
            ),
            allocations=tuple(
                Allocation(decode_address(network, item.address), parse_time(item.amount))
                for item in document.allocations
            ),
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise GenesisError(f"not a genesis file: {error}") from error
    check_genesis(genesis)
    return genesis


class _ValidatorEntry(msgspec.Struct, forbid_unknown_fields=True):
    pubkey: str
    vrf_pubkey: str
    weight: U32
    payout_address: str
    expiry_height: U64


class _AllocationEntry(msgspec.Struct, forbid_unknown_fields=True):
    address: str
    amount: str


class _GenesisFile(msgspec.Struct, forbid_unknown_fields=True):
    version: U8
    network: str
    time_ms: U64
    slot_ms: U64
    base_reward: str
    validators: list[_ValidatorEntry]
    allocations: list[_AllocationEntry]


def _key(name: str, text: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"{name} must be 64 lower-case hex digits, got {text[:80]!r}")
    return bytes.fromhex(text)


def _check_distinct(name: str, keys: Sequence[bytes]) -> None:
    if len(set(keys)) != len(keys):
        raise GenesisError(f"two validators have the same {name}")
