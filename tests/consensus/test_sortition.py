"""The lottery: exact priorities, chances by weight, who may stand."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.fakes import make_genesis, signing_key, vrf_seed
from timecoin import params
from timecoin.consensus.sortition import (
    SMALL_SET,
    SortitionError,
    alpha,
    announces,
    check_candidate,
    eligible,
    next_seed,
    priority,
)
from timecoin.crypto import vrf
from timecoin.crypto.hashing import blake3_256
from timecoin.masternodes.active_set import ActiveSet, Member, Tier, genesis_set

CHAIN_ID = bytes(range(12))
SEED = bytes(32)


def member(number: int, joined: int, weight: int = 10, tier: Tier = Tier.BRONZE) -> Member:
    return Member(bytes([number]) * 32, bytes(32), weight, tier, bytes(20), joined, 10**9)


def beta(number: int) -> bytes:
    return hashlib.sha512(number.to_bytes(8, "big")).digest()


def exact_priority(output: bytes, weight: int) -> int:
    """The formula again, without `decimal`: ln by the series of atanh, in 700-bit fixed point."""
    bits = 700

    def twice_atanh(numerator: int, denominator: int) -> int:
        x = (numerator << bits) // denominator
        total, power, odd = 0, x, 1
        while power:
            total += power // odd
            power, odd = power * x * x >> 2 * bits, odd + 2
        return 2 * total

    small, large, halvings = int.from_bytes(output, "big") + 1, 2**512, 0
    while large >= 2 * small:
        small, halvings = 2 * small, halvings + 1
    logarithm = halvings * twice_atanh(1, 3) + twice_atanh(large - small, large + small)
    return logarithm // weight >> (bits - 64)


class Priority(SynchronousTestCase):
    def test_vectors(self) -> None:
        half = (2**511 - 1).to_bytes(64, "big")
        for output, weight, expected in (
            (bytes(64), 1, 6_546_590_026_343_759_697_811),
            (b"\xff" * 64, 1, 0),
            (half, 1, 12_786_308_645_202_655_659),
            (half, 1000, 12_786_308_645_202_655),
            (beta(7), 10, 1_794_070_377_031_544_333),
        ):
            self.assertEqual(priority(output, weight), expected)
            self.assertEqual(exact_priority(output, weight), expected)

    @given(st.binary(min_size=64, max_size=64), st.integers(1, 100_000))
    def test_equals_a_logarithm_in_integers(self, output: bytes, weight: int) -> None:
        self.assertEqual(priority(output, weight), exact_priority(output, weight))

    @given(st.binary(min_size=64, max_size=64), st.integers(1, 2**32 - 1))
    def test_is_a_bounded_integer_that_falls_with_weight(self, output: bytes, weight: int) -> None:
        found = priority(output, weight)
        self.assertGreaterEqual(found, 0)
        self.assertLess(found, 355 * 2**64)
        self.assertLessEqual(priority(output, weight + 1), found)

    @given(st.integers(0, 2**512 - 2**470), st.integers(1, 1000))
    def test_falls_as_beta_grows(self, number: int, weight: int) -> None:
        low = priority(number.to_bytes(64, "big"), weight)
        high = priority((number + 2**469).to_bytes(64, "big"), weight)
        self.assertLessEqual(high, low)

    def test_chances_are_proportional_to_weight(self) -> None:
        """Chi-squared over 6,000 draws: 4 degrees of freedom, 99.9 % below 18.47."""
        weights = [10, 10, 100, 300, 580]
        wins = [0] * len(weights)
        draws = 6_000
        for draw in range(draws):
            drawn = [
                (priority(beta(draw * 8 + index), weight), index)
                for index, weight in enumerate(weights)
            ]
            wins[min(drawn)[1]] += 1
        expected = [draws * weight / sum(weights) for weight in weights]
        chi = sum((w - e) ** 2 / e for w, e in zip(wins, expected, strict=True))
        self.assertLess(chi, 18.47)


class Inputs(SynchronousTestCase):
    def test_alpha_and_seed_are_tagged_hashes(self) -> None:
        slot = 77
        data = params.TAG_VRF + SEED + slot.to_bytes(8, "little") + CHAIN_ID
        self.assertEqual(alpha(CHAIN_ID, SEED, slot), blake3_256(data))
        self.assertEqual(next_seed(SEED, beta(1)), blake3_256(params.TAG_SEED + SEED + beta(1)))


class Eligible(SynchronousTestCase):
    def test_genesis_members_from_block_1(self) -> None:
        members = genesis_set(make_genesis([100] * 3))
        self.assertEqual(eligible(members, 1), members.staked)

    def test_joined_in_block_j_from_j_plus_2(self) -> None:
        old, new = member(1, joined=0), member(2, joined=5)
        members = ActiveSet((old, new))
        self.assertEqual(eligible(members, 6), (old,))
        self.assertEqual(eligible(members, 7), (old, new))

    def test_all_if_nobody_qualifies(self) -> None:
        members = ActiveSet((member(1, joined=5), member(2, joined=5)))
        self.assertEqual(eligible(members, 6), members.members)

    def test_free_members_never(self) -> None:
        free = member(1, joined=0, weight=1, tier=Tier.FREE)
        self.assertEqual(eligible(ActiveSet((free, member(2, 0))), 9), (member(2, 0),))


class CheckCandidate(SynchronousTestCase):
    def setUp(self) -> None:
        self.members = genesis_set(make_genesis([100] * 3))
        self.pubkey = signing_key(1).public
        self.proof = vrf.prove(vrf_seed(1), alpha(CHAIN_ID, SEED, 9))

    def _check(self, **changed: object) -> bytes:
        arguments = {
            "chain_id": CHAIN_ID,
            "active_set": self.members,
            "height": 1,
            "parent_seed": SEED,
            "slot": 9,
            "pubkey": self.pubkey,
            "vrf_proof": self.proof,
        }
        return check_candidate(**{**arguments, **changed})  # type: ignore[arg-type]

    def test_gives_the_output(self) -> None:
        self.assertEqual(self._check(), vrf.proof_to_hash(self.proof))

    def test_refuses_everything_else(self) -> None:
        for changed in (
            {"chain_id": bytes(12)},
            {"parent_seed": b"\x01" * 32},
            {"slot": 10},
            {"pubkey": signing_key(2).public},
            {"pubkey": bytes(32)},
            {"vrf_proof": bytes(80)},
            {"vrf_proof": self.proof[:-1] + bytes([self.proof[-1] ^ 1])},
            {"vrf_proof": b""},
            {"active_set": ActiveSet((member(1, 0),))},
        ):
            with self.assertRaises(SortitionError):
                self._check(**changed)


class Announces(SynchronousTestCase):
    def test_all_of_a_small_set(self) -> None:
        members = ActiveSet(tuple(member(n, 0) for n in range(SMALL_SET)))
        self.assertTrue(announces(355 * 2**64, members, 1))

    def test_about_twenty_of_a_large_one_and_the_first_ten_always(self) -> None:
        weights = [10, 100, 1000]
        members = ActiveSet(tuple(member(n, 0, weights[n % 3]) for n in range(240)))
        counts = []
        for slot in range(20):
            drawn = sorted(
                priority(beta(slot * 1_000 + n), each.weight)
                for n, each in enumerate(members.members)
            )
            counts.append(sum(announces(p, members, 1) for p in drawn))
            self.assertTrue(all(announces(p, members, 1) for p in drawn[:8]))
        self.assertTrue(15 * 20 < sum(counts) < 25 * 20, counts)
