"""Payments: nothing is lost or made, the ledger accepts them, fees are the least."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import key, output, script_of
from tests.wallet.kit import CHAIN_ID, TIME
from timecoin import params
from timecoin.crypto.keys import verify
from timecoin.ledger.check import check_spend, check_structure, is_dust, min_fee_units
from timecoin.ledger.connect import Coin
from timecoin.ledger.script import data
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Transaction, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.wallet.build import Payment, build_merge, build_payment
from timecoin.wallet.errors import InsufficientFunds, PaymentRefused

OWNER, PAYEE, CHANGE = key(1), key(2), script_of(key(3))
FEE = params.MIN_FEE_UNITS
DUST = params.DUST_UNITS
COST_OF_CHANGE = 10 * 250  # at most: an output and the input that spends it, at the least rate


def coin(units: int, number: int = 0) -> Coin:
    point = outpoint(number.to_bytes(32, "big"), number % 3)
    return point, Utxo(units, script_of(OWNER), height=0, coinbase=False)


def coins_of(*values: int) -> list[Coin]:
    return [coin(units, number) for number, units in enumerate(values, start=1)]


def values(payment: Payment) -> list[int]:
    return [item.value for item in payment.tx.outputs]


class PaymentCase(SynchronousTestCase):
    def signed(self, payment: Payment) -> Transaction:
        spent = [utxo for _, utxo in payment.spent]
        return sign_transaction(payment.tx, spent, CHAIN_ID, [OWNER] * len(spent))

    def judged_fee(self, payment: Payment) -> int:
        """The fee of the signed payment by the ledger's rules."""
        spent = [utxo for _, utxo in payment.spent]
        signed = self.signed(payment)
        self.assertEqual(tuple(point for point, _ in payment.spent), signed.outpoints)
        check_structure(signed)
        fee_units = check_spend(signed, spent, CHAIN_ID, 1, 0, verify)
        self.assertEqual(fee_units, payment.fee_units)
        # Widest numbers: 8 bytes too many an amount, 4 an index, 6 in the lists' lengths; a
        # change that is not made counted 36 bytes. Dust may be on top.
        slack = 10 * (8 * (len(signed.outputs) + 1) + 4 * len(spent) + 6 + 36) + COST_OF_CHANGE
        self.assertLessEqual(fee_units, min_fee_units(len(signed.encoded)) + slack)
        return fee_units


