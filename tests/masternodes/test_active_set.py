"""Snapshots of the active set: weights, order, commitment."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import genesis, key, validator
from timecoin import params
from timecoin.codec import CodecError, decode, encode
from timecoin.crypto.hashing import hash160, tagged
from timecoin.crypto.merkle import merkle_path, merkle_root, verify_path
from timecoin.masternodes.active_set import (
    TIER_WEIGHT,
    ActiveSet,
    Departed,
    Member,
    Tier,
    genesis_set,
    tier_of,
)

replace = msgspec.structs.replace


def member(number: int, weight: int, tier: Tier = Tier.BRONZE) -> Member:
    return Member(key(number).public, bytes(32), weight, tier, bytes(20), 5, 1_000)


def set_of(*members: Member) -> ActiveSet:
    return ActiveSet(tuple(sorted(members, key=lambda found: found.pubkey)))


class WeightTests(SynchronousTestCase):
    mixed = set_of(
        member(1, 10), member(2, 100, Tier.SILVER), member(3, 1, Tier.FREE), member(4, 1, Tier.FREE)
    )

    def test_free_members_have_no_weight(self) -> None:
        self.assertEqual(self.mixed.total_weight, 110)
        self.assertEqual(self.mixed.weights, {key(1).public: 10, key(2).public: 100})
        self.assertEqual(len(self.mixed.staked), 2)

    def test_all_members_are_found_by_key(self) -> None:
        self.assertEqual(list(self.mixed.by_pubkey), [m.pubkey for m in self.mixed.members])
        self.assertEqual(self.mixed.by_pubkey[key(3).public].tier, Tier.FREE)

    def test_every_tier_but_free_is_staked(self) -> None:
        for tier in Tier:
            self.assertEqual(member(1, 5, tier).staked, tier is not Tier.FREE)

    def test_empty(self) -> None:
        self.assertEqual(ActiveSet(()).total_weight, 0)
        self.assertEqual(
            ActiveSet(()).root, tagged(params.TAG_ACTIVE_SET, *(bytes(4), bytes(32)) * 2)
        )


class RootTests(SynchronousTestCase):
    def test_commits_to_every_field_of_every_member(self) -> None:
        base = set_of(member(1, 10), member(2, 10))
        changes: tuple[dict[str, object], ...] = (
            {"pubkey": b"\x00" * 32},
            {"vrf_pubkey": b"v" * 32},
            {"weight": 11},
            {"tier": Tier.GOLD},
            {"payout_hash": b"p" * 20},
            {"joined_height": 6},
            {"expiry_height": 1_001},
            {"stake": b"s" * 36},
        )
        self.assertEqual(
            {name for change in changes for name in change}, set(Member.__struct_fields__)
        )
        roots = {base.root, ActiveSet(base.members[:1]).root}
        for change in changes:
            roots.add(ActiveSet((replace(base.members[0], **change), base.members[1])).root)
        self.assertEqual(len(roots), 2 + len(changes))

    def test_commits_to_every_field_of_who_departed(self) -> None:
        row = Departed(key(9).public, b"s" * 36, 7, 0, 0)
        changes: tuple[dict[str, object], ...] = (
            {"pubkey": b"\x00" * 32},
            {"stake": b""},
            {"left_height": 8},
            {"jailed_height": 7},
            {"jailed_until": 67},
        )
        self.assertEqual(
            {name for change in changes for name in change}, set(Departed.__struct_fields__)
        )
        members = (member(1, 10),)
        roots = {ActiveSet(members).root, ActiveSet(members, (row,)).root}
        for change in changes:
            roots.add(ActiveSet(members, (replace(row, **change),)).root)
        self.assertEqual(len(roots), 2 + len(changes))

    def test_a_light_client_can_prove_a_member(self) -> None:
        snapshot = set_of(*(member(number, 10) for number in range(5)))
        leaves = [encode(found) for found in snapshot.members]
        root = merkle_root(leaves)
        self.assertEqual(
            snapshot.root, tagged(params.TAG_ACTIVE_SET, b"\5\0\0\0", root, bytes(4), bytes(32))
        )
        self.assertTrue(verify_path(root, leaves[3], 3, 5, merkle_path(leaves, 3)))


class TierTests(SynchronousTestCase):
    def test_by_the_amount_of_the_stake(self) -> None:
        expected = {
            1: None,
            999_99999999: None,
            1_000_00000000: Tier.BRONZE,
            9_999_99999999: Tier.BRONZE,
            10_000_00000000: Tier.SILVER,
            99_999_99999999: Tier.SILVER,
            100_000_00000000: Tier.GOLD,
            params.MAX_AMOUNT_UNITS: Tier.GOLD,
        }
        self.assertEqual({units: tier_of(units) for units in expected}, expected)

    def test_weights(self) -> None:
        self.assertEqual(list(TIER_WEIGHT.values()), [1, 10, 100, 1_000])


class GenesisSetTests(SynchronousTestCase):
    def test_members_come_from_the_genesis(self) -> None:
        start = genesis(weights=(100, 7, 30))
        snapshot = genesis_set(start)
        self.assertEqual(snapshot.total_weight, 137)
        self.assertEqual(list(snapshot.weights), sorted(v.pubkey for v in start.validators))
        second = snapshot.by_pubkey[validator(1).public]
        self.assertEqual(
            (second.weight, second.tier, second.joined_height, second.expiry_height),
            (7, Tier.GENESIS, 0, 1_000_000),
        )
        self.assertEqual(second.vrf_pubkey, start.validators[1].vrf_pubkey)
        self.assertEqual(second.payout_hash, hash160(validator(1).public))

    def test_the_order_of_validators_does_not_matter(self) -> None:
        start = genesis(4)
        turned = replace(start, validators=start.validators[::-1])
        self.assertEqual(genesis_set(turned).root, genesis_set(start).root)


class DecodingTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        departed = (Departed(key(1).public, b"s" * 36, 4, 3, 63),)
        snapshot = replace(genesis_set(genesis(3)), departed=departed)
        self.assertEqual(decode(encode(snapshot), ActiveSet, 10_000), snapshot)

    @given(st.binary(max_size=200))
    def test_random_bytes(self, data: bytes) -> None:
        try:
            value = decode(data, ActiveSet, 10_000)
        except CodecError:
            return
        self.assertEqual(encode(value), data)
