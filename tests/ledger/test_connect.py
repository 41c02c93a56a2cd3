"""What blocks do to the UTXO set: conservation, undo, independence of order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.payments import COINS, FEE_UNITS, HEIGHT, START, payments
from tests.support.ledger_kit import Coins, created, output, pay, script_of, spend, user
from timecoin.codec import encode
from timecoin.crypto.keys import verify
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.check import check_spend, check_structure
from timecoin.ledger.connect import UtxoDiff, connect, spent_outputs
from timecoin.ledger.rewards import reward_transaction
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import data
from timecoin.ledger.transaction import Transaction
from timecoin.ledger.utxo import Utxo, utxo_element

REWARD = reward_transaction(HEIGHT, [output(user(99), 1_000)])


def lthash_of(coins: Coins) -> LtHash:
    return LtHash().add_many(utxo_element(*coin) for coin in coins.by_point.items())


class DiffTests(SynchronousTestCase):
    def test_a_payment(self) -> None:
        tx = pay(START.chain_id, user(0), COINS[0], user(1), 5)
        diff = connect([tx], REWARD, Coins(COINS), HEIGHT)
        self.assertEqual(diff.spent, (COINS[0],))
        expected = [
            created(tx, 0, HEIGHT),
            created(tx, 1, HEIGHT),
            created(REWARD, 0, HEIGHT, coinbase=True),
        ]
        self.assertEqual(diff.created, tuple(sorted(expected)))

    def test_an_output_spent_within_the_block_appears_nowhere(self) -> None:
        first = pay(START.chain_id, user(0), COINS[0], user(1), 50_000_000)
        middle = created(first, 0, HEIGHT)
        second = pay(START.chain_id, user(1), middle, user(2), 5)
        for order in ([first, second], [second, first]):
            diff = connect(order, REWARD, Coins(COINS), HEIGHT)
            self.assertEqual(diff.spent, (COINS[0],))
            self.assertNotIn(middle, diff.created)
            self.assertEqual(len(diff.created), 4)

    def test_data_never_enters_the_set(self) -> None:
        tx = spend(
            START.chain_id, [user(0)], [COINS[0]], [output(data(b"x"), 0), output(user(1), 5)]
        )
        diff = connect([tx], REWARD, Coins(COINS), HEIGHT)
        self.assertEqual(
            diff.created,
            tuple(sorted((created(tx, 1, HEIGHT), created(REWARD, 0, HEIGHT, coinbase=True)))),
        )

    def test_sorted_by_outpoint(self) -> None:
        txs = [pay(START.chain_id, user(n), COINS[n], user(1), 5) for n in range(4)]
        diff = connect(txs, REWARD, Coins(COINS), HEIGHT)
        for coins in (diff.spent, diff.created):
            self.assertEqual(list(coins), sorted(coins))

    def test_the_element_commits_to_every_field(self) -> None:
        point, utxo = COINS[0]
        elements = {
            utxo_element(point, utxo),
            utxo_element(COINS[1][0], utxo),
            utxo_element(point, Utxo(utxo.value + 1, utxo.script, utxo.height, False)),
            utxo_element(point, Utxo(utxo.value, script_of(user(9)), utxo.height, False)),
            utxo_element(point, Utxo(utxo.value, utxo.script, utxo.height + 1, False)),
            utxo_element(point, Utxo(utxo.value, utxo.script, utxo.height, True)),
        }
        self.assertEqual(len(elements), 6)
        self.assertEqual(
            utxo_element(point, utxo), encode([point, utxo.value, utxo.script, utxo.height, False])
        )


class RefusalTests(SynchronousTestCase):
    def refuse(self, *transactions: Transaction, reward: Transaction = REWARD) -> None:
        broken = self.assertRaises(RuleBroken, connect, transactions, reward, Coins(COINS), HEIGHT)
        self.assertEqual(broken.rule, "bad-txns-inputs-missingorspent")

    def test_an_output_that_does_not_exist(self) -> None:
        known = pay(START.chain_id, user(0), COINS[0], user(1), 5)
        self.refuse(pay(START.chain_id, user(1), created(known, 0), user(2), 1, 1))
        unknown_index = (known.txid + b"\x09\x00\x00\x00", created(known, 1)[1])
        self.refuse(known, pay(START.chain_id, user(0), unknown_index, user(2), 1, 1))

    def test_an_output_spent_by_two_transactions(self) -> None:
        first = pay(START.chain_id, user(0), COINS[0], user(1), 5)
        second = pay(START.chain_id, user(0), COINS[0], user(2), 5)
        self.refuse(first, second)

    def test_an_output_of_the_block_spent_by_two_transactions(self) -> None:
        parent = pay(START.chain_id, user(0), COINS[0], user(1), 50_000_000)
        children = [pay(START.chain_id, user(1), created(parent, 0), user(to), 5) for to in (2, 3)]
        self.refuse(parent, *children)

    def test_an_output_spent_twice_by_one_transaction(self) -> None:
        self.refuse(
            spend(START.chain_id, [user(0)] * 2, [COINS[0], COINS[0]], [output(user(1), 5)])
        )

    def test_the_reward_of_the_same_block(self) -> None:
        self.refuse(pay(START.chain_id, user(99), created(REWARD, 0), user(1), 5, 5))

    def test_data_of_the_same_block(self) -> None:
        outputs = [output(data(b"x"), 0), output(user(1), 5)]
        parent = spend(START.chain_id, [user(0)], [COINS[0]], outputs)
        self.refuse(
            parent, spend(START.chain_id, [user(0)], [created(parent, 0)], [output(user(1), 5)])
        )


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(payments(), st.randoms(use_true_random=False))
    def test_sums_undo_and_order(self, transactions: tuple[Transaction, ...], rng: object) -> None:
        coins = Coins(COINS)
        before, hash_before = dict(coins.by_point), lthash_of(coins)
        diff = connect(transactions, REWARD, coins, HEIGHT)

        shuffled = list(transactions)
        rng.shuffle(shuffled)  # type: ignore[attr-defined]
        self.assertEqual(connect(shuffled, REWARD, coins, HEIGHT), diff)

        coins.apply(diff)
        self.assertEqual(
            sum(utxo.value for utxo in coins.by_point.values()),
            sum(utxo.value for utxo in before.values())
            + REWARD.outputs[0].value
            - FEE_UNITS * len(transactions),
        )
        hash_after = diff.apply_to(hash_before)
        self.assertEqual(hash_after, lthash_of(coins))
        self.assertNotEqual(hash_after, hash_before)

        undo = diff.undo()
        coins.apply(undo)
        self.assertEqual(coins.by_point, before)
        self.assertEqual(undo.apply_to(hash_after), hash_before)
        self.assertEqual(undo.undo(), diff)

    @settings(max_examples=40, deadline=None)
    @given(payments())
    def test_inputs_are_outputs_plus_fee(self, transactions: tuple[Transaction, ...]) -> None:
        found = spent_outputs(transactions, Coins(COINS), HEIGHT)
        for tx, spent in zip(transactions, found, strict=True):
            check_structure(tx)
            fee = check_spend(tx, spent, START.chain_id, HEIGHT, 0, verify)
            paid = sum(item.value for item in tx.outputs)
            self.assertEqual(sum(utxo.value for utxo in spent), paid + fee)
            self.assertEqual(fee, FEE_UNITS)

    def test_nothing_happens_in_a_block_without_entries(self) -> None:
        diff = connect([], REWARD, Coins(COINS), HEIGHT)
        self.assertEqual(diff, UtxoDiff((), (created(REWARD, 0, HEIGHT, coinbase=True),)))
