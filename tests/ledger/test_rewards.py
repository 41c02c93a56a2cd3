"""Rewards: vectors to the unit, and nothing lost in the sharing."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import TIME, genesis, validator
from timecoin import params
from timecoin.crypto.hashing import hash160
from timecoin.ledger.rewards import (
    Share,
    block_reward,
    expected_reward,
    reward_transaction,
    split_reward,
)
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.masternodes.active_set import genesis_set

# 50 decimals, from OEIS A002391 and A002392.
LN_3 = Fraction(109861228866810969139524523692252570464749055782274, 10**50)
LN_10 = Fraction(230258509299404568401799145468436420760110148862877, 10**50)

PAYOUTS = [bytes([number]) * 20 for number in range(5)]


def paid(outputs: tuple[TxOutput, ...]) -> dict[bytes, int]:
    """Units by payout hash; fails the test when one stands twice."""
    units = {output.lock_script[1:]: output.value for output in outputs}
    assert len(units) == len(outputs)
    assert all(output.lock_script[:1] == b"\x01" for output in outputs)
    return units


class BlockRewardTests(SynchronousTestCase):
    def test_base_100(self) -> None:
        for count, units in (
            (1, 100_00000000),
            (3, 209_86122886),
            (10, 330_25850929),
            (100, 560_51701859),
            (1_000, 790_77552789),
            (10_000, 1_021_03403719),
        ):
            self.assertEqual(block_reward(100 * TIME, count), units)

    def test_floored_once_whatever_the_base(self) -> None:
        """A float, or a logarithm rounded before the product, would differ for the large bases."""
        for base in (1, 7, TIME, 100 * TIME, 2**53 + 1, params.MAX_AMOUNT_UNITS):
            self.assertEqual(block_reward(base, 1), base)
            self.assertEqual(block_reward(base, 3), int(base * (1 + LN_3)))
            for exponent in range(1, 6):
                expected = int(base * (1 + exponent * LN_10))
                self.assertEqual(block_reward(base, 10**exponent), expected)

    def test_grows_with_every_member(self) -> None:
        rewards = [block_reward(100 * TIME, count) for count in range(1, 2_000)]
        self.assertEqual(rewards, sorted(set(rewards)))

    def test_nobody(self) -> None:
        self.assertRaises(ValueError, block_reward, TIME, 0)


class SplitTests(SynchronousTestCase):
    def test_three_equal_members(self) -> None:
        """T = 100 000 000: pool 90 000 000, a third of it each, the rest to the producer."""
        members = [(payout, 100, True) for payout in PAYOUTS[:3]]
        self.assertEqual(
            paid(split_reward(TIME, 0, PAYOUTS[1], members)),
            {PAYOUTS[0]: 30_000_000, PAYOUTS[1]: 40_000_000, PAYOUTS[2]: 30_000_000},
        )

    def test_by_weight_with_remainders_to_the_producer(self) -> None:
        """T = 1 009: pool 908; of weights 1, 2, 4 floor(908 w / 7) = 129, 259, 518; rest 103."""
        members = [(PAYOUTS[0], 1, True), (PAYOUTS[1], 2, True), (PAYOUTS[2], 4, True)]
        self.assertEqual(
            paid(split_reward(1_000, 9, PAYOUTS[2], members)),
            {PAYOUTS[0]: 129, PAYOUTS[1]: 259, PAYOUTS[2]: 518 + 103},
        )

    def test_free_members_by_weight(self) -> None:
        """Few Free members: floor(900 * 2 / 102) = 17, 8 each; the staked share 883."""
        members = [(PAYOUTS[0], 100, True), (PAYOUTS[1], 1, False), (PAYOUTS[2], 1, False)]
        self.assertEqual(
            paid(split_reward(1_000, 0, PAYOUTS[0], members)),
            {PAYOUTS[0]: 984, PAYOUTS[1]: 8, PAYOUTS[2]: 8},
        )

    def test_all_free_members_get_a_twentieth_at_most(self) -> None:
        members = [(PAYOUTS[0], 1, True), (PAYOUTS[1], 1, False), (PAYOUTS[2], 1, False)]
        self.assertEqual(
            paid(split_reward(1_000, 0, PAYOUTS[0], members)),
            {PAYOUTS[0]: 950, PAYOUTS[1]: 25, PAYOUTS[2]: 25},
        )

    def test_one_output_for_each_payout_hash_in_ascending_order(self) -> None:
        members = [(PAYOUTS[2], 50, True), (PAYOUTS[1], 25, True), (PAYOUTS[2], 25, True)]
        outputs = split_reward(1_000, 0, PAYOUTS[1], members)
        self.assertEqual(
            outputs,
            (
                TxOutput(325, pay_to_pubkey_hash(PAYOUTS[1])),
                TxOutput(675, pay_to_pubkey_hash(PAYOUTS[2])),
            ),
        )

    def test_zero_shares_are_left_out(self) -> None:
        members = [(PAYOUTS[0], 1, True), (PAYOUTS[1], 1_000_000, True), (PAYOUTS[2], 1, False)]
        self.assertEqual(paid(split_reward(10, 0, PAYOUTS[1], members)), {PAYOUTS[1]: 10})

    @given(
        st.integers(0, 2**50),
        st.integers(0, 2**40),
        st.lists(
            st.tuples(st.sampled_from(PAYOUTS), st.integers(1, 1_000), st.booleans()), max_size=8
        ),
        st.integers(1, 1_000),
    )
    def test_everything_is_paid_and_the_order_of_members_does_not_matter(
        self, reward: int, fees: int, others: list[Share], weight: int
    ) -> None:
        producer = (b"p" * 20, weight, True)
        members = [producer, *((h, w if staked else 1, staked) for h, w, staked in others)]
        outputs = split_reward(reward, fees, producer[0], members)
        units = paid(outputs)
        self.assertEqual(sum(units.values()), reward + fees)
        self.assertEqual(list(units), sorted(units))
        self.assertGreaterEqual(10 * units.get(producer[0], 0), reward + fees)
        self.assertTrue(all(units.values()))
        self.assertEqual(split_reward(reward, fees, producer[0], members[::-1]), outputs)


class RewardTransactionTests(SynchronousTestCase):
    def test_form(self) -> None:
        outputs = (TxOutput(5, pay_to_pubkey_hash(PAYOUTS[0])),)
        self.assertEqual(
            reward_transaction(7, outputs),
            Transaction(1, (TxInput(bytes(32), 7, 0xFFFFFFFF),), outputs, 0, ((),)),
        )

    def test_each_height_has_its_own_txid(self) -> None:
        outputs = (TxOutput(5, pay_to_pubkey_hash(PAYOUTS[0])),)
        self.assertEqual(len({reward_transaction(h, outputs).txid for h in range(100)}), 100)

    def test_expected_of_a_set(self) -> None:
        members = genesis_set(genesis(3)).members
        reward = expected_reward(TIME, members, validator(2).public, 30, 5)
        units = paid(reward.outputs)
        self.assertEqual(sum(units.values()), block_reward(TIME, 3) + 30)
        self.assertEqual(max(units, key=lambda found: units[found]), hash160(validator(2).public))
        self.assertEqual(reward.inputs[0].prev_index, 5)

    def test_free_members_do_not_raise_the_reward(self) -> None:
        staked = genesis_set(genesis(3)).members
        free = tuple(
            type(member)(bytes([n]) * 32, bytes(32), 1, 0, bytes([n]) * 20, 1, 0)
            for n, member in enumerate(staked)
        )
        reward = expected_reward(TIME, staked + free, validator(0).public, 0, 5)
        self.assertEqual(sum(paid(reward.outputs).values()), block_reward(TIME, 3))
        self.assertEqual(len(reward.outputs), 6)

    def test_a_producer_who_is_no_member(self) -> None:
        members = genesis_set(genesis(3)).members
        broken = self.assertRaises(
            RuleBroken, expected_reward, TIME, members, validator(9).public, 0, 5
        )
        self.assertEqual(broken.rule, "bad-producer")
