"""Checkpoint blocks: header, body and identity (PROTOCOL 6).

A block carries its transactions by identity; their bodies travel and rest beside it. What the
ledger does not judge (certificates, changes of the active set, evidence) it carries as the
canonical bytes of structures that belong to higher rows; `body_root` covers them all.
"""

from __future__ import annotations

import functools

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes12, Bytes32, Bytes80, Wire, encode
from timecoin.crypto.hashing import tagged
from timecoin.crypto.merkle import merkle_root
from timecoin.ledger.transaction import Transaction


class Entry(Wire, frozen=True):
    """One archived transaction: its identity without and with witnesses."""

    txid: Bytes32
    wtxid: Bytes32


class Resolution(Wire, frozen=True):
    """Archives ``winner`` (an entry) without certificate against a proved conflicting spend.

    ``loser`` spends ``outpoint`` too and its witness for that input verifies (PROTOCOL 5).
    """

    winner: Bytes32
    outpoint: bytes
    loser: Transaction


class Header(Wire, frozen=True):
    """What block votes sign, by hash."""

    version: U8
    chain_id: Bytes12
    height: U64
    slot: U64
    slot_time: U64
    prev_hash: Bytes32
    producer: Bytes32
    round: U32
    vrf_proof: Bytes80
    seed: Bytes32
    timestamp_ms: U64
    entries_root: Bytes32
    avs_root: Bytes32
    utxo_root: Bytes32
    body_root: Bytes32

    @functools.cached_property
    def hash(self) -> bytes:
        """The block hash: tagged hash of the header."""
        return tagged(params.TAG_BLOCK, encode(self))


class Body(Wire, frozen=True):
    """What the header commits to by `body_root`."""

    reward: Transaction
    entries: tuple[Entry, ...]
    certificates: tuple[bytes, ...]
    resolutions: tuple[Resolution, ...]
    avs_changes: tuple[bytes, ...]
    evidence: tuple[bytes, ...]

    @functools.cached_property
    def root(self) -> bytes:
        """Tagged hash of the whole body."""
        return tagged(params.TAG_BODY, encode(self))

    @functools.cached_property
    def entries_root(self) -> bytes:
        """Tagged hash of number (u32) and Merkle root of the entries, for entry proofs."""
        count = len(self.entries).to_bytes(4, "little")
        root = merkle_root([encode(entry) for entry in self.entries])
        return tagged(params.TAG_ENTRIES, count, root)


class Block(Wire, frozen=True):
    """Header and body; transaction bodies are found by the entries' wtxid."""

    header: Header
    body: Body

    @property
    def hash(self) -> bytes:
        """The header's hash."""
        return self.header.hash

    @property
    def height(self) -> int:
        """Number of blocks before this one; genesis is 0."""
        return self.header.height
