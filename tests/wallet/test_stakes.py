"""Stakes given back: signed once, kept over restarts, forgotten when they are spent."""

from __future__ import annotations

from tests.wallet.kit import CHAIN_ID, STRANGER, TIME, script_at
from tests.wallet.test_wallet import WalletCase
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import verify
from timecoin.ledger.script import stake
from timecoin.ledger.sighash import SIGHASH_ALL, sighash
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.changes import leave_statement
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import InsufficientFunds, KeyMissing, StakeRefused, WalletLocked

OWNER = script_at(Branch.RECEIVE, 0)[1:]
VOTING, VRF = b"v" * 32, b"r" * 32
UNITS = 1_000 * TIME


class UnstakingTests(WalletCase):
    passphrase = "words"

    def setUp(self) -> None:
        super().setUp()
        self.point = self.staked(OWNER, 1)

    def staked(self, owner_hash: bytes, number: int, units: int = UNITS) -> Outpoint:
        """A stake that has been there all the time."""
        point = outpoint(bytes([number]) * 32, 0)
        script = stake(VOTING, VRF, owner_hash, bytes(20), 0)
        self.world.mint((point, Utxo(units, script, 0, coinbase=False)))
        self.fixture.restart()
        return point

    def assert_signed(self, tx: Transaction) -> None:
        pubkey, signature = tx.witnesses[0]
        script = stake(VOTING, VRF, OWNER, bytes(20), 0)
        message = sighash(CHAIN_ID, SIGHASH_ALL, tx.txid, 0, UNITS, script)
        self.assertEqual(hash160(pubkey), OWNER)
        self.assertTrue(verify(pubkey, message, signature))

    def test_all_of_it_returns_to_a_fresh_key(self) -> None:
        tx = self.wallet.unstake(self.point, fee_rate=1_000)
        self.assert_signed(tx)
        (returned,) = tx.outputs
        self.assertEqual(returned.lock_script, script_at(Branch.CHANGE, 0))
        fee_units = UNITS - returned.value
        self.assertGreaterEqual(fee_units, 1_000 * len(tx.encoded))
        self.assertLess(fee_units, 1_000 * (len(tx.encoded) + 20))
        self.assert_balance(staked=UNITS)

    def test_asked_again_it_is_the_same_also_when_locked(self) -> None:
        tx = self.wallet.unstake(self.point)
        self.wallet.lock()
        self.assertEqual(self.wallet.unstake(self.point), tx)
        self.assertEqual(self.wallet.unstaking.waiting(), (tx,))

    def test_it_waits_over_a_restart_until_it_is_spent(self) -> None:
        tx = self.wallet.unstake(self.point)
        self.fixture.restart()
        self.assertEqual(self.wallet.unstaking.waiting(), (tx,))
        self.fixture.block(tx)
        self.assertEqual(self.wallet.unstaking.waiting(), ())
        self.assert_balance(spendable=tx.outputs[0].value)
        self.fixture.restart()
        self.assertEqual(self.wallet.unstaking.waiting(), ())
        self.fixture.send(TIME)  # and it can be spent

    def test_it_waits_for_its_own_wallet_only(self) -> None:
        self.wallet.unstake(self.point)
        row = next(iter(self.fixture.rows.scan(b"u")))
        self.assertTrue(row[0].startswith(b"u" + self.wallet.keystore.fingerprint))

    def test_a_locked_wallet(self) -> None:
        self.wallet.lock()
        self.assertRaises(WalletLocked, self.wallet.unstake, self.point)
        self.assertRaises(WalletLocked, self.wallet.sign_leave, OWNER, VOTING, 7)

    def test_what_is_no_stake_of_ours(self) -> None:
        foreign = self.staked(hash160(STRANGER.public), 2)
        self.fixture.block(self.fixture.receive(5 * TIME))
        plain = next(self.wallet.unspent()).point
        for point in (foreign, plain, outpoint(bytes(32), 9)):
            self.assertRaises(StakeRefused, self.wallet.unstake, point)
        self.assertEqual(self.wallet.unstaking.waiting(), ())

    def test_dust_is_not_given_back(self) -> None:
        point = self.staked(OWNER, 3, units=100_001)
        self.assertRaises(InsufficientFunds, self.wallet.unstake, point)

    def test_staked_coins_pay_nothing(self) -> None:
        outputs = [TxOutput(TIME, script_at(Branch.RECEIVE, 5))]
        self.assertRaises(InsufficientFunds, self.wallet.send, outputs)
        self.wallet.unstake(self.point)
        self.assertRaises(InsufficientFunds, self.wallet.send, outputs)

    def test_a_leave_is_signed_by_the_owner(self) -> None:
        leave = self.wallet.sign_leave(OWNER, VOTING, 7)
        self.assertEqual(hash160(leave.signer), OWNER)
        statement = leave_statement(CHAIN_ID, VOTING, 7)
        self.assertTrue(verify(leave.signer, statement, leave.signature))
        stranger = hash160(STRANGER.public)
        self.assertRaises(KeyMissing, self.wallet.sign_leave, stranger, VOTING, 7)
