"""Signed messages, multisig, offline signing by RPC."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.rpc.methods.walletcase import STRANGER, WalletTestCase
from tests.support.ledger_kit import user
from timecoin.ledger.script import multisig
from timecoin.rpc.errors import (
    DECODE_ERROR,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    NOT_FOUND,
    PASSPHRASE_NEEDED,
    TYPE_ERROR,
    WALLET_ERROR,
)


class MessageTests(WalletTestCase):
    def test_signed_and_verified(self) -> None:
        address = self.call("getnewaddress")
        for text in ("", "I own this", "\u2603 \U0001f600"):
            signature = self.call("signmessage", address, text)
            self.assertIs(self.call("verifymessage", address, signature, text), True)
            self.assertIs(self.call("verifymessage", address, signature, text + "!"), False)
            self.assertIs(self.call("verifymessage", STRANGER, signature, text), False)

    def test_refused(self) -> None:
        address = self.call("getnewaddress")
        good = self.call("signmessage", address, "text")
        self.refused(WALLET_ERROR, "signmessage", STRANGER, "text")
        self.refused(NOT_FOUND, "signmessage", "nonsense", "text")
        self.refused(INVALID_PARAMETER, "signmessage", address, "\ud800")
        self.refused(INVALID_PARAMETER, "verifymessage", address, good, "\ud800")
        self.refused(TYPE_ERROR, "signmessage", address, 5)
        self.refused(INVALID_PARAMS, "signmessage", address)
        self.refused(NOT_FOUND, "verifymessage", "nonsense", good, "text")
        for bad in ("", "AAAA", "\u2603", "=" * 200, good[:-4]):
            self.refused(TYPE_ERROR, "verifymessage", address, bad, "text")
        self.refused(INVALID_PARAMS, "verifymessage", address, good)
        self.call("encryptwallet", "secret")
        self.refused(PASSPHRASE_NEEDED, "signmessage", address, "text")
        self.assertIs(self.call("verifymessage", address, good, "text"), True)


class MultisigTests(WalletTestCase):
    """Two of three: this wallet, another node's, and a stranger."""

    count = 2

    def setUp(self) -> None:
        super().setUp()
        self.others = self.net.nodes[1]
        self.mine, self.theirs = (
            node.call("getaddressinfo", node.call("getnewaddress"))["pubkey"]
            for node in (self.node, self.others)
        )

    def test_script(self) -> None:
        keys = [self.theirs, self.mine, user(3).public.hex()]
        shown = self.call("createmultisig", 2, keys)
        script = multisig(2, [bytes.fromhex(key) for key in keys]).hex()
        self.assertEqual((shown["redeemScript"], shown["scriptPubKey"]), (script, script))
        self.assertIsNone(shown["address"])

    def test_refused(self) -> None:
        self.refused(INVALID_PARAMETER, "createmultisig", 2, [self.mine])
        self.refused(INVALID_PARAMETER, "createmultisig", 1, [self.mine, self.mine])
        self.refused(INVALID_PARAMETER, "createmultisig", 1, [])
        self.refused(INVALID_PARAMETER, "createmultisig", 0, [self.mine])
        self.refused(INVALID_PARAMETER, "createmultisig", 1, ["00"])
        self.refused(INVALID_PARAMETER, "createmultisig", 1, [self.mine] * 16)
        self.refused(TYPE_ERROR, "createmultisig", 1, self.mine)
        self.refused(INVALID_PARAMS, "createmultisig", 1)

    def test_paid_and_spent_together(self) -> None:
        keys = [self.theirs, self.mine, user(3).public.hex()]
        script = self.call("createmultisig", 2, keys)["scriptPubKey"]
        (coin,) = self.call("listunspent")
        change = coin["amount"] - 5 - 1
        raw = self.call("createrawtransaction", [coin], {script: 5, coin["address"]: change})
        signed = self.call("signrawtransactionwithwallet", raw)
        self.assertIs(signed["complete"], True)
        self.assertNotIn("errors", signed)
        txid = self.call("sendrawtransaction", signed["hex"])
        self.net.run(1)

        spend = self.call("createrawtransaction", [{"txid": txid, "vout": 0}], {STRANGER: 4})
        prevout = {"txid": txid, "vout": 0, "scriptPubKey": script, "amount": 5}
        first = self.call("signrawtransactionwithwallet", spend)
        self.assertIs(first["complete"], False)
        self.assertIn("1 of 2", first["errors"][0]["error"])
        apart = self.others.call("signrawtransactionwithwallet", spend, [prevout])
        both = self.call("combinerawtransaction", [first["hex"], apart["hex"]])
        onward = self.others.call("signrawtransactionwithwallet", first["hex"], [prevout], "ALL")
        self.assertIs(onward["complete"], True)
        self.assertEqual(onward["hex"], both)
        sent = self.call("sendrawtransaction", both)
        self.net.run(1)
        self.assertIs(self.call("gettransactionfinality", sent)["finalized"], True)


