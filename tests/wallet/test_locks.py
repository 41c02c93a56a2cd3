"""Coins that are left alone, and for how long."""

from __future__ import annotations

import os
from unittest import mock

from tests.wallet.kit import NETWORK, TIME
from tests.wallet.test_wallet import WalletCase
from timecoin.ledger.transaction import outpoint
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import InsufficientFunds, LockRefused, PaymentRefused, WalletFileError
from timecoin.wallet.keystore import Keystore


class LockTests(WalletCase):
    def setUp(self) -> None:
        super().setUp()
        payments = [self.fixture.receive(TIME, index) for index in range(3)]
        self.fixture.block(*payments)
        self.points = [outpoint(tx.txid, 0) for tx in payments]

    def reopen(self) -> None:
        self.fixture.keystore = Keystore.open(self.path, NETWORK)
        self.fixture.restart()

    def test_a_locked_coin_is_not_spent_but_owned(self) -> None:
        self.wallet.lock_coins(self.points[:2])
        self.assertEqual(self.wallet.locked_coins(), tuple(self.points[:2]))
        self.assertEqual([coin.point for coin in self.wallet.unspent()], self.points[2:])
        self.assert_balance(spendable=3 * TIME)
        self.assertRaises(InsufficientFunds, self.fixture.send, TIME)
        self.assertRaises(PaymentRefused, self.wallet.merge)
        self.wallet.unlock_coins(self.points[:1])
        self.fixture.send(TIME)

    def test_locks_end_with_the_process_unless_they_are_to_stay(self) -> None:
        self.wallet.lock_coins(self.points[:1])
        self.wallet.lock_coins(self.points[1:2], persistent=True)
        self.reopen()
        self.assertEqual(self.wallet.locked_coins(), (self.points[1],))
        self.wallet.unlock_coins(self.points[1:2])
        self.reopen()
        self.assertEqual(self.wallet.locked_coins(), ())

    def test_a_lock_can_be_made_to_stay(self) -> None:
        self.wallet.lock_coins(self.points[:1])
        self.assertRaises(LockRefused, self.wallet.lock_coins, self.points[:2])
        self.assertEqual(self.wallet.locked_coins(), (self.points[0],))
        self.wallet.lock_coins(self.points[:1], persistent=True)
        self.reopen()
        self.assertEqual(self.wallet.locked_coins(), (self.points[0],))

    def test_all_at_once(self) -> None:
        self.wallet.lock_coins(self.points[:1], persistent=True)
        self.wallet.lock_coins(self.points[1:])
        self.wallet.unlock_coins()
        self.assertEqual(self.wallet.locked_coins(), ())
        self.reopen()
        self.assertEqual(self.wallet.locked_coins(), ())
        self.wallet.unlock_coins()

    def test_refusals_change_nothing(self) -> None:
        self.wallet.lock_coins(self.points[:1])
        self.assertRaises(LockRefused, self.wallet.lock_coins, [self.points[1], bytes(36)], True)
        self.assertRaises(LockRefused, self.wallet.unlock_coins, self.points)
        with mock.patch.object(os, "fsync", side_effect=OSError(5, "I/O error")):
            self.assertRaises(WalletFileError, self.wallet.lock_coins, self.points[1:], True)
        self.assertEqual(self.wallet.locked_coins(), (self.points[0],))
        self.reopen()
        self.assertEqual(self.wallet.locked_coins(), ())

    def test_a_spent_coin_is_locked_no_more(self) -> None:
        self.wallet.lock_coins(self.points[:1], persistent=True)
        self.wallet.unlock_coins(self.points[:1])
        tx = self.fixture.send(TIME)
        unspent = next(point for point in self.points if point not in tx.outpoints)
        self.assertRaises(LockRefused, self.wallet.lock_coins, tx.outpoints)
        self.wallet.abandon(tx.txid)
        self.wallet.lock_coins([*tx.outpoints, unspent], persistent=True)
        self.fixture.block(tx)
        self.assertEqual(self.wallet.locked_coins(), (unspent,))
        self.wallet.unlock_coins()
        self.assertEqual(Keystore.open(self.path, NETWORK).kept_locks, ())


class MergeTests(WalletCase):
    def test_small_coins_become_one(self) -> None:
        for index in range(4):
            self.fixture.receive((index + 1) * TIME, index)
        payment = self.wallet.merge(max_count=3)
        self.world.accept(payment.tx)
        self.assertEqual(sum(utxo.value for _, utxo in payment.spent), 6 * TIME)
        self.assertEqual(payment.tx.outputs[0].value, 6 * TIME - payment.fee_units)
        self.assertTrue(self.wallet.is_change(payment.tx.outputs[0].lock_script))
        self.assert_balance(spendable=4 * TIME, pending=6 * TIME - payment.fee_units)

    def test_coins_of_one_address_stay_there(self) -> None:
        for index in (0, 0, 1):
            self.fixture.receive(TIME, index)
        script = next(
            coin.utxo.script
            for coin in self.wallet.unspent()
            if self.wallet.balance(script=coin.utxo.script).spendable == 2 * TIME
        )
        payment = self.wallet.merge(script=script)
        self.assertEqual(len(payment.spent), 2)
        self.assertEqual(payment.tx.outputs[0].lock_script, script)
        self.assertEqual(self.fixture.keystore.count(Branch.CHANGE), 0)
