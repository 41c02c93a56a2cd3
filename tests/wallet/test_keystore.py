"""The seed at rest: locked and not, keys that never repeat, failures that change nothing."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wallet.kit import (
    CREATED_MS,
    ENTROPY,
    NETWORK,
    SEED,
    entropy,
    new_keystore,
    script_at,
)
from timecoin.crypto.hashing import blake3_256
from timecoin.crypto.secretbox import WrongPassphrase
from timecoin.ledger.script import multisig, pay_to_pubkey_hash, stake
from timecoin.params import Network
from timecoin.wallet.derive import Account, Branch, KeyPath
from timecoin.wallet.errors import WalletFileError, WalletLocked, WrongState
from timecoin.wallet.keystore import LOOKAHEAD, Keystore
from timecoin.wallet.walletfile import create_wallet, read_wallet
from timecoin.wallet.words import ENTROPY_BYTES, entropy_of, seed_of, words_of

RECEIVE, CHANGE = Branch.RECEIVE, Branch.CHANGE
PATH = KeyPath(RECEIVE, 0)


def hash_at(branch: Branch, index: int) -> bytes:
    return script_at(branch, index)[1:]


class KeystoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "wallet"

    def test_a_new_one_is_open_and_hands_out_keys_in_order(self) -> None:
        keystore = new_keystore(self.path)
        self.assertEqual((keystore.sealed, keystore.locked), (False, False))
        self.assertEqual(keystore.created_ms, CREATED_MS)
        self.assertEqual(keystore.peek(RECEIVE), hash_at(RECEIVE, 0))
        self.assertEqual(
            [keystore.take(RECEIVE) for _ in range(30)],
            [hash_at(RECEIVE, index) for index in range(30)],
        )
        self.assertEqual(keystore.take(CHANGE), hash_at(CHANGE, 0))
        self.assertEqual((keystore.count(RECEIVE), keystore.count(CHANGE)), (30, 1))
        self.assertEqual(keystore.used_hashes(CHANGE), (hash_at(CHANGE, 0),))

    def test_an_address_is_on_disk_before_it_is_handed_out(self) -> None:
        new_keystore(self.path).take(RECEIVE)
        self.assertEqual(Keystore.open(self.path, NETWORK).take(RECEIVE), hash_at(RECEIVE, 1))

    def test_change_reaches_the_disk_before_the_known_keys_end(self) -> None:
        keystore = new_keystore(self.path)
        for index in range(3 * LOOKAHEAD):
            taken = keystore.take(CHANGE)
            self.assertEqual(taken, hash_at(CHANGE, index))
            reopened = Keystore(self.path, NETWORK, read_wallet(self.path, NETWORK))
            self.assertIsNotNone(reopened.owner(pay_to_pubkey_hash(taken)))
        keystore.save()
        self.assertEqual(Keystore.open(self.path, NETWORK).count(CHANGE), 3 * LOOKAHEAD)

    def test_keys_and_owners(self) -> None:
        keystore = new_keystore(self.path)
        path = KeyPath(CHANGE, LOOKAHEAD - 1)
        own = hash_at(CHANGE, LOOKAHEAD - 1)
        self.assertEqual(keystore.owner(pay_to_pubkey_hash(own)), path)
        self.assertEqual(keystore.key(path).seed, Account(SEED).key(path).seed)
        foreign, key = bytes(20), keystore.key(path).public
        self.assertEqual(keystore.owner(stake(key, key, own, foreign, 5)), path)
        for script in (
            pay_to_pubkey_hash(hash_at(CHANGE, LOOKAHEAD)),
            stake(key, key, foreign, own, 5),
            multisig(1, [key]),
            b"",
            b"\x01",
            b"\x03" + own,
        ):
            self.assertIsNone(keystore.owner(script), script.hex())

    def test_seen_in_use(self) -> None:
        keystore = new_keystore(self.path)
        keystore.mark_used(KeyPath(RECEIVE, 7))
        keystore.mark_used(KeyPath(RECEIVE, 3))
        self.assertEqual(keystore.take(RECEIVE), hash_at(RECEIVE, 8))
        self.assertEqual(keystore.known, 9 + LOOKAHEAD + LOOKAHEAD)

    def test_entropy_that_no_words_stand_for(self) -> None:
        for length in (0, 15, 31, 33, 64):
            self.assertRaises(ValueError, Keystore.create, self.path, NETWORK, bytes(length), 0)
        self.assertRaises(ValueError, Keystore.create, self.path, NETWORK, ENTROPY, 0, "passphrase")
        self.assertFalse(self.path.exists())

    def test_another_network(self) -> None:
        new_keystore(self.path)
        self.assertRaises(WalletFileError, Keystore.open, self.path, Network.MAINNET)

    def test_back_from_its_words(self) -> None:
        for size in ENTROPY_BYTES:
            entropy = bytes(range(size))
            first = Keystore.create(self.path.with_name(f"{size}"), NETWORK, entropy, CREATED_MS)
            again = Keystore.create(
                self.path.with_name(f"{size} again"),
                NETWORK,
                entropy_of(words_of(first.unsealed(None))),
                0,
            )
            self.assertEqual(first.take(RECEIVE), again.take(RECEIVE))
            account = Account(seed_of(words_of(entropy)))
            self.assertEqual(first.used_hashes(RECEIVE)[0], account.pubkey_hash(PATH))

    def test_another_account_of_the_same_words(self) -> None:
        keystore = Keystore.create(self.path, NETWORK, ENTROPY, 0, account=3)
        self.assertEqual(keystore.peek(RECEIVE), Account(SEED, 3).pubkey_hash(PATH))
        reopened = Keystore.open(self.path, NETWORK)
        self.assertEqual(reopened.key(PATH).seed, Account(SEED, 3).key(PATH).seed)
        for account in (-1, 2**31):
            path = self.path.with_name("none")
            self.assertRaises(
                ValueError, Keystore.create, path, NETWORK, ENTROPY, 0, account=account
            )
            self.assertFalse(path.exists())

    def test_words_that_are_not_those_of_the_addresses(self) -> None:
        new_keystore(self.path)
        content = read_wallet(self.path, NETWORK)
        for name, secret in (("other", bytes(32)), ("short", ENTROPY[:31])):
            path = self.path.with_name(name)
            create_wallet(path, msgspec.structs.replace(content, secret=secret))
            error = self.assertRaises(WalletFileError, Keystore.open, path, NETWORK)
            self.assertIn("words are not those", str(error))

    def test_a_failed_write_hands_out_nothing(self) -> None:
        keystore = new_keystore(self.path)
        with mock.patch.object(os, "fsync", side_effect=OSError(5, "I/O error")):
            self.assertRaises(WalletFileError, keystore.take, RECEIVE)
            for _ in range(LOOKAHEAD // 2):
                keystore.take(CHANGE)
            self.assertRaises(WalletFileError, keystore.take, CHANGE)
        self.assertEqual(keystore.take(RECEIVE), hash_at(RECEIVE, 0))
        self.assertEqual(keystore.take(CHANGE), hash_at(CHANGE, LOOKAHEAD // 2))


class DamageTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_any_change_behind_a_right_checksum(self, draw: st.DataObject) -> None:
        """Whatever a file holds, it opens to a keystore or to one line for its user."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "wallet"
            new_keystore(path).take(RECEIVE, "rent")
            raw = path.read_bytes()
            body = bytearray(raw[48:])
            for _ in range(draw.draw(st.integers(1, 3))):
                body[draw.draw(st.integers(0, len(body) - 1))] = draw.draw(st.integers(0, 255))
            path.write_bytes(raw[:16] + blake3_256(bytes(body)) + bytes(body))
            try:
                keystore = Keystore.open(path, NETWORK)
                keystore.take(CHANGE)
            except (WalletFileError, WalletLocked) as error:
                self.assertEqual(len(str(error).splitlines()), 1)
            else:
                self.assertFalse(keystore.locked)


class BackupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.path = self.folder / "wallet"
        self.keystore = new_keystore(self.path, "words")
        self.keystore.take(RECEIVE, "rent")
        self.keystore.take(CHANGE)  # not written yet

    def test_there_and_back(self) -> None:
        copy = self.keystore.backup(self.folder / "copy")
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        restored = Keystore.open(copy, NETWORK)
        self.assertTrue(restored.locked)
        restored.unlock("words")
        self.assertEqual(restored.take(RECEIVE), hash_at(RECEIVE, 1))
        self.assertEqual(restored.take(CHANGE), hash_at(CHANGE, 1))
        self.assertEqual(restored.labels, {hash_at(RECEIVE, 0): "rent"})

    def test_into_a_directory(self) -> None:
        folder = self.folder / "backups"
        folder.mkdir()
        self.assertEqual(self.keystore.backup(folder), folder / "wallet")
        self.assertEqual(os.listdir(folder), ["wallet"])

    def test_nothing_is_overwritten(self) -> None:
        copy = self.keystore.backup(self.folder / "copy")
        before = copy.read_bytes()
        self.keystore.take(RECEIVE)
        for refused in (copy, self.path, self.folder):
            self.assertRaises(WalletFileError, self.keystore.backup, refused)
        self.assertEqual(copy.read_bytes(), before)
        self.assertEqual(Keystore.open(self.path, NETWORK).count(RECEIVE), 2)

    def test_a_full_disk_leaves_nothing_behind(self) -> None:
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")):
            self.assertRaises(WalletFileError, self.keystore.backup, self.folder / "copy")
        self.assertEqual(os.listdir(self.folder), ["wallet"])