class SignTests(WalletTestCase):
    def raw(self) -> Any:
        (coin,) = self.call("listunspent")
        return self.call("createrawtransaction", [coin], {STRANGER: Decimal("999.999")})

    def test_signed_and_sent(self) -> None:
        signed = self.call("signrawtransactionwithwallet", self.raw())
        self.assertIs(signed["complete"], True)
        (trial,) = self.call("testmempoolaccept", [signed["hex"]])
        self.assertIs(trial["allowed"], True)

    def test_what_is_not_ours_stays_unsigned(self) -> None:
        unknown = {"txid": "00" * 31 + "01", "vout": 3}
        raw = self.call("createrawtransaction", [unknown], {STRANGER: 1})
        shown = self.call("signrawtransactionwithwallet", raw)
        (error,) = shown["errors"]
        self.assertEqual((error["txid"], error["vout"]), (unknown["txid"], 3))
        self.assertEqual(shown["hex"], raw)

    def test_refused(self) -> None:
        raw = self.raw()
        prevout: dict[str, object] = {
            "txid": "00" * 32,
            "vout": 0,
            "scriptPubKey": "01" + "00" * 20,
            "amount": 1,
        }
        self.call("signrawtransactionwithwallet", raw, [prevout])
        for name in prevout:
            lacking = {key: value for key, value in prevout.items() if key != name}
            self.refused(INVALID_PARAMETER, "signrawtransactionwithwallet", raw, [lacking])
            self.refused(TYPE_ERROR, "signrawtransactionwithwallet", raw, [prevout | {name: [5]}])
        for text in ("", "zz", "00"):
            self.refused(DECODE_ERROR, "signrawtransactionwithwallet", text)
            self.refused(DECODE_ERROR, "combinerawtransaction", [text])
        self.refused(INVALID_PARAMETER, "signrawtransactionwithwallet", raw, [], "NONE")
        self.refused(TYPE_ERROR, "signrawtransactionwithwallet", raw, {})
        self.refused(TYPE_ERROR, "combinerawtransaction", raw)
        self.refused(INVALID_PARAMS, "signrawtransactionwithwallet")
        self.refused(INVALID_PARAMS, "combinerawtransaction")
        self.refused(INVALID_PARAMETER, "combinerawtransaction", [])
        other = self.call("createrawtransaction", [{"txid": "00" * 32, "vout": 0}], {STRANGER: 1})
        self.refused(INVALID_PARAMETER, "combinerawtransaction", [raw, other])
        self.assertEqual(self.call("combinerawtransaction", [raw]), raw)
        self.call("encryptwallet", "secret")
        self.refused(PASSPHRASE_NEEDED, "signrawtransactionwithwallet", raw)

    def test_witnesses_that_do_not_match_the_inputs(self) -> None:
        tx = self.net.payment(0)
        bare = tx.__class__(tx.version, tx.inputs, tx.outputs, tx.lock_time, ())
        self.refused(DECODE_ERROR, "signrawtransactionwithwallet", bare.encoded.hex())
        self.refused(INVALID_PARAMETER, "combinerawtransaction", [bare.encoded.hex()])
