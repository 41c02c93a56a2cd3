"""The active validator set (AVS): who counts, and with which weight (PROTOCOL 4).

Weights are read from a snapshot of this set and from nowhere else.
"""

from __future__ import annotations

import enum
import functools

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes20, Bytes32, Wire, encode
from timecoin.crypto.hashing import tagged
from timecoin.crypto.merkle import merkle_root
from timecoin.ledger.genesis import Genesis


class Tier(enum.IntEnum):
    """Collateral tiers; GENESIS members have their weight from the genesis file."""

    FREE = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3
    GENESIS = 4


class Member(Wire, frozen=True):
    """One member of a snapshot."""

    pubkey: Bytes32
    vrf_pubkey: Bytes32
    weight: U32
    tier: U8
    payout_hash: Bytes20
    joined_height: U64
    expiry_height: U64

    @property
    def staked(self) -> bool:
        """Whether the weight counts for quorums; Free members have none there."""
        return self.tier != Tier.FREE


class ActiveSet(Wire, frozen=True):
    """A snapshot: the members, sorted by pubkey."""

    members: tuple[Member, ...]

    @functools.cached_property
    def root(self) -> bytes:
        """``avs_root``: tagged hash of number (u32) and Merkle root of the members."""
        count = len(self.members).to_bytes(4, "little")
        root = merkle_root([encode(member) for member in self.members])
        return tagged(params.TAG_ACTIVE_SET, count, root)

    @functools.cached_property
    def staked(self) -> tuple[Member, ...]:
        """The members whose weight counts, sorted by pubkey."""
        return tuple(member for member in self.members if member.staked)

    @functools.cached_property
    def weights(self) -> dict[bytes, int]:
        """Staked weight by pubkey, in pubkey order."""
        return {member.pubkey: member.weight for member in self.staked}

    @functools.cached_property
    def total_weight(self) -> int:
        """W: the staked weight of the set."""
        return sum(self.weights.values())

    @functools.cached_property
    def by_pubkey(self) -> dict[bytes, Member]:
        """All members by voting key, in pubkey order."""
        return {member.pubkey: member for member in self.members}


def genesis_set(genesis: Genesis) -> ActiveSet:
    """avs(0): the genesis validators."""
    members = [
        Member(
            pubkey=validator.pubkey,
            vrf_pubkey=validator.vrf_pubkey,
            weight=validator.weight,
            tier=Tier.GENESIS,
            payout_hash=validator.payout_hash,
            joined_height=0,
            expiry_height=validator.expiry_height,
        )
        for validator in genesis.validators
    ]
    return ActiveSet(tuple(sorted(members, key=lambda member: member.pubkey)))