class SecrecyTests(SynchronousTestCase):
    def test_no_secret_in_any_repr(self) -> None:
        keystore = new_keystore(Path(self.mktemp()) / "wallet")
        key = keystore.key(PATH)
        shown = "".join(
            repr(each)
            for each in (keystore, vars(keystore), Account(SEED), vars(Account(SEED)), key)
        )
        for secret in (ENTROPY, SEED, key.seed):
            self.assertNotIn(secret.hex(), shown)
            self.assertNotIn(repr(secret)[2:-1], shown)


class PassphraseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "wallet"
        new_keystore(self.path, "old words")
        self.keystore = Keystore.open(self.path, NETWORK)

    def test_locked_it_gives_addresses_but_no_keys(self) -> None:
        keystore = self.keystore
        self.assertEqual((keystore.sealed, keystore.locked), (True, True))
        self.assertRaises(WalletLocked, keystore.key, KeyPath(RECEIVE, 0))
        for index in range(LOOKAHEAD):
            self.assertEqual(keystore.take(RECEIVE), hash_at(RECEIVE, index))
        self.assertRaises(WalletLocked, keystore.take, RECEIVE)
        self.assertRaises(WalletLocked, keystore.peek, RECEIVE)
        self.assertEqual(keystore.count(RECEIVE), LOOKAHEAD)
        keystore.unlock("old words")
        self.assertEqual(keystore.take(RECEIVE), hash_at(RECEIVE, LOOKAHEAD))

    def test_unlock_and_lock(self) -> None:
        path = KeyPath(RECEIVE, 0)
        self.assertFalse(self.keystore.unlock("old words"))
        self.assertEqual(self.keystore.key(path).seed, Account(SEED).key(path).seed)
        self.keystore.lock()
        self.assertRaises(WalletLocked, self.keystore.key, path)

    def test_the_words_are_not_in_the_file(self) -> None:
        self.assertNotIn(ENTROPY, self.path.read_bytes())

    def test_wrong_passphrase_changes_nothing(self) -> None:
        before = self.path.read_bytes()
        self.assertRaises(WrongPassphrase, self.keystore.unlock, "other words")
        self.assertTrue(self.keystore.locked)
        self.assertRaises(
            WrongPassphrase, self.keystore.change_passphrase, "other words", "new", entropy()
        )
        self.assertRaises(ValueError, self.keystore.change_passphrase, "old words", "", entropy())
        self.assertRaises(WrongState, self.keystore.change_passphrase, None, "new", entropy())
        self.assertEqual(self.path.read_bytes(), before)

    def test_another_passphrase(self) -> None:
        self.keystore.take(RECEIVE)
        self.keystore.change_passphrase("old words", "new words", entropy())
        self.assertTrue(self.keystore.locked)
        for keystore in (self.keystore, Keystore.open(self.path, NETWORK)):
            self.assertRaises(WrongPassphrase, keystore.unlock, "old words")
            keystore.unlock("new words")
            self.assertEqual(keystore.peek(RECEIVE), hash_at(RECEIVE, 1))

    def test_a_passphrase_for_a_wallet_without_one(self) -> None:
        path = self.path.with_name("plain")
        keystore = new_keystore(path)
        for call in (keystore.lock, lambda: keystore.unlock("x")):
            self.assertRaises(WrongState, call)
        keystore.change_passphrase(None, "words", entropy())
        self.assertEqual((keystore.sealed, keystore.locked), (True, True))
        self.assertNotIn(ENTROPY, path.read_bytes())
        keystore.unlock("words")
        self.assertEqual(keystore.take(RECEIVE), hash_at(RECEIVE, 0))

    def test_a_failed_write_keeps_the_old_passphrase(self) -> None:
        with mock.patch.object(os, "fsync", side_effect=OSError(5, "I/O error")):
            self.assertRaises(
                WalletFileError,
                self.keystore.change_passphrase,
                "old words",
                "new words",
                entropy(),
            )
        self.keystore.unlock("old words")
        Keystore.open(self.path, NETWORK).unlock("old words")

    def test_a_box_that_is_none(self) -> None:
        path = self.path.with_name("bad")
        content = read_wallet(self.path, NETWORK)
        create_wallet(path, msgspec.structs.replace(content, secret=content.secret[:-40]))
        error = self.assertRaises(WalletFileError, Keystore.open(path, NETWORK).unlock, "old words")
        self.assertIn(str(path), str(error))

    def test_keys_of_an_old_backup_are_searched_for_after_unlocking(self) -> None:
        """Also when the wallet was closed in between."""
        self.keystore.mark_used(KeyPath(RECEIVE, 5))
        self.keystore.save()
        reopened = Keystore.open(self.path, NETWORK)
        known = reopened.known
        self.assertTrue(reopened.unlock("old words"))
        self.assertEqual(reopened.known, known + 6)
        self.assertFalse(reopened.unlock("old words"))


class SequenceTests(SynchronousTestCase):
    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.sampled_from(["receive", "change", "reopen", "lock", "unlock"]), max_size=60)
    )
    def test_no_address_is_handed_out_twice(self, steps: list[str]) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "wallet"
            keystore = new_keystore(path, "words")
            received = 0
            for step in steps:
                try:
                    if step == "receive":
                        self.assertEqual(keystore.take(RECEIVE), hash_at(RECEIVE, received))
                        received += 1
                    elif step == "change":
                        index = keystore.count(CHANGE)
                        self.assertEqual(keystore.take(CHANGE), hash_at(CHANGE, index))
                    elif step == "reopen":
                        keystore = Keystore.open(path, NETWORK)
                    elif step == "lock":
                        keystore.lock()
                    else:
                        keystore.unlock("words")
                except WalletLocked:
                    self.assertTrue(keystore.locked)
                self.assertEqual(keystore.count(RECEIVE), received)
