"""Passphrases in a thread, time-outs on a clock, walks over the chain in steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest import mock

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.wallet.kit import (
    CHAIN_ID,
    NETWORK,
    TIME,
    Fixture,
    World,
    entropy,
    fresh_rows,
    new_keystore,
)
from timecoin.crypto.secretbox import WrongPassphrase
from timecoin.ledger.block import Block
from timecoin.wallet.derive import Branch, KeyPath
from timecoin.wallet.errors import ScanRunning, WrongState
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.scan import ScanProgress
from timecoin.wallet.service import MAX_UNLOCK_S, TURN_BUDGET_S, WalletService
from timecoin.wallet.wallet import Wallet

T = TypeVar("T")


class Threads:
    """Runs work when told to, as threads that take their time."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        started: Deferred[None] = Deferred()
        self._waiting.append(lambda: started.callback(None))
        return started.addCallback(lambda _: work())

    def finish(self) -> None:
        """Let what runs now come to its end."""
        waiting, self._waiting = self._waiting, []
        for end in waiting:
            end()


class ServiceCase(SynchronousTestCase):
    passphrase: str | None = "words"

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "wallet"
        new_keystore(self.path, self.passphrase)
        self.keystore = Keystore.open(self.path, NETWORK)
        self.wallet = Wallet(self.keystore, CHAIN_ID, World(), fresh_rows())
        self.clock, self.threads = Clock(), Threads()
        self.service = WalletService(self.wallet, entropy(), self.clock, self.threads)
        self.service.startService()
        self.clock.advance(0)  # the history is up to date

    def unlock(self, timeout_s: int, passphrase: str = "words") -> None:
        done = self.service.unlock(passphrase, timeout_s)
        self.assertNoResult(done)
        self.threads.finish()
        self.successResultOf(done)
        self.clock.advance(0)


class UnlockTests(ServiceCase):
    def test_it_locks_itself(self) -> None:
        self.assertIsNone(self.service.locks_in_s)
        self.unlock(60)
        self.assertEqual((self.wallet.locked, self.service.locks_in_s), (False, 60))
        self.clock.advance(59)
        self.assertEqual((self.wallet.locked, self.service.locks_in_s), (False, 1))
        self.clock.advance(1)
        self.assertEqual((self.wallet.locked, self.service.locks_in_s), (True, None))

    def test_a_later_time_out_counts(self) -> None:
        self.unlock(60)
        self.unlock(10)
        self.clock.advance(10)
        self.assertTrue(self.wallet.locked)
        self.unlock(10)
        self.unlock(60)
        self.clock.advance(59)
        self.assertFalse(self.wallet.locked)

    def test_locking_ends_the_time(self) -> None:
        self.unlock(60)
        self.service.lock()
        self.assertTrue(self.wallet.locked)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_lock_asked_for_meanwhile_wins(self) -> None:
        done = self.service.unlock("words", 60)
        self.service.lock()
        self.threads.finish()
        self.successResultOf(done)
        self.assertTrue(self.wallet.locked)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_wrong_passphrase_leaves_the_time_that_runs(self) -> None:
        self.unlock(60)
        done = self.service.unlock("other words", 600)
        self.threads.finish()
        self.failureResultOf(done, WrongPassphrase)
        self.assertEqual((self.wallet.locked, self.service.locks_in_s), (False, 60))
        self.unlock(5)  # and the next one is not held up

    def test_a_time_out_of_range(self) -> None:
        for timeout_s in (-1, MAX_UNLOCK_S + 1):
            self.assertRaises(ValueError, self.service.unlock, "words", timeout_s)


class PassphraseTests(ServiceCase):
    def test_changes_wait_for_each_other(self) -> None:
        first = self.service.change_passphrase("words", "second")
        then = self.service.unlock("second", 60)
        self.threads.finish()
        self.successResultOf(first)
        self.assertNoResult(then)
        self.threads.finish()
        self.successResultOf(then)
        self.assertFalse(self.wallet.locked)

    def test_refusals(self) -> None:
        for old, new, error in (
            ("other", "new", WrongPassphrase),
            (None, "new", WrongState),
            ("words", "", ValueError),
        ):
            done = self.service.change_passphrase(old, new)
            self.threads.finish()
            self.failureResultOf(done, error)
        self.unlock(1)

    def test_an_address_taken_meanwhile_is_kept(self) -> None:
        done = self.service.change_passphrase("words", "new")
        self.wallet.new_address()
        self.threads.finish()
        self.successResultOf(done)
        self.assertEqual(Keystore.open(self.path, NETWORK).count(Branch.RECEIVE), 1)


