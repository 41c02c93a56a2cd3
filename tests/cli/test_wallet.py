"""``timecoin-cli wallet``: files that a node takes, from fresh entropy or from words."""

from __future__ import annotations

import functools
import json
import stat
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli import wallet as module
from timecoin.cli.main import main
from timecoin.crypto.address import encode_address
from timecoin.crypto.secretbox import WrongPassphrase
from timecoin.node.walletfile import PASSPHRASE_VARIABLE
from timecoin.params import Network
from timecoin.wallet.derive import Branch
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.sealing import Sealing
from timecoin.wallet.words import entropy_of, words_of

WORDS = words_of(bytes(range(16)))


class WalletCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.datadir = Path(self.mktemp()).absolute()
        self.path = self.datadir / "wallet.dat"
        self.patch(module, "Sealing", functools.partial(Sealing, ops=1, mem_bytes=8_192))

    def run_it(self, *arguments: str, stdin: str = "", passphrase: str | None = None) -> Result:
        options = ("--network=devnet", f"--datadir={self.datadir}", "wallet")
        environment = {PASSPHRASE_VARIABLE: passphrase}
        return CliRunner().invoke(main, [*options, *arguments], input=stdin, env=environment)

    def result(self, *arguments: str, stdin: str = "", passphrase: str | None = None) -> Any:
        ended = self.run_it(*arguments, stdin=stdin, passphrase=passphrase)
        self.assertEqual(ended.exit_code, 0, ended.output)
        return json.loads(ended.stdout)

    def refused(self, status: int, *arguments: str, stdin: str = "") -> str:
        ended = self.run_it(*arguments, stdin=stdin)
        self.assertEqual((ended.exit_code, ended.stdout), (status, ""), ended.output)
        return ended.stderr


class NewTests(WalletCase):
    def test_its_words_are_the_wallet(self) -> None:
        for count in (12, 24):
            made = self.result("new", "--no-passphrase", f"--words={count}")
            self.assertEqual(len(made["words"].split()), count)
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
            opened = Keystore.open(self.path, Network.DEVNET)
            self.assertEqual(opened.unsealed(None), entropy_of(made["words"]))
            self.assertGreater(opened.created_ms, 0)
            (first,) = opened.used_hashes(Branch.RECEIVE)
            self.assertEqual(made["address"], encode_address(Network.DEVNET, first))
            self.path.unlink()

    def test_two_are_never_alike(self) -> None:
        made = [
            self.result("new", "--no-passphrase", "--file", str(self.datadir / name))
            for name in "ab"
        ]
        self.assertNotEqual(made[0]["words"], made[1]["words"])

    def test_sealed(self) -> None:
        made = self.result("new", passphrase="open sesame")
        self.assertIs(made["sealed"], True)
        opened = Keystore.open(self.path, Network.DEVNET)
        self.assertTrue(opened.locked)
        self.assertRaises(WrongPassphrase, opened.unlock, "other")
        self.assertEqual(opened.unsealed("open sesame"), entropy_of(made["words"]))
        for word in made["words"].split():
            self.assertNotIn(word.encode() + b" ", self.path.read_bytes())

    def test_for_a_person(self) -> None:
        shown = self.run_it("new", "--no-passphrase", "--words=12", "--table")
        lines = shown.stdout.splitlines()
        entropy = Keystore.open(self.path, Network.DEVNET).unsealed(None)
        words = words_of(entropy).split()
        self.assertEqual(lines[0].split()[1::2], words[:4])
        self.assertIn("shown only now", shown.stderr)

    def test_no_file_is_replaced(self) -> None:
        self.result("new", "--no-passphrase")
        before = self.path.read_bytes()
        self.assertIn("never overwritten", self.refused(1, "new", "--no-passphrase"))
        self.refused(1, "restore", "--no-passphrase", stdin=WORDS)
        self.assertEqual(self.path.read_bytes(), before)

    def test_no_passphrase_must_be_said(self) -> None:
        self.refused(2, "new")
        self.assertFalse(self.path.exists())


class RestoreTests(WalletCase):
    def test_the_same_addresses(self) -> None:
        made = self.result("restore", "--no-passphrase", stdin=WORDS.upper() + "\n")
        other = self.datadir / "again.dat"
        again = self.result("restore", "--no-passphrase", "--file", str(other), stdin=WORDS)
        self.assertEqual(made["address"], again["address"])
        self.assertNotIn("words", made)
        self.assertEqual(Keystore.open(self.path, Network.DEVNET).created_ms, 0)

    def test_another_account(self) -> None:
        made = self.result("restore", "--no-passphrase", stdin=WORDS)
        self.path.unlink()
        other = self.result("restore", "--no-passphrase", "--account=1", stdin=WORDS)
        self.assertNotEqual(made["address"], other["address"])
        self.assertEqual(self.result("info")["account"], 1)

    def test_words_that_are_none(self) -> None:
        for words in ("", "abandon", "abandon " * 12, WORDS + " zoo", WORDS.replace(" ", "x")):
            said = self.refused(1, "restore", "--no-passphrase", stdin=words)
            self.assertNotIn("abandon", said)
        self.assertFalse(self.path.exists())


class InfoTests(WalletCase):
    def test_what_is_in_it(self) -> None:
        made = self.result("new", passphrase="open")
        shown = self.result("info")
        self.assertEqual(
            {name: shown[name] for name in ("network", "sealed", "addresses", "behind")},
            {"network": "devnet", "sealed": True, "addresses": 1, "behind": False},
        )
        for word in made["words"].split():
            self.assertNotIn(f'"{word}"', json.dumps(shown))

    def test_it_changes_nothing(self) -> None:
        self.result("new", "--no-passphrase")
        before = self.path.read_bytes()
        self.result("info")
        self.assertEqual(self.path.read_bytes(), before)

    def test_no_wallet_or_another(self) -> None:
        self.assertIn("there is no wallet", self.refused(1, "info"))
        self.result("new", "--no-passphrase")
        ended = CliRunner().invoke(main, ["wallet", "info", "--file", str(self.path)])
        self.assertEqual(ended.exit_code, 1)
        self.assertIn("wallet of devnet", ended.stderr)
        self.path.write_bytes(b"what")
        self.assertIn("not a wallet", self.refused(1, "info"))
