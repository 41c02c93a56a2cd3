"""Labels, locked coins, the wallet in short, its file; coins of any address."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.rpc.methods.walletcase import STRANGER, WalletTestCase
from tests.support.ledger_kit import TIME
from timecoin.params import Network
from timecoin.rpc.errors import (
    INSUFFICIENT_FUNDS,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    NOT_FOUND,
    PASSPHRASE_NEEDED,
    TYPE_ERROR,
    WALLET_ERROR,
    WRONG_ENCRYPTION_STATE,
    WRONG_PASSPHRASE,
)
from timecoin.wallet.keystore import Keystore


class LabelTests(WalletTestCase):
    def test_labels(self) -> None:
        own = self.call("getnewaddress", "rent")
        self.assertIsNone(self.call("setlabel", STRANGER, "baker"))
        self.assertEqual(self.call("listlabels"), ["baker", "rent"])
        self.assertEqual(self.call("listlabels", "send"), ["baker"])
        self.assertEqual(self.call("listlabels", purpose="receive"), ["rent"])
        self.assertEqual(self.call("getaddressinfo", own)["labels"], ["rent"])
        self.call("setlabel", own, "")
        self.assertEqual(self.call("getaddressinfo", own)["labels"], [])
        self.assertEqual(self.call("listlabels"), ["baker"])

    def test_info(self) -> None:
        own = self.call("getnewaddress")
        shown = self.call("getaddressinfo", own)
        self.assertEqual(
            (shown["ismine"], shown["ischange"], shown["solvable"]), (True, False, True)
        )
        self.assertEqual((shown["hdkeypath"][:16], len(shown["pubkey"])), ("m/44'/2024'/0'/0", 64))
        self.assertEqual(shown["address"], self.call("getaddressinfo", own.upper())["address"])
        valid = self.call("validateaddress", own)
        self.assertEqual(shown["scriptPubKey"], valid["scriptPubKey"])
        foreign = self.call("getaddressinfo", STRANGER)
        self.assertEqual((foreign["ismine"], foreign["labels"]), (False, []))
        self.assertNotIn("pubkey", foreign)
        self.call("encryptwallet", "secret")
        self.assertNotIn("pubkey", self.call("getaddressinfo", own))

    def test_refused(self) -> None:
        for method, more in (("getaddressinfo", ()), ("setlabel", ("x",))):
            self.refused(NOT_FOUND, method, "nonsense", *more)
            self.refused(INVALID_PARAMETER, method, "x" * 129, *more)
            self.refused(TYPE_ERROR, method, 5, *more)
            self.refused(INVALID_PARAMS, method)
        for label in ("x" * 257, "two\nlines", "\ud800"):
            self.refused(INVALID_PARAMETER, "setlabel", STRANGER, label)
            self.refused(INVALID_PARAMETER, "getnewaddress", label)
        self.refused(INVALID_PARAMETER, "listlabels", "other")
        self.refused(INVALID_PARAMS, "listlabels", "", 1)
        self.assertEqual(self.call("listlabels"), [])


class LockTests(WalletTestCase):
    def setUp(self) -> None:
        super().setUp()
        (coin,) = self.call("listunspent")
        self.coin = {"txid": coin["txid"], "vout": coin["vout"]}

    def test_locked_and_freed(self) -> None:
        self.assertEqual(self.call("listlockunspent"), [])
        self.assertIs(self.call("lockunspent", False, [self.coin]), True)
        self.assertEqual(self.call("listlockunspent"), [self.coin])
        self.assertEqual(self.call("listunspent"), [])
        self.refused(INSUFFICIENT_FUNDS, "sendtoaddress", STRANGER, 1)
        self.refused(INVALID_PARAMETER, "lockunspent", False, [self.coin])
        self.assertIs(self.call("lockunspent", False, [self.coin], True), True)
        self.assertIs(self.call("lockunspent", True, [self.coin]), True)
        self.refused(INVALID_PARAMETER, "lockunspent", True, [self.coin])
        self.call("lockunspent", False, [self.coin])
        self.assertIs(self.call("lockunspent", unlock=True), True)
        self.assertIs(self.call("lockunspent", False), True)
        self.assertEqual(self.call("listlockunspent"), [])
        self.call("sendtoaddress", STRANGER, 1)

    def test_refused(self) -> None:
        cases: list[tuple[int, list[Any]]] = [
            (INVALID_PARAMETER, [False, [{"txid": "00" * 32, "vout": 0}]]),
            (INVALID_PARAMETER, [False, [self.coin, self.coin]]),
            (INVALID_PARAMETER, [False, [{"vout": 0}]]),
            (INVALID_PARAMETER, [False, [{"txid": "00" * 32}]]),
            (INVALID_PARAMETER, [False, [{**self.coin, "vout": -1}]]),
            (INVALID_PARAMETER, [False, [{**self.coin, "txid": "00"}]]),
            (TYPE_ERROR, [False, [{**self.coin, "vout": "0"}]]),
            (TYPE_ERROR, [False, [5]]),
            (TYPE_ERROR, [False, {}]),
            (TYPE_ERROR, [0]),
            (INVALID_PARAMS, []),
            (INVALID_PARAMS, [True, [], True, 1]),
        ]
        for code, params in cases:
            self.refused(code, "lockunspent", *params)
        self.refused(INVALID_PARAMS, "listlockunspent", 1)
        self.assertEqual(self.call("listlockunspent"), [])


class FileTests(WalletTestCase):
    """``getwalletinfo``, ``backupwallet``, ``restorewallet``, ``walletpassphrasechange``."""

    count = 2

    def test_info(self) -> None:
        shown = self.call("getwalletinfo")
        self.assertEqual((shown["balance"], shown["unconfirmed_balance"]), (1_000, 0))
        self.assertEqual((shown["encrypted"], shown["locked"]), (False, False))
        self.assertNotIn("unlocked_until", shown)
        self.assertEqual((shown["scanning"], shown["birthtime"]), (False, 1_700_000_000))
        self.assertGreater(shown["keypoolsize"], 0)
        self.call("encryptwallet", "secret")
        shown = self.call("getwalletinfo")
        self.assertEqual((shown["locked"], shown["unlocked_until"]), (True, 0))
        self.call("walletpassphrase", "secret", 60)
        shown = self.call("getwalletinfo")
        self.assertEqual(shown["unlocked_until"], int(self.net.clock.seconds()) + 60)
        self.refused(INVALID_PARAMS, "getwalletinfo", 1)

    def test_backup(self) -> None:
        target = Path(self.mktemp()).absolute()
        self.assertIsNone(self.call("backupwallet", str(target)))
        copy = Keystore.open(target, Network.DEVNET)
        self.assertEqual(copy.fingerprint, self.node.wallet.keystore.fingerprint)
        self.refused(WALLET_ERROR, "backupwallet", str(target))
        self.refused(WALLET_ERROR, "backupwallet", "/dev/null/no/such")
        self.refused(WALLET_ERROR, "backupwallet", "x" * 4_000)
        for bad in ("", "a\0b", "\ud800", "x" * 4_097):
            self.refused(INVALID_PARAMETER, "backupwallet", bad)
        self.refused(TYPE_ERROR, "backupwallet", 5)
        self.refused(INVALID_PARAMS, "backupwallet")

    def test_restored_in_the_place_of_another(self) -> None:
        other = self.net.nodes[1].wallet.keystore.fingerprint
        own = self.node.wallet.keystore.fingerprint
        here, there = (Path(self.mktemp()).absolute() for _ in range(2))
        self.call("backupwallet", str(here))
        self.net.nodes[1].call("backupwallet", str(there))
        address = self.call("getnewaddress")
        self.call("sendtoaddress", self.net.nodes[1].call("getnewaddress"), 5)
        self.net.run(1)
        balance = self.call("getbalance")

        shown = self.call("restorewallet", "", str(there))
        self.assertEqual(self.node.wallet.keystore.fingerprint, other)
        self.assertEqual(self.call("getbalance"), 5, "what waits counts as well")
        self.assertIs(self.call("getaddressinfo", address)["ismine"], False)
        self.net.run_to_height(2)
        self.assertEqual(self.call("getbalance"), 5)
        self.assertEqual([item["amount"] for item in self.call("listtransactions")], [5])

        path = self.node.wallet.keystore._path
        self.assertEqual(Keystore.open(path, Network.DEVNET).fingerprint, other)
        kept = Keystore.open(path.with_name(shown["kept"]), Network.DEVNET)
        self.assertEqual(kept.fingerprint, own)

        again = self.call("restorewallet", "", str(path.with_name(shown["kept"])))
        self.assertNotEqual(again["kept"], shown["kept"])
        self.assertEqual(self.call("getbalance"), balance)
        self.assertIs(self.call("getaddressinfo", address)["ismine"], True)
        self.net.run(1)
        self.assertEqual(
            sorted(item["category"] for item in self.call("listtransactions")), ["send"]
        )
        self.call("sendtoaddress", STRANGER, 1)

    def test_a_sealed_copy_is_locked(self) -> None:
        sealed = Path(self.mktemp()).absolute()
        self.call("encryptwallet", "secret")
        self.call("backupwallet", str(sealed))
        self.call("walletpassphrase", "secret", 60)
        self.net.run(1)
        self.call("restorewallet", wallet_name="", backup_file=str(sealed))
        self.refused(PASSPHRASE_NEEDED, "sendtoaddress", STRANGER, 1)
        self.net.run(61)
        self.call("walletpassphrase", "secret", 60)
        self.call("sendtoaddress", STRANGER, 1)

    def test_copies_that_are_none(self) -> None:
        broken = Path(self.mktemp()).absolute()
        self.call("backupwallet", str(broken))
        raw = bytearray(broken.read_bytes())
        raw[-1] ^= 1
        broken.write_bytes(bytes(raw))
        before = self.node.wallet.keystore.fingerprint
        for path in (str(broken), "/no/such", "/", "x" * 4_000):
            self.refused(WALLET_ERROR, "restorewallet", "", path)
        for params in (["other", "/x"], ["", ""], ["", "a\0b"]):
            self.refused(INVALID_PARAMETER, "restorewallet", *params)
        self.refused(TYPE_ERROR, "restorewallet", "", 5)
        self.refused(INVALID_PARAMS, "restorewallet", "")
        self.assertEqual(self.node.wallet.keystore.fingerprint, before)
        self.call("sendtoaddress", STRANGER, 1)

    def test_passphrase_change(self) -> None:
        self.refused(WRONG_ENCRYPTION_STATE, "walletpassphrasechange", "old", "new")
        self.call("encryptwallet", "old")
        self.refused(WRONG_PASSPHRASE, "walletpassphrasechange", "wrong", "new")
        self.assertIsNone(self.call("walletpassphrasechange", "old", "new"))
        self.refused(WRONG_PASSPHRASE, "walletpassphrase", "old", 10)
        self.call("walletpassphrase", "new", 10)
        for params in (["", "new"], ["new", ""], ["x" * 1_025, "new"]):
            self.refused(INVALID_PARAMETER, "walletpassphrasechange", *params)
        self.refused(TYPE_ERROR, "walletpassphrasechange", 5, "new")
        self.refused(INVALID_PARAMS, "walletpassphrasechange", "new")


class AnyAddressTests(WalletTestCase):
    """Coins of an address that is not the wallet's, by the index."""

    def test_balance(self) -> None:
        own = self.call("getbalance", address=STRANGER, verbose=True)
        self.assertEqual((own["total"], own["spendable"]), (1_000, 1_000), "its genesis coin")
        self.call("sendtoaddress", STRANGER, Decimal("0.3"))
        self.net.run(1)
        self.assertEqual(self.call("getbalance", address=STRANGER), Decimal("1000.3"))
        self.net.run_to_height(2)
        self.assertEqual(self.call("getbalance", address=STRANGER), Decimal("1000.3"))
        self.call("sendrawtransaction", self.net.payment(3, 7 * TIME).encoded.hex())
        self.net.run(1)
        self.assertLess(self.call("getbalance", address=STRANGER), 994)

    def test_unspent_in_pages(self) -> None:
        for _ in range(3):
            self.call("sendtoaddress", STRANGER, 1)
            self.net.run(1)
        self.net.run_to_height(2)
        whole = self.call("listunspent", address=STRANGER)
        self.assertEqual(sorted(coin["amount"] for coin in whole), [1, 1, 1, 1_000])
        self.assertEqual({coin["address"] for coin in whole}, {STRANGER})
        self.assertEqual({coin["spendable"] for coin in whole}, {False})
        listed: list[Any] = []
        after = None
        while page := self.call("listunspent", address=STRANGER, limit=3, after=after):
            listed += page
            after = f"{page[-1]['txid']}:{page[-1]['vout']}"
        self.assertEqual(listed, whole)

    def test_refused(self) -> None:
        self.refused(NOT_FOUND, "listunspent", address="nonsense")
        for named in (
            {"limit": 5},
            {"after": "00" * 32 + ":0"},
            {"address": STRANGER, "limit": 0},
            {"address": STRANGER, "limit": 1_001},
            {"address": STRANGER, "after": "00:0"},
            {"address": STRANGER, "after": "00" * 32},
            {"address": STRANGER, "after": "00" * 32 + ":-1"},
            {"address": STRANGER, "after": "00" * 32 + ":4294967296"},
            {"address": STRANGER, "after": "00" * 32 + ":\u0663"},
            {"address": STRANGER, "addresses": [STRANGER]},
            {"address": STRANGER, "query_options": {"maximumCount": 1}},
        ):
            self.refused(INVALID_PARAMETER, "listunspent", **named)
        self.refused(TYPE_ERROR, "listunspent", address=5)
