"""The active validator set (AVS): who counts, and with which weight (PROTOCOL 4).

Weights are read from a snapshot of this set and from nowhere else. A snapshot also remembers who
left it, as long as a rule can ask: so it says by itself what the next block may change.
"""

from __future__ import annotations

import enum
import functools

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes20, Bytes32, Wire, encode
from timecoin.crypto.hashing import tagged
from timecoin.crypto.merkle import hashed_root, leaf_hash
from timecoin.ledger.genesis import Genesis


class Tier(enum.IntEnum):
    """Collateral tiers; GENESIS members have their weight from the genesis file."""

    FREE = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3
    GENESIS = 4


COLLATERAL_UNITS = {
    Tier.GOLD: 100_000 * params.UNITS_PER_TIME,
    Tier.SILVER: 10_000 * params.UNITS_PER_TIME,
    Tier.BRONZE: 1_000 * params.UNITS_PER_TIME,
}
"""What a stake must hold at least for its tier, highest first."""

TIER_WEIGHT = {Tier.FREE: 1, Tier.BRONZE: 10, Tier.SILVER: 100, Tier.GOLD: 1_000}


def tier_of(units: int) -> Tier | None:
    """The tier of a stake of ``units``: the highest that it suffices for; None below Bronze."""
    return next((tier for tier, least in COLLATERAL_UNITS.items() if units >= least), None)


class Member(Wire, frozen=True):
    """One member of a snapshot.

    ``joined_height`` is 0 for who is there from the genesis on; ``expiry_height`` counts for
    genesis validators; ``stake`` is the outpoint of the collateral, empty without one. A Free
    member has no VRF key: 32 zero bytes.
    """

    pubkey: Bytes32
    vrf_pubkey: Bytes32
    weight: U32
    tier: U8
    payout_hash: Bytes20
    joined_height: U64
    expiry_height: U64
    stake: bytes = b""

    @functools.cached_property
    def leaf(self) -> bytes:
        """The Merkle leaf of the member below ``avs_root``."""
        return leaf_hash(encode(self))

    @property
    def staked(self) -> bool:
        """Whether the weight counts for quorums; Free members have none there."""
        return self.tier != Tier.FREE


class Departed(Wire, frozen=True):
    """A membership that ended in block ``left_height``; kept while its stake waits or it is jailed.

    ``jailed_height``: the last block that jailed the masternode, 0 for none; from block
    ``jailed_until`` on it is free again, and it may be a member.
    """

    pubkey: Bytes32
    stake: bytes
    left_height: U64
    jailed_height: U64
    jailed_until: U64

    @functools.cached_property
    def leaf(self) -> bytes:
        """The Merkle leaf of the row below ``avs_root``."""
        return leaf_hash(encode(self))


class ActiveSet(Wire, frozen=True):
    """A snapshot: members sorted by pubkey, departed ones by pubkey and stake."""

    members: tuple[Member, ...]
    departed: tuple[Departed, ...] = ()

    @functools.cached_property
    def root(self) -> bytes:
        """``avs_root``: tagged hash of the number (u32) and Merkle root of members and departed."""
        return tagged(
            params.TAG_ACTIVE_SET,
            len(self.members).to_bytes(4, "little"),
            hashed_root([member.leaf for member in self.members]),
            len(self.departed).to_bytes(4, "little"),
            hashed_root([row.leaf for row in self.departed]),
        )

    @functools.cached_property
    def staked(self) -> tuple[Member, ...]:
        """The members whose weight counts, sorted by pubkey."""
        return tuple(member for member in self.members if member.staked)

    @functools.cached_property
    def weights(self) -> dict[bytes, int]:
        """Staked weight by pubkey, in pubkey order."""
        return {member.pubkey: member.weight for member in self.staked}

    @functools.cached_property
    def places(self) -> dict[bytes, int]:
        """The staked members' places in pubkey order."""
        return {pubkey: place for place, pubkey in enumerate(self.weights)}

    @functools.cached_property
    def total_weight(self) -> int:
        """W: the staked weight of the set."""
        return sum(self.weights.values())

    @functools.cached_property
    def by_pubkey(self) -> dict[bytes, Member]:
        """All members by voting key, in pubkey order."""
        return {member.pubkey: member for member in self.members}

    @functools.cached_property
    def stakes(self) -> dict[bytes, Member]:
        """The members that a stake backs, by its outpoint."""
        return {member.stake: member for member in self.members if member.stake}

    def is_jailed(self, pubkey: bytes, height: int) -> bool:
        """Whether the masternode ``pubkey`` may not join in block ``height``, the next one."""
        return any(row.pubkey == pubkey and row.jailed_until > height for row in self.departed)

    def releases(self, stake: bytes, pubkey: bytes, height: int) -> bool:
        """Whether block ``height``, the next one, may spend ``stake``, which names ``pubkey``.

        The stake has backed no member in the last 8 snapshots, and its masternode is not jailed.
        """
        if stake in self.stakes or self.is_jailed(pubkey, height):
            return False
        return not any(
            row.stake == stake and row.left_height + params.STAKE_WAIT_BLOCKS > height
            for row in self.departed
        )


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
