"""The wallet among blocks and statuses, case by case."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import key, output, pay, script_of, spend
from tests.wallet.kit import (
    CHAIN_ID,
    ENTROPY,
    NETWORK,
    SEED,
    STRANGER,
    TIME,
    Fixture,
    World,
    fresh_rows,
    payment_to,
    script_at,
)
from timecoin import params
from timecoin.crypto.address import decode_address, encode_address
from timecoin.crypto.keys import verify
from timecoin.finality.events import Status
from timecoin.ledger.check import check_spend
from timecoin.ledger.script import multisig, pay_to_pubkey_hash, stake
from timecoin.ledger.transaction import Transaction, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.wallet.coins import Balance, Standing
from timecoin.wallet.derive import Account, Branch, KeyPath
from timecoin.wallet.errors import (
    InsufficientFunds,
    KeyMissing,
    PaymentRefused,
    WalletFileError,
    WalletLocked,
)
from timecoin.wallet.keystore import LOOKAHEAD, Keystore
from timecoin.wallet.message import verify_message
from timecoin.wallet.wallet import Wallet

FEE = params.MIN_FEE_UNITS
RECEIVE, CHANGE = Branch.RECEIVE, Branch.CHANGE


class WalletCase(SynchronousTestCase):
    passphrase: str | None = None

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "wallet"
        self.fixture = Fixture(self.path, self.passphrase)
        self.world = self.fixture.world

    @property
    def wallet(self) -> Wallet:
        return self.fixture.wallet

    def assert_balance(self, **units: int) -> None:
        self.assertEqual(self.wallet.balance(), Balance(**units))


class ReceivingTests(WalletCase):
    def test_addresses(self) -> None:
        address = self.wallet.new_address()
        script = pay_to_pubkey_hash(decode_address(NETWORK, address))
        self.assertEqual(script, script_at(RECEIVE, 0))
        self.assertTrue(self.wallet.is_mine(script))
        self.assertFalse(self.wallet.is_change(script))
        self.assertTrue(self.wallet.is_change(script_at(CHANGE, 0)))
        self.assertFalse(self.wallet.is_mine(script_of(STRANGER)))
        self.assertNotEqual(self.wallet.new_address(), address)
        self.assertEqual(self.wallet.hd_path(script_at(CHANGE, 4)), "m/44'/2024'/0'/1'/4'")
        self.assertIsNone(self.wallet.hd_path(script_of(STRANGER)))

    def test_a_final_payment_counts_at_once(self) -> None:
        tx = self.world.promise(script_at(RECEIVE, 0), 5 * TIME)
        for status in (Status.SEEN, Status.SAMPLING, Status.LOCALLY_ACCEPTED):
            self.fixture.reach(tx, status)
            self.assert_balance()
            self.assertFalse(self.wallet.follows(tx.txid))
        for status in (Status.CERTIFIED, Status.CERTIFIED_STALE):
            self.fixture.reach(tx, status)
            self.assert_balance(pending=5 * TIME)
            self.assertEqual(list(self.wallet.unspent()), [])
            self.assertEqual(self.wallet.balance(minconf=1), Balance())
            self.assertRaises(InsufficientFunds, self.fixture.send, TIME)
        self.fixture.reach(tx, Status.FINAL)
        self.assert_balance(spendable=5 * TIME)
        self.assertEqual(self.wallet.balance(minconf=1), Balance(spendable=5 * TIME))
        self.assertEqual(self.wallet.balance(minconf=2), Balance())
        (coin,) = self.wallet.unspent()
        self.assertEqual((coin.confirmations, coin.path), (0, KeyPath(RECEIVE, 0)))
        self.fixture.reach(tx, Status.CERTIFIED_STALE)  # a report, it stays final
        self.assert_balance(spendable=5 * TIME)

    def test_an_archived_payment(self) -> None:
        tx = self.fixture.receive(5 * TIME)
        self.fixture.block(tx)
        self.assert_balance(spendable=5 * TIME)
        self.assertFalse(self.wallet.follows(tx.txid))
        self.assertEqual([coin.confirmations for coin in self.wallet.unspent()], [1])
        self.fixture.block()
        self.assertEqual([coin.confirmations for coin in self.wallet.unspent()], [2])
        self.assertEqual(self.wallet.balance(minconf=2), Balance(spendable=5 * TIME))
        self.assertEqual(list(self.wallet.unspent(minconf=3)), [])
        self.assertEqual(list(self.wallet.unspent(maxconf=1)), [])

    def test_a_status_that_arrives_after_the_block_counts_nothing_twice(self) -> None:
        tx = self.world.promise(script_at(RECEIVE, 0), 5 * TIME)
        self.fixture.block(tx)
        for status in (Status.CERTIFIED, Status.FINAL, Status.ARCHIVED):
            self.wallet.on_status(tx.txid, status, tx)
            self.assert_balance(spendable=5 * TIME)

    def test_a_status_without_body(self) -> None:
        self.wallet.on_status(bytes(32), Status.CERTIFIED_BODY_MISSING, None)
        self.wallet.on_status(bytes(32), Status.REJECTED, None)
        self.assert_balance()

    def test_a_certified_payment_that_is_void(self) -> None:
        tx = self.world.promise(script_at(RECEIVE, 0), 5 * TIME)
        self.fixture.reach(tx, Status.CERTIFIED)
        coin = (tx.outpoints[0], self.world.spent(tx)[0])
        self.fixture.block(pay(CHAIN_ID, STRANGER, coin, STRANGER, TIME))
        self.assert_balance()

    def test_a_reward_rests(self) -> None:
        self.fixture.block(reward=[TxOutput(3 * TIME, script_at(RECEIVE, 0))])
        for _ in range(params.COINBASE_MATURITY_BLOCKS - 1):
            self.assert_balance(immature=3 * TIME)
            self.assertEqual(list(self.wallet.unspent()), [])
            self.assertRaises(InsufficientFunds, self.fixture.send, TIME)
            self.fixture.block()
        self.assert_balance(spendable=3 * TIME)
        self.fixture.send(TIME)  # and the ledger agrees

    def test_a_stake_is_ours_and_stays(self) -> None:
        owner = Account(SEED).pubkey_hash(KeyPath(RECEIVE, 0))
        script = stake(bytes(32), bytes(32), owner, bytes(20), 0)
        self.world.mint((outpoint(bytes(32), 1), Utxo(7 * TIME, script, 0, coinbase=False)))
        self.fixture.restart()
        self.assert_balance(staked=7 * TIME)
        self.assertEqual(self.wallet.balance().total, 7 * TIME)
        self.assertEqual(list(self.wallet.unspent()), [])
        self.assertRaises(InsufficientFunds, self.fixture.send, TIME)

    def test_a_share_in_a_multisig_is_not_ours_to_spend(self) -> None:
        own = Account(SEED).key(KeyPath(RECEIVE, 0))
        script = multisig(1, [own.public, STRANGER.public])
        self.world.mint((outpoint(bytes(32), 1), Utxo(7 * TIME, script, 0, coinbase=False)))
        self.fixture.restart()
        self.assert_balance()

    def test_unspent_of_certain_scripts_oldest_first(self) -> None:
        old = self.fixture.receive(TIME, index=0)
        self.fixture.block(old)
        new = self.fixture.receive(2 * TIME, index=1)
        points = [coin.point for coin in self.wallet.unspent()]
        self.assertEqual(points, [outpoint(old.txid, 0), outpoint(new.txid, 0)])
        (coin,) = self.wallet.unspent(scripts=[script_at(RECEIVE, 1)])
        self.assertEqual(coin.utxo.value, 2 * TIME)
        self.assertEqual(list(self.wallet.unspent(scripts=[])), [])

    def test_effect_of_a_payment(self) -> None:
        tx = self.fixture.receive(TIME)
        effect = self.wallet.effect_of(tx, lambda point: None)
        self.assertEqual(effect.received_units, TIME)


class MessageTests(WalletCase):
    passphrase = "words"

    def test_signed_with_the_key_of_an_address(self) -> None:
        address = self.wallet.new_address()
        signature = self.wallet.sign_message(address, "mine")
        self.assertTrue(verify_message(NETWORK, address, signature, "mine", verify))
        foreign = encode_address(NETWORK, script_of(STRANGER)[1:])
        self.assertRaises(KeyMissing, self.wallet.sign_message, foreign, "mine")
        self.wallet.lock()
        self.assertRaises(WalletLocked, self.wallet.sign_message, address, "mine")


class SpendingTests(WalletCase):
    def test_a_payment_from_start_to_end(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        tx = self.fixture.send(TIME)
        rest = 4 * TIME - FEE
        self.assertEqual(tx.outputs[1], TxOutput(rest, script_at(CHANGE, 0)))
        self.assert_balance(pending=rest)
        (change,) = self.wallet.unspent(minconf=0)
        self.assertEqual((change.point, change.standing), (outpoint(tx.txid, 1), Standing.PENDING))
        self.fixture.reach(tx, Status.FINAL)
        self.assert_balance(spendable=rest)
        second = self.fixture.send(TIME)  # out of the change, before any block
        self.assertEqual(second.outpoints, (outpoint(tx.txid, 1),))
        self.assertEqual(second.outputs[1].lock_script, script_at(CHANGE, 1))
        self.fixture.reach(second, Status.FINAL)
        self.fixture.block(tx, second)
        self.assert_balance(spendable=rest - TIME - FEE)

    def test_a_child_outlives_the_archiving_of_its_parent(self) -> None:
        self.fixture.receive(5 * TIME)
        tx = self.fixture.send(TIME)
        self.fixture.reach(tx, Status.FINAL)
        child = self.fixture.send(TIME)
        self.fixture.block(*[tx for tx, _ in self.world.pool.values() if tx != child])
        self.assertTrue(self.wallet.follows(child.txid))
        self.assert_balance(pending=3 * TIME - 2 * FEE)

    def test_no_coin_is_spent_twice(self) -> None:
        for index in range(3):
            self.fixture.receive(2 * TIME, index)
        spent = [point for _ in range(3) for point in self.fixture.send(TIME).outpoints]
        self.assertEqual(len(set(spent)), 3)
        self.assertRaises(InsufficientFunds, self.fixture.send, TIME)

    def test_a_refused_payment_frees_its_coins(self) -> None:
        self.fixture.receive(5 * TIME)
        tx = self.wallet.send([output(STRANGER, TIME)])
        self.assert_balance(pending=4 * TIME - FEE)
        self.assertEqual(self.wallet.abandon(tx.txid), (tx.txid,))
        self.assert_balance(spendable=5 * TIME)
        self.assertEqual(self.wallet.abandon(tx.txid), ())

    def test_a_final_payment_cannot_be_abandoned(self) -> None:
        self.fixture.receive(5 * TIME)
        tx = self.fixture.send(TIME)
        self.fixture.reach(tx, Status.FINAL)
        self.assertRaises(ValueError, self.wallet.abandon, tx.txid)
        self.assert_balance(spendable=4 * TIME - FEE)

    def test_rejected_and_expired_payments_free_their_coins(self) -> None:
        self.fixture.receive(5 * TIME)
        for status in (Status.REJECTED, Status.EXPIRED):
            tx = self.fixture.send(TIME)
            self.world.remove(tx.txid)
            self.wallet.on_status(tx.txid, status, None)
            self.assert_balance(spendable=5 * TIME)

    def test_what_spends_a_rejected_payment_goes_with_it(self) -> None:
        """Its inputs vanish: a certificate may be void, and its children with it."""
        self.fixture.receive(5 * TIME)
        tx = self.fixture.send(TIME)
        self.fixture.reach(tx, Status.FINAL)
        child = self.fixture.send(TIME)
        self.wallet.on_status(tx.txid, Status.REJECTED, None)
        self.assertFalse(self.wallet.follows(child.txid))
        self.assert_balance(spendable=5 * TIME)

    def test_the_same_seed_elsewhere_spent_the_coin(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        (coin,) = self.wallet.unspent()
        ours = self.fixture.send(TIME)
        owner = self.fixture.keystore.key(coin.path)
        theirs = spend(CHAIN_ID, [owner], [(coin.point, coin.utxo)], [output(STRANGER, 2 * TIME)])
        self.wallet.on_status(theirs.txid, Status.SEEN, theirs)
        self.assert_balance(pending=4 * TIME - FEE)
        self.fixture.block(theirs)
        self.assertFalse(self.wallet.follows(ours.txid))
        self.assertFalse(self.wallet.follows(theirs.txid))
        self.assert_balance()

    def test_a_payment_seen_with_our_signature_takes_its_coins(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        (coin,) = self.wallet.unspent()
        owner = self.fixture.keystore.key(coin.path)
        theirs = spend(CHAIN_ID, [owner], [(coin.point, coin.utxo)], [output(STRANGER, 2 * TIME)])
        self.wallet.on_status(theirs.txid, Status.SEEN, theirs)
        self.assert_balance()
        self.assertRaises(InsufficientFunds, self.fixture.send, TIME)

    def test_the_receiver_may_bear_the_fee(self) -> None:
        self.fixture.receive(5 * TIME)
        tx = self.fixture.send(5 * TIME, 0)
        self.assertEqual([item.value for item in tx.outputs], [5 * TIME - FEE])
        self.assert_balance()
        self.assertEqual(self.fixture.keystore.count(CHANGE), 0)  # no change, no key of it

    def test_a_refused_wish_changes_nothing(self) -> None:
        self.fixture.receive(5 * TIME)
        self.assertRaises(InsufficientFunds, self.fixture.send, 5 * TIME)
        self.assertRaises(PaymentRefused, self.fixture.send, 1)
        for _ in range(LOOKAHEAD // 2):
            self.fixture.keystore.take(CHANGE)
        with mock.patch.object(os, "fsync", side_effect=OSError(5, "I/O error")):
            self.assertRaises(WalletFileError, self.fixture.send, TIME)
        self.assert_balance(spendable=5 * TIME)
        self.assertEqual(self.fixture.keystore.count(CHANGE), LOOKAHEAD // 2)

    def test_coins_of_several_keys(self) -> None:
        for index in range(4):
            self.fixture.receive(TIME, index)
        tx = self.fixture.send(3 * TIME)
        check_spend(tx, self.world.spent(tx), CHAIN_ID, 1, 0, verify)
        self.assertEqual(len({witness[0] for witness in tx.witnesses}), 4)


class RestartTests(WalletCase):
    def test_chain_and_pool_tell_everything_again(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        first = self.fixture.send(TIME)
        self.fixture.reach(first, Status.FINAL)
        second = self.fixture.send(TIME)
        incoming = self.world.promise(script_at(RECEIVE, 3), 9 * TIME)
        self.fixture.reach(incoming, Status.CERTIFIED)
        before = self.wallet.balance()
        self.assertEqual(before, Balance(pending=3 * TIME - 2 * FEE + 9 * TIME))
        for waiting in (list(self.world.pool.values()), list(self.world.pool.values())[::-1]):
            wallet = Wallet(self.fixture.keystore, CHAIN_ID, self.world, fresh_rows())
            self.assertEqual(wallet.balance(), Balance(spendable=5 * TIME))
            wallet.restore(waiting)
            self.assertEqual(wallet.balance(), before)
            self.assertTrue(wallet.follows(second.txid))

    def test_an_old_backup_finds_keys_beyond_its_gap(self) -> None:
        """Each one found makes further ones known, wherever they stand in the set."""
        world = World()
        for number, index in enumerate((LOOKAHEAD - 1, 2 * LOOKAHEAD - 1, 3 * LOOKAHEAD - 1)):
            # The furthest has the lowest outpoint: one walk passes it before its key is known.
            point = outpoint(bytes([9 - number]) * 32, 0)
            world.mint((point, Utxo(TIME, script_at(RECEIVE, index), 0, coinbase=False)))
        wallet = Wallet(self.fixture.keystore, CHAIN_ID, world, fresh_rows())
        self.assertEqual(wallet.balance(), Balance(spendable=3 * TIME))
        self.assertEqual(self.fixture.keystore.count(RECEIVE), 3 * LOOKAHEAD)

    def test_a_key_in_use_is_not_handed_out_again(self) -> None:
        self.fixture.block(self.fixture.receive(TIME, index=4))
        self.wallet.new_address()
        self.assertEqual(self.fixture.keystore.used_hashes(RECEIVE)[-1], script_at(RECEIVE, 5)[1:])


class LockedTests(WalletCase):
    passphrase = "words"

    def test_locked_it_sees_but_does_not_pay(self) -> None:
        self.wallet.lock()
        self.fixture.receive(5 * TIME)
        self.assert_balance(spendable=5 * TIME)
        self.assertTrue(self.wallet.locked)
        self.assertRaises(WalletLocked, self.fixture.send, TIME)
        self.wallet.new_address()
        self.wallet.unlock_with(ENTROPY)
        self.fixture.send(TIME)
        self.wallet.lock()
        self.assertRaises(WalletLocked, self.fixture.send, TIME)

    def test_keys_of_an_old_backup_are_found_once_unlocked(self) -> None:
        world = World()
        for index in (LOOKAHEAD - 1, LOOKAHEAD):
            coin, tx = payment_to(script_at(RECEIVE, index), TIME, index)
            world.mint(coin)
            world.accept(tx)
            world.archive([tx])
        keystore = Keystore.open(self.path, NETWORK)
        wallet = Wallet(keystore, CHAIN_ID, world, fresh_rows())
        self.assertEqual(wallet.balance(), Balance(spendable=TIME))
        wallet.unlock_with(keystore.unsealed("words"))
        self.assertEqual(wallet.balance(), Balance(spendable=2 * TIME))


class ForeignTests(WalletCase):
    def test_strangers_among_themselves(self) -> None:
        other = key(78)
        coin, _ = payment_to(script_of(other), TIME, 1)
        self.world.mint(coin)
        tx: Transaction = pay(CHAIN_ID, STRANGER, coin, other, TIME)
        for status in (Status.SEEN, Status.CERTIFIED, Status.FINAL):
            self.wallet.on_status(tx.txid, status, tx)
            self.assertFalse(self.wallet.follows(tx.txid))
        self.fixture.block(tx)
        self.assert_balance()
        self.assertEqual(list(self.wallet.unspent(minconf=0)), [])