class PlainTests(ServiceCase):
    passphrase = None

    def test_a_first_passphrase_locks(self) -> None:
        self.assertRaises(WrongState, self.service.lock)
        done = self.service.unlock("words", 60)
        self.threads.finish()
        self.failureResultOf(done, WrongState)
        changed = self.service.change_passphrase(None, "words")
        self.threads.finish()
        self.successResultOf(changed)
        self.assertTrue(self.wallet.locked)
        self.assertTrue(Keystore.open(self.path, NETWORK).sealed)

    def test_stopping_writes_what_is_unwritten(self) -> None:
        self.keystore.take(Branch.CHANGE)
        self.assertEqual(Keystore.open(self.path, NETWORK).count(Branch.CHANGE), 0)
        self.successResultOf(maybeDeferred(self.service.stopService))
        self.assertEqual(Keystore.open(self.path, NETWORK).count(Branch.CHANGE), 1)


class StopTests(ServiceCase):
    def test_stopping_locks(self) -> None:
        self.unlock(60)
        self.successResultOf(maybeDeferred(self.service.stopService))
        self.assertTrue(self.wallet.locked)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_waits_for_the_thread(self) -> None:
        unlocking = self.service.unlock("words", 60)
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        self.threads.finish()
        self.successResultOf(stopped)
        self.successResultOf(unlocking)
        self.assertTrue(self.wallet.locked)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ScanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.fixture = Fixture(Path(self.mktemp()) / "wallet")
        for index in range(3):  # archived while this wallet was not running
            self.fixture.world.archive([self.fixture.receive(TIME, index)])
        self.fixture.restart()
        self.clock = Clock()
        self.service = WalletService(self.fixture.wallet, entropy(), self.clock, Threads())

    def listed(self) -> int:
        return len(list(self.fixture.wallet.entries()))

    def test_the_start_reads_what_was_missed(self) -> None:
        self.assertEqual(self.listed(), 0)
        self.service.startService()
        self.assertRaises(ScanRunning, self.service.rescan, 1)
        self.clock.advance(0)
        self.assertEqual((self.listed(), self.service.scanning), (3, None))

    def test_a_rescan(self) -> None:
        self.service.startService()
        self.clock.advance(0)
        self.fixture.keystore.mark_used(KeyPath(Branch.RECEIVE, 7))
        done = self.service.rescan(2, 3)
        self.assertRaises(ScanRunning, self.service.rescan, 1)
        self.assertNoResult(done)
        self.clock.advance(0)
        self.successResultOf(done)
        reopened = Keystore.open(self.fixture.path, NETWORK)
        self.assertEqual(reopened.count(Branch.RECEIVE), 8)  # what it found is on disk
        self.assertRaises(ValueError, self.service.rescan, 4)
        self.successResultOf(self.walked(1))  # and that is not in its way

    def walked(self, first: int) -> Deferred[None]:
        done = self.service.rescan(first)
        self.clock.advance(0)
        return done

    def test_progress(self) -> None:
        seen = []

        def watch(height: int) -> Block | None:
            seen.append(self.service.scanning)
            return block(height)

        block = self.fixture.world.block
        with mock.patch.object(self.fixture.world, "block", watch):
            self.successResultOf(self.walked(1))
        self.assertEqual(seen, [None, ScanProgress(1, 3, 1), ScanProgress(1, 3, 2)])

    def test_a_walk_lets_others_have_their_turn(self) -> None:
        block = self.fixture.world.block
        turns = []

        def slow(height: int) -> Block | None:
            self.clock.rightNow += 2 * TURN_BUDGET_S
            return block(height)

        with (
            mock.patch.object(self.fixture.world, "block", slow),
            mock.patch.object(self.clock, "callLater", wraps=self.clock.callLater) as later,
        ):
            self.service.startService()
            self.clock.advance(0)
            turns.append(later.call_count)
        self.assertEqual(self.listed(), 3)
        with mock.patch.object(self.clock, "callLater", wraps=self.clock.callLater) as later:
            self.successResultOf(self.walked(1))
            turns.append(later.call_count)
        self.assertEqual(turns, [4, 1])  # one for each block and one for the end; one for all

    def test_a_damaged_store(self) -> None:
        del self.fixture.world.blocks[2]
        self.failureResultOf(self.walked(1), LookupError)
        self.assertIsNone(self.service.scanning)
        self.service.startService()
        self.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    def test_stopping_ends_it(self) -> None:
        self.service.startService()
        self.successResultOf(maybeDeferred(self.service.stopService))
        self.clock.advance(0)
        self.assertEqual((self.listed(), self.service.scanning), (0, None))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class UnlockScanTests(ServiceCase):
    def test_keys_found_by_unlocking_are_searched_for(self) -> None:
        self.keystore.mark_used(KeyPath(Branch.RECEIVE, 5))
        with mock.patch.object(self.wallet, "catch_up", return_value=iter(())) as walk:
            self.unlock(60)
        walk.assert_called_once_with()