class PaymentTests(PaymentCase):
    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.one_of(st.integers(1, 5 * FEE), st.integers(1, 2**45)), max_size=12),
        st.lists(st.integers(DUST, 2**44), min_size=1, max_size=4),
        st.sets(st.integers(0, 3)),
        st.data(),
    )
    def test_amounts_are_conserved_and_the_ledger_agrees(
        self, owned: list[int], amounts: list[int], bearers: set[int], draw: st.DataObject
    ) -> None:
        coins = draw.draw(st.permutations(coins_of(*owned)))
        outputs = [output(PAYEE, units) for units in amounts]
        positions = sorted(position for position in bearers if position < len(outputs))
        try:
            payment = build_payment(outputs, coins, CHANGE, positions)
        except InsufficientFunds as error:
            self.assertLess(sum(owned), sum(amounts) + (0 if positions else error_fee(owned)))
            self.assertEqual(error.available_units, sum(owned))
            return
        except PaymentRefused:
            fee = min_fee_units(200 * (len(owned) + len(amounts)))
            self.assertTrue(any(amounts[p] < fee + DUST for p in positions))
            return
        fee_units = self.judged_fee(payment)
        spent_units = sum(utxo.value for _, utxo in payment.spent)
        self.assertEqual(sum(values(payment)) + fee_units, spent_units)
        self.assertEqual(len(set(payment.spent)), len(payment.spent))
        self.assertLessEqual(set(payment.spent), set(coins))
        paid, change = values(payment)[: len(amounts)], values(payment)[len(amounts) :]
        self.assertEqual(len(change), payment.has_change)
        if not positions:
            self.assertEqual(paid, amounts)
        for position, (got, asked) in enumerate(zip(paid, amounts, strict=True)):
            self.assertEqual(got < asked, position in positions)
        chosen = [utxo.value for _, utxo in payment.spent]
        if chosen == sorted(owned, reverse=True)[: len(chosen)]:
            # Largest first, and none too many: without the smallest it would not reach.
            self.assertLess(sum(chosen[:-1]), sum(amounts) + (0 if positions else fee_units))
        else:
            # Other coins are chosen only where they save change, for less than it would cost.
            self.assertFalse(payment.has_change)
            least = min_fee_units(len(payment.tx.encoded) + 100 * len(chosen))
            excess = sum(chosen) - sum(amounts) - (0 if positions else least)
            self.assertLessEqual(excess, COST_OF_CHANGE)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 2 * COST_OF_CHANGE))
    def test_what_is_not_worth_an_output_goes_to_the_fee(self, rest: int) -> None:
        payment = build_payment([output(PAYEE, TIME)], coins_of(TIME + FEE + rest), CHANGE)
        if rest < DUST:
            self.assertFalse(payment.has_change)
        if rest > COST_OF_CHANGE:
            self.assertTrue(payment.has_change)
        self.assertEqual(self.judged_fee(payment), FEE + (0 if payment.has_change else rest))
        self.assertFalse(any(map(is_dust, payment.tx.outputs)))

    def test_dust_of_the_largest_goes_to_the_fee(self) -> None:
        """The last coin is worth less than its own input: no search would take it."""
        payment = build_payment([output(PAYEE, TIME)], coins_of(TIME + FEE - 1, 900), CHANGE)
        self.assertEqual(self.judged_fee(payment), FEE + 899)

    def test_coins_that_make_change_needless(self) -> None:
        coins = coins_of(10 * TIME, 4 * TIME, 3 * TIME + FEE + 500, 2 * TIME)
        payment = build_payment([output(PAYEE, 5 * TIME)], coins, CHANGE)
        self.assertEqual(
            [utxo.value for _, utxo in payment.spent], [3 * TIME + FEE + 500, 2 * TIME]
        )
        self.assertEqual((values(payment), payment.has_change), ([5 * TIME], False))
        self.assertEqual(self.judged_fee(payment), FEE + 500)

    def test_more_excess_than_change_costs_comes_back(self) -> None:
        coins = coins_of(10 * TIME, 3 * TIME + FEE + COST_OF_CHANGE, 2 * TIME)
        payment = build_payment([output(PAYEE, 5 * TIME)], coins, CHANGE)
        self.assertEqual(values(payment), [5 * TIME, 5 * TIME - FEE])

    def test_a_higher_fee_rate(self) -> None:
        payment = build_payment([output(PAYEE, TIME)], coins_of(5 * TIME), CHANGE, fee_rate=2_000)
        size = len(self.signed(payment).encoded)
        self.assertGreaterEqual(payment.fee_units, 2_000 * size)
        self.assertLess(payment.fee_units, 2_000 * (size + 40))
        crumbs = coins_of(*[2_000 * 140] * 9, 3 * TIME)  # worth less than their own inputs
        payment = build_payment([output(PAYEE, 2 * TIME)], crumbs, CHANGE, fee_rate=2_000)
        self.assertEqual([utxo.value for _, utxo in payment.spent], [3 * TIME])

    def test_a_fee_that_nobody_can_mean(self) -> None:
        error = self.assertRaises(
            PaymentRefused,
            build_payment,
            [output(PAYEE, TIME)],
            coins_of(5 * TIME),
            CHANGE,
            (),
            1_000_000,
        )
        self.assertIn("is above 1.00000000", str(error))

    def test_change_comes_last_and_where_it_was_asked_for(self) -> None:
        payment = build_payment([output(PAYEE, TIME)], coins_of(5 * TIME), CHANGE)
        self.assertEqual(
            payment.tx.outputs, (output(PAYEE, TIME), TxOutput(4 * TIME - FEE, CHANGE))
        )

    def test_the_fee_grows_with_the_size(self) -> None:
        payment = build_payment([output(PAYEE, 99 * TIME)], coins_of(*[TIME] * 100), CHANGE)
        self.assertEqual(len(payment.spent), 100)
        self.assertGreater(self.judged_fee(payment), FEE)

    def test_equal_shares_of_the_fee(self) -> None:
        outputs = [output(PAYEE, TIME)] * 4
        payment = build_payment(outputs, coins_of(9 * TIME), CHANGE, [2, 0, 3])
        part = FEE // 3
        self.assertEqual(
            values(payment),
            [TIME - part, TIME, TIME - part - FEE % 3, TIME - part, 5 * TIME],
        )

    def test_everything_can_be_sent(self) -> None:
        payment = build_payment([output(PAYEE, 3 * TIME)], coins_of(TIME, 2 * TIME), CHANGE, [0])
        self.assertEqual(values(payment), [3 * TIME - FEE])
        self.assertFalse(payment.has_change)

    def test_dust_relieves_who_bears_the_fee(self) -> None:
        payment = build_payment([output(PAYEE, TIME)], coins_of(TIME + 7), CHANGE, [0])
        self.assertEqual(values(payment), [TIME - FEE + 7])

    def test_the_choice_does_not_depend_on_the_order_of_the_coins(self) -> None:
        coins = coins_of(*[TIME] * 5)
        first = build_payment([output(PAYEE, TIME)], coins, CHANGE)
        self.assertEqual(first, build_payment([output(PAYEE, TIME)], reversed(coins), CHANGE))

    def test_what_is_needed_is_told_with_the_fee(self) -> None:
        error = self.assertRaises(
            InsufficientFunds, build_payment, [output(PAYEE, TIME)], coins_of(TIME), CHANGE
        )
        self.assertEqual((error.needed_units, error.available_units), (TIME + FEE, TIME))
        self.assertEqual(
            str(error), "1.00100000 TIME are needed with the fee, 1.00000000 can be spent now"
        )
        self.assertRaises(InsufficientFunds, build_payment, [output(PAYEE, TIME)], [], CHANGE, [0])

    def test_data_beside_a_payment(self) -> None:
        payment = build_payment(
            [TxOutput(0, data(b"invoice 7")), output(PAYEE, TIME)], coins_of(3 * TIME), CHANGE, [1]
        )
        self.assertEqual(values(payment), [0, TIME - FEE, 2 * TIME])
        self.judged_fee(payment)

    def test_data_alone_costs_its_fee(self) -> None:
        payment = build_payment([TxOutput(0, data(b"x"))], coins_of(FEE), CHANGE)
        self.assertEqual((values(payment), self.judged_fee(payment)), ([0], FEE))

    def test_what_no_transaction_may_hold(self) -> None:
        good = output(PAYEE, TIME)
        for outputs, bearers, reason in (
            ([], (), "needs an output"),
            ([good, output(PAYEE, DUST - 1)], (), "too little"),
            ([output(PAYEE, 0)], (), "too little"),
            ([TxOutput(TIME, b"\x09")], (), "bad-txns-script"),
            ([TxOutput(1, data(b""))], (), "data"),
            ([output(PAYEE, params.MAX_AMOUNT_UNITS), good], (), "out of range"),
            ([good], (1,), "no output 1"),
            ([good], (-1,), "no output -1"),
            ([good], (0, 0), "once only"),
            ([good, TxOutput(0, data(b""))], (1,), "no output 1"),
            ([good, output(PAYEE, FEE // 2 + DUST - 1)], (0, 1), "output 1 is too small"),
        ):
            error = self.assertRaises(
                PaymentRefused, build_payment, outputs, coins_of(9 * TIME), CHANGE, bearers
            )
            self.assertIn(reason, str(error))

    def test_more_coins_than_fit_into_a_transaction(self) -> None:
        crumbs = coins_of(*[TIME] * 700)
        error = self.assertRaises(
            PaymentRefused, build_payment, [output(PAYEE, 690 * TIME)], crumbs, CHANGE
        )
        self.assertIn("merge", str(error))
        payment = build_payment([output(PAYEE, 670 * TIME)], crumbs, CHANGE)
        self.assertLessEqual(self.judged_fee(payment), 10 * params.MAX_TX_BYTES)

    def test_largest_sums(self) -> None:
        coins = coins_of(params.MAX_AMOUNT_UNITS)
        payment = build_payment([output(PAYEE, TIME)], coins, CHANGE)
        self.judged_fee(payment)


class MergeTests(PaymentCase):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(1, 5 * FEE), max_size=12), st.integers(2, 8), st.integers(0, 5))
    def test_the_smallest_become_one(self, owned: list[int], least: int, more: int) -> None:
        coins = coins_of(*owned)
        try:
            payment = build_merge(coins, CHANGE, least, least + more)
        except PaymentRefused:
            self.assertLess(len(owned), least)
            return
        except InsufficientFunds as error:
            self.assertLess(sum(sorted(owned)[: least + more]), FEE + DUST)
            self.assertEqual(error.needed_units, FEE + DUST)
            return
        self.assertEqual([utxo.value for _, utxo in payment.spent], sorted(owned)[: least + more])
        (merged,) = payment.tx.outputs
        self.assertEqual(merged.lock_script, CHANGE)
        self.judged_fee(payment)

    def test_numbers_that_make_no_sense(self) -> None:
        for least, most in ((1, 5), (0, 0), (3, 2), (-1, -1)):
            self.assertRaises(
                PaymentRefused, build_merge, coins_of(*[TIME] * 9), CHANGE, least, most
            )

    def test_no_more_than_fit_into_a_transaction(self) -> None:
        payment = build_merge(coins_of(*[TIME] * 800), CHANGE, 2, 10_000)
        self.assertGreater(len(payment.spent), 600)
        self.judged_fee(payment)


def error_fee(owned: list[int]) -> int:
    """At most what a transaction of all ``owned`` coins pays."""
    return min_fee_units(200 * (len(owned) + 5))
