"""Reading the chain: after a restart, from words alone, again: it always ends with everything."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wallet.kit import (
    CHAIN_ID,
    CREATED_MS,
    ENTROPY,
    NETWORK,
    SLOT_MS,
    TIME,
    Fixture,
    fresh_rows,
    script_at,
)
from tests.wallet.test_life import Course, steps
from tests.wallet.test_wallet import WalletCase
from timecoin.finality.events import Status
from timecoin.store.memory import MemoryEngine
from timecoin.store.walletstore import WalletStore
from timecoin.wallet.book import BookRow, HistoryBook
from timecoin.wallet.derive import Branch
from timecoin.wallet.history import HistoryEntry
from timecoin.wallet.keystore import LOOKAHEAD, Keystore
from timecoin.wallet.scan import CLOCK_SLACK_MS, ScanProgress, first_height_since
from timecoin.wallet.wallet import Wallet

RECEIVE = Branch.RECEIVE


def archived(wallet: Wallet) -> list[HistoryEntry]:
    return [entry for entry in wallet.entries() if entry.height is not None]


class CatchUpTests(WalletCase):
    def pay(self, index: int, *, heard: bool = True) -> None:
        """One more block that pays to key ``index``."""
        tx = self.world.promise(script_at(RECEIVE, index), (index + 1) * TIME)
        self.world.reach(tx, Status.FINAL)
        connected = self.world.archive([tx])
        if heard:
            self.wallet.on_block(connected)

    def again(self, rows: WalletStore, *, created_ms: int = 0) -> Wallet:
        """Another wallet of the same words, that has read nothing."""
        path = self.path.with_name("again")
        path.unlink(missing_ok=True)
        keystore = Keystore.create(path, NETWORK, ENTROPY, created_ms)
        return Wallet(keystore, CHAIN_ID, self.world, rows)

    def test_blocks_that_were_archived_meanwhile(self) -> None:
        for index in range(3):
            self.pay(index, heard=index == 0)
        self.fixture.restart()
        self.assertEqual(len(archived(self.wallet)), 1)
        self.assertEqual(
            list(self.wallet.catch_up()), [ScanProgress(2, 3, 2), ScanProgress(2, 3, 3)]
        )
        self.assertEqual([entry.height for entry in archived(self.wallet)], [3, 2, 1])

    def test_a_block_during_the_walk(self) -> None:
        for index in range(3):
            self.pay(index, heard=False)
        walk = self.wallet.catch_up()
        next(walk)
        self.pay(3)
        progress = list(walk)
        self.assertEqual((progress[-1].last, progress[-1].height), (4, 4))
        self.assertEqual(len(archived(self.wallet)), 4)
        self.pay(4)
        self.assertEqual(len(archived(self.wallet)), 5)

    def test_words_bring_back_what_was_received_and_spent(self) -> None:
        """The coins of the first keys are gone: the UTXO set alone would not lead beyond them."""
        for index in range(0, 3 * LOOKAHEAD, 7):
            self.pay(index)
        spent = self.fixture.send(self.wallet.balance().spendable - TIME, 0)
        self.fixture.reach(spent, Status.FINAL)
        self.fixture.block(spent)
        self.pay(3 * LOOKAHEAD + 5)
        restored = self.again(fresh_rows())
        self.assertNotEqual(restored.balance(), self.wallet.balance())
        list(restored.catch_up())
        self.assertEqual(restored.balance(), self.wallet.balance())
        self.assertEqual(archived(restored), archived(self.wallet))
        self.assertEqual(restored.new_address(), self.wallet.new_address())

    def test_keys_used_out_of_their_order(self) -> None:
        """Key 25 is paid before key 10 makes it known."""
        self.pay(LOOKAHEAD + 5, heard=False)
        self.pay(10, heard=False)
        # Twice: the first walk makes key 25 known, which might have been used before.
        self.assertEqual([step.height for step in self.wallet.catch_up()], [1, 2, 1, 2])
        self.assertEqual([entry.height for entry in archived(self.wallet)], [2, 1])

    def test_keys_within_one_block_in_any_order(self) -> None:
        indexes = (3 * LOOKAHEAD - 3, LOOKAHEAD - 1, 2 * LOOKAHEAD - 2)
        self.fixture.block(*[self.fixture.receive(TIME, index) for index in indexes])
        self.assertEqual(len(archived(self.wallet)), 3)

    def test_a_rescan_adds_nothing_twice(self) -> None:
        for index in range(4):
            self.pay(index)
        before = archived(self.wallet)
        self.assertEqual(
            list(self.wallet.rescan(2, 3)), [ScanProgress(2, 3, 2), ScanProgress(2, 3, 3)]
        )
        self.assertEqual([step.height for step in self.wallet.rescan(1)], [1, 2, 3, 4])
        self.assertEqual(archived(self.wallet), before)
        for first, last in ((0, None), (5, None), (3, 2), (1, 5), (-1, 2)):
            self.assertRaises(ValueError, self.wallet.rescan, first, last)

    def test_a_bounded_rescan_finds_keys_too(self) -> None:
        self.pay(0)
        self.pay(LOOKAHEAD + 5)  # unknown as yet
        self.pay(12)
        self.assertEqual(len(archived(self.wallet)), 2)
        list(self.wallet.rescan(2, 2))
        self.assertEqual(len(archived(self.wallet)), 3)

    def test_a_fresh_wallet_on_an_old_chain_reads_from_its_birth_on(self) -> None:
        for index in range(40):
            self.pay(index % 3)
        born_ms = CREATED_MS + 30 * SLOT_MS + CLOCK_SLACK_MS
        self.assertEqual(first_height_since(self.world, born_ms), 30)
        self.assertEqual(first_height_since(self.world, 0), 1)
        self.assertEqual(first_height_since(self.world, 2**60), 41)
        wallet = self.again(fresh_rows(), created_ms=born_ms)
        self.assertEqual(next(wallet.catch_up()), ScanProgress(30, 40, 30))

    def test_a_damaged_store(self) -> None:
        self.pay(0, heard=False)
        rows = fresh_rows()
        rows.write([(b"h" + self.fixture.keystore.fingerprint + bytes(12), b"\xc0")])
        wallet = Wallet(self.fixture.keystore, CHAIN_ID, self.world, rows)
        self.assertRaises(LookupError, list, wallet.entries())
        del self.world.blocks[1]
        self.assertRaises(LookupError, list, self.wallet.catch_up())


class CrashTests(WalletCase):
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 12))
    def test_lost_rows_are_read_again(self, kept: int) -> None:
        """Whatever a crash takes of the latest batches, rows and pointer go together."""
        with TemporaryDirectory() as folder:
            engine = MemoryEngine()
            engine.write([], sync=True)
            fixture = Fixture(Path(folder) / "wallet")
            fixture.rows = WalletStore(engine)
            fixture.restart()
            for index in range(8):
                fixture.block(fixture.receive((index + 1) * TIME, index))
            before = archived(fixture.wallet)
            engine.crash(keep=min(kept, engine.unsynced_batches))
            fixture.restart()
            self.assertEqual(len(archived(fixture.wallet)), min(kept, 8))
            list(fixture.wallet.catch_up())
            self.assertEqual(archived(fixture.wallet), before)


class OldBackupTests(WalletCase):
    passphrase = "words"

    def test_unlocking_finds_keys_and_their_history(self) -> None:
        self.wallet.lock()
        for index in (LOOKAHEAD - 1, LOOKAHEAD):
            self.fixture.block(self.fixture.receive(TIME, index))
        self.assertEqual(len(archived(self.wallet)), 1)
        self.wallet.unlock_with(ENTROPY)
        list(self.wallet.catch_up())
        self.assertEqual(len(archived(self.wallet)), 2)


class TwoWalletsTests(WalletCase):
    def test_rows_of_two_wallets_in_one_store(self) -> None:
        self.fixture.block(self.fixture.receive(TIME))
        other = Keystore.create(self.path.with_name("other"), NETWORK, bytes(16), 0)
        wallet = Wallet(other, CHAIN_ID, self.world, self.fixture.rows)
        list(wallet.catch_up())
        self.assertEqual(list(wallet.entries()), [])
        self.assertEqual(len(archived(self.wallet)), 1)
        book = HistoryBook(self.fixture.rows, other.fingerprint, 7)
        self.assertEqual(book.next_height, 2)


class HistoryLifeTests(WalletCase):
    @settings(max_examples=40, deadline=None)
    @given(steps)
    def test_history_and_chain_tell_the_same(self, course: list[tuple[str, int]]) -> None:
        """After any course of events: its sums are the chain's, and words alone bring it back."""
        with TemporaryDirectory() as folder:
            fixture = Fixture(Path(folder) / "wallet")
            life = Course(fixture)
            for step, number in course:
                life.take(step, number)
            wallet = fixture.wallet
            list(wallet.catch_up())
            told = archived(wallet)
            gained = sum(row.received_units - row.spent_units for row in self.rows(fixture))
            on_chain = sum(
                utxo.value
                for _, utxo in fixture.world.utxos()
                if fixture.keystore.owner(utxo.script) is not None
            )
            self.assertEqual(gained, on_chain)
            restored = Keystore.create(Path(folder) / "restored", NETWORK, ENTROPY, 0)
            again = Wallet(restored, CHAIN_ID, fixture.world, fresh_rows())
            list(again.catch_up())
            self.assertEqual(archived(again), told)
            heights = [entry.height for entry in told if entry.height is not None]
            self.assertEqual(heights, sorted(heights, reverse=True))

    def rows(self, fixture: Fixture) -> list[BookRow]:
        book = HistoryBook(fixture.rows, fixture.keystore.fingerprint, 1)
        return [each.row for each in book]
