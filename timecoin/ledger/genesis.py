"""The genesis file: what a network starts from (PROTOCOL 1, 4; LESSONS: one file with one hash)."""

from __future__ import annotations

import functools

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes20, Bytes32, Wire, encode
from timecoin.crypto.hashing import tagged


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
