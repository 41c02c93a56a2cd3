"""Transactions sent by RPC, refused by RPC, and looked at."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.rpc.methods.net import RpcFailure, RpcTestCase
from tests.support import ledger_kit
from tests.support.ledger_kit import TIME, user
from timecoin.ledger.script import data, multisig, pay_to_pubkey_hash, stake
from timecoin.ledger.transaction import Transaction
from timecoin.params import MAX_TX_BYTES
from timecoin.rpc.errors import (
    ALREADY_IN_CHAIN,
    DECODE_ERROR,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    MISSING_INPUTS,
    NOT_FOUND,
    REJECTED,
    TYPE_ERROR,
    WARMING_UP,
)
from timecoin.wallet.derive import Branch, KeyPath


def forged(tx: Transaction) -> Transaction:
    """``tx`` with one bit of its signature changed."""
    pubkey, signature = tx.witnesses[0]
    bad = bytes((signature[0] ^ 1,)) + signature[1:]
    return msgspec.structs.replace(tx, witnesses=((pubkey, bad),))


class SendTests(RpcTestCase):
    """``sendrawtransaction`` of a node that makes blocks alone."""

    def send(self, tx: Transaction, *more: object) -> str:
        txid: str = self.call("sendrawtransaction", tx.encoded.hex(), *more)
        return txid

    def rule(self, code: int, tx: Transaction) -> object:
        """The rule that ``tx`` is refused by, which stands in message and data."""
        failure = self.refused(code, "sendrawtransaction", tx.encoded.hex())
        assert isinstance(failure.data, dict)
        self.assertTrue(failure.message.startswith(f"{failure.data['rule']}: "))
        self.assertIsNone(self.node.node.pool.get(tx.txid))
        return failure.data["rule"]

    def test_accepted_and_again(self) -> None:
        tx = self.net.payment(0)
        self.assertEqual(self.send(tx), tx.txid.hex())
        self.assertEqual(self.send(tx), tx.txid.hex(), "a known one is accepted silently")
        self.assertEqual(self.call("sendtransaction", tx=tx.encoded.hex()), tx.txid.hex())
        self.assertEqual(self.call("sendrawtransaction", hexstring=tx.encoded.hex()), tx.txid.hex())
        self.net.run_to_height(1)
        self.refused(ALREADY_IN_CHAIN, "sendrawtransaction", tx.encoded.hex())

    def test_what_is_no_transaction(self) -> None:
        good = self.net.payment(0).encoded.hex()
        for text in ("", "0", "zz", "00", good[:-2], good + "00", "ff" * (MAX_TX_BYTES + 1)):
            self.refused(DECODE_ERROR, "sendrawtransaction", text)
        for value in (None, 5, [good]):
            self.refused(TYPE_ERROR, "sendrawtransaction", value)
        self.refused(INVALID_PARAMS, "sendrawtransaction")
        self.refused(INVALID_PARAMS, "sendrawtransaction", good, 1, 1)
        self.refused(INVALID_PARAMS, "sendrawtransaction", tx=good, hexstring=good)
        self.assertEqual(len(self.node.node.pool), 0)

    def test_missing_input(self) -> None:
        parent = self.net.payment(0)
        child = ledger_kit.pay(
            self.net.genesis.chain_id, user(1), ledger_kit.created(parent, 0), user(2), TIME // 2
        )
        rule = self.rule(MISSING_INPUTS, child)
        self.assertEqual(rule, "bad-txns-inputs-missingorspent")
        self.send(parent)
        self.net.run(1)
        self.assertEqual(self.send(child), child.txid.hex(), "its parent is certified now")

    def test_broken_rules(self) -> None:
        pay = self.net.payment
        self.assertEqual(self.rule(REJECTED, pay(0, fee_units=1)), "min-fee-not-met")
        self.assertEqual(self.rule(REJECTED, forged(pay(0))), "bad-witness")
        self.assertEqual(self.rule(REJECTED, pay(0, units=10)), "dust")
        outputs = [ledger_kit.output(user(1), 2_000 * TIME)]
        chain_id = self.net.genesis.chain_id
        rich = ledger_kit.spend(chain_id, [user(0)], [self.net.coin(0)], outputs)
        self.assertEqual(self.rule(REJECTED, rich), "bad-txns-in-belowout")
        self.assertEqual(self.send(pay(0)), pay(0).txid.hex(), "a forged witness harms no other")

    def test_double_spend_of_a_certified_payment(self) -> None:
        first, second = self.net.payment(0), self.net.payment(0, 2 * TIME)
        self.send(first)
        self.net.run(1)
        self.assertEqual(self.rule(REJECTED, second), "txn-mempool-conflict")
        self.net.run_to_height(1)
        self.assertEqual(self.rule(MISSING_INPUTS, second), "bad-txns-inputs-missingorspent")

    def test_maxfeerate(self) -> None:
        tx = self.net.payment(0)
        rate = Decimal("0.002") * 1_000 / len(tx.encoded)
        below = rate.quantize(Decimal("0.00000001")) - Decimal("0.00000001")
        failure = self.refused(MISSING_INPUTS, "sendrawtransaction", tx.encoded.hex(), below)
        self.assertIn("maxfeerate", failure.message)
        for bad in (-1, "x", True, Decimal("0.000000001")):
            self.refused(TYPE_ERROR, "sendrawtransaction", tx.encoded.hex(), bad)
        self.assertEqual(len(self.node.node.pool), 0)
        self.send(tx, below + Decimal("0.00000002"))
        self.send(self.net.payment(2), 0)

    def test_maxfeerate_of_unknown_inputs_is_for_the_pool_to_refuse(self) -> None:
        orphan = ledger_kit.pay(
            self.net.genesis.chain_id,
            user(1),
            ledger_kit.created(self.net.payment(0), 0),
            user(2),
            TIME // 2,
        )
        failure = self.refused(MISSING_INPUTS, "sendrawtransaction", orphan.encoded.hex(), 1)
        self.assertIn("missingorspent", failure.message)

    def test_while_catching_up(self) -> None:
        self.patch(self.node.node.sync, "_active", True)
        tx = self.net.payment(0).encoded.hex()
        self.refused(WARMING_UP, "sendrawtransaction", tx)
        self.refused(DECODE_ERROR, "sendrawtransaction", "00")
        self.patch(self.node.node.sync, "_active", False)
        self.call("sendrawtransaction", tx)


class FuzzTests(RpcTestCase):
    """Whatever is sent, it is refused with a known error and changes nothing."""

    @given(st.binary(max_size=300))
    def test_random_bytes(self, raw: bytes) -> None:
        self.refused(DECODE_ERROR, "sendrawtransaction", raw.hex())

    @given(st.data())
    def test_mutated_transaction(self, drawn: st.DataObject) -> None:
        raw = bytearray(self.net.payment(0).encoded)
        raw[drawn.draw(st.integers(0, len(raw) - 1))] ^= drawn.draw(st.integers(1, 255))
        failure = self.assertRaises(RpcFailure, self.call, "sendrawtransaction", raw.hex())
        self.assertIn(failure.code, (DECODE_ERROR, MISSING_INPUTS, REJECTED))
        self.assertEqual(len(self.node.node.pool), 0)


class LookTests(RpcTestCase):
    """``getrawtransaction`` and ``gettransaction``."""

    def setUp(self) -> None:
        super().setUp()
        self.tx = self.net.payment(0)
        self.txid = self.tx.txid.hex()
        self.call("sendrawtransaction", self.tx.encoded.hex())
        self.net.run(1)

    def test_raw_while_it_waits(self) -> None:
        self.assertEqual(self.call("getrawtransaction", self.txid), self.tx.encoded.hex())
        self.assertEqual(self.call("getrawtransaction", self.txid, False), self.tx.encoded.hex())
        shown = self.call("getrawtransaction", self.txid, True)
        self.assertEqual(shown, self.call("getrawtransaction", self.txid, 1))
        self.assertEqual(shown, self.call("getrawtransaction", txid=self.txid, verbose=True))
        self.assertEqual(
            (shown["hex"], shown["size"]), (self.tx.encoded.hex(), len(self.tx.encoded))
        )
        self.assertEqual((shown["txid"], shown["hash"]), (self.txid, self.tx.wtxid.hex()))
        self.assertEqual((shown["confirmations"], shown["status"]), (0, "final"))
        self.assertEqual(shown["fee"], Decimal("0.002"))
        self.assertEqual(shown["finality"]["anchor_height"], 0)
        self.assertEqual((shown["finality"]["weight"], shown["finality"]["quorum"]), (100, 67))
        self.assertIsInstance(shown["finality"]["ms_to_final"], int)
        self.assertNotIn("blockhash", shown)

    def test_addresses_of_inputs_and_outputs(self) -> None:
        shown = self.call("getrawtransaction", self.txid, 2)
        (spent,) = shown["vin"]
        paid, change = shown["vout"]
        self.assertEqual(spent["address"], change["scriptPubKey"]["address"])
        self.assertEqual(spent["prevout"]["value"], 1_000)
        self.assertEqual((paid["value"], paid["n"]), (1, 0))
        self.assertEqual((change["value"], change["n"]), (Decimal("998.998"), 1))
        for output in shown["vout"]:
            valid = self.call("validateaddress", output["scriptPubKey"]["address"])
            self.assertEqual(valid["scriptPubKey"], output["scriptPubKey"]["hex"])

    def test_raw_once_it_is_archived(self) -> None:
        self.net.run_to_height(2)
        shown = self.call("getrawtransaction", self.txid, 1)
        block = self.call("getblock", 1)
        self.assertEqual((shown["confirmations"], shown["status"]), (2, "archived"))
        self.assertEqual((shown["blockhash"], shown["blockheight"]), (block["hash"], 1))
        self.assertEqual(block["tx"][shown["blockindex"]], self.txid)
        self.assertEqual((shown["time"], shown["blocktime"]), (block["time"], block["time"]))
        self.assertEqual((shown["finality"]["weight"], shown["finality"]["quorum"]), (100, 67))
        self.assertEqual(shown["finality"]["anchor_height"], 0)
        self.assertEqual(shown["finality"]["receipts_weight"], 100)
        self.assertIsInstance(shown["finality"]["ms_to_final"], int)

    def test_blockhash_names_the_block_to_look_at(self) -> None:
        self.net.run_to_height(2)
        first, second = self.call("getblockhash", 1), self.call("getblockhash", 2)
        found = self.call("getrawtransaction", self.txid, 0, first)
        self.assertEqual(found, self.tx.encoded.hex())
        for wrong in (second, "00" * 32):
            self.refused(NOT_FOUND, "getrawtransaction", self.txid, 0, wrong)

    def test_reward(self) -> None:
        self.net.run_to_height(1)
        reward = self.call("getblock", 1)["tx"][0]
        shown = self.call("getrawtransaction", reward, 1)
        self.assertEqual((shown["status"], shown["blockindex"]), ("archived", 0))
        self.assertEqual(shown["finality"]["receipts_weight"], 100)
        self.assertIsNone(shown["finality"]["anchor_height"])
        self.assertNotIn("fee", self.call("gettransaction", reward))

    def test_unknown(self) -> None:
        for method in ("getrawtransaction", "gettransaction"):
            self.refused(NOT_FOUND, method, "11" * 32)
            self.refused(NOT_FOUND, method, self.net.genesis.hash.hex())
            for bad in ("11" * 31, "11" * 33, "zz" * 32, "AA" * 32):
                self.refused(INVALID_PARAMETER, method, bad)
            self.refused(TYPE_ERROR, method, 5)
            self.refused(INVALID_PARAMS, method)
            self.refused(INVALID_PARAMS, method, self.txid, 1, None, 1)
        self.refused(INVALID_PARAMETER, "getrawtransaction", self.txid, 3)

    def test_other_scripts(self) -> None:
        keys = [user(2).public, user(3).public]
        outputs = [
            ledger_kit.output(multisig(1, keys), TIME),
            ledger_kit.output(data(b"note"), 0),
            ledger_kit.output(stake(keys[0], keys[1], bytes(20), bytes(20), 9), 900 * TIME),
        ]
        tx = ledger_kit.spend(self.net.genesis.chain_id, [user(2)], [self.net.coin(2)], outputs)
        self.call("sendrawtransaction", tx.encoded.hex())
        shown = self.call("getrawtransaction", tx.txid.hex(), 1)
        several, note, locked = (output["scriptPubKey"] for output in shown["vout"])
        self.assertEqual((several["type"], several["required"]), ("multisig", 1))
        self.assertEqual(several["pubkeys"], sorted(key.hex() for key in keys))
        self.assertEqual((note["type"], note["data"]), ("nulldata", b"note".hex()))
        self.assertEqual((locked["type"], locked["unlock_height"]), ("stake", 9))
        self.assertEqual(locked["pubkey"], keys[0].hex())
        self.assertEqual(shown["fee"], 99)


class WalletEffectTests(RpcTestCase):
    """``gettransaction`` in the wallet's eyes."""

    def test_foreign_payment(self) -> None:
        tx = self.net.payment(0)
        self.call("sendrawtransaction", tx.encoded.hex())
        shown = self.call("gettransaction", tx.txid.hex())
        self.assertEqual((shown["amount"], shown["details"]), (0, []))
        self.assertEqual(shown["fee"], Decimal("-0.002"))
        self.assertEqual(shown["hex"], tx.encoded.hex())
        self.assert_keys(shown, ["status", "finality", "vin", "vout", "confirmations", "time"])
        self.assertNotIn("decoded", shown)

    def test_decoded_on_request(self) -> None:
        tx = self.net.payment(0)
        self.call("sendrawtransaction", tx.encoded.hex())
        shown = self.call("gettransaction", tx.txid.hex(), True, True)
        self.assertEqual(shown["decoded"]["txid"], tx.txid.hex())
        self.assertEqual(shown, self.call("gettransaction", txid=tx.txid.hex(), verbose=True))

    def test_own_payment(self) -> None:
        stranger = self.foreign_address()
        txid = self.call("sendtoaddress", stranger, 5)
        shown = self.call("gettransaction", txid)
        (sent,) = shown["details"]
        self.assertEqual((sent["category"], sent["address"]), ("send", stranger))
        self.assertEqual((shown["amount"], sent["amount"]), (-5, -5))
        self.assertLess(shown["fee"], 0)
        self.assertEqual(sent["fee"], shown["fee"])
        self.net.run(1)
        balance = self.call("getbalance")
        self.assertEqual(balance, 1_000 + shown["amount"] + shown["fee"])

    def test_payment_to_oneself(self) -> None:
        txid = self.call("sendtoaddress", self.call("getnewaddress"), 5)
        shown = self.call("gettransaction", txid)
        self.assertEqual(shown["amount"], 0)
        self.assertEqual([d["category"] for d in shown["details"]], ["send", "receive"])

    def test_payment_from_others(self) -> None:
        script = self.own_script()
        tx = ledger_kit.pay(self.net.genesis.chain_id, user(0), self.net.coin(0), script, 7 * TIME)
        self.call("sendrawtransaction", tx.encoded.hex())
        shown = self.call("gettransaction", tx.txid.hex())
        (received,) = shown["details"]
        self.assertEqual((received["category"], received["amount"]), ("receive", 7))
        self.assertEqual((shown["amount"], received["vout"]), (7, 0))

    def own_script(self) -> bytes:
        """A script of the node's wallet."""
        address = self.call("getnewaddress")
        return bytes.fromhex(self.call("validateaddress", address)["scriptPubKey"])

    def foreign_address(self) -> str:
        """An address that is not the wallet's."""
        tx = self.net.payment(0)
        self.call("sendrawtransaction", tx.encoded.hex())
        shown = self.call("getrawtransaction", tx.txid.hex(), 1)
        address: str = shown["vout"][0]["scriptPubKey"]["address"]
        return address


class RewardEffectTests(RpcTestCase):
    """A reward that is the wallet's own."""

    def test_generated_once_it_is_mature(self) -> None:
        paid = pay_to_pubkey_hash(self.net.genesis.validators[0].payout_hash)
        first = KeyPath(Branch.RECEIVE, 0)
        keystore = self.node.wallet.keystore
        self.patch(keystore, "owner", lambda script: first if script == paid else None)
        self.net.run_to_height(1)
        reward = self.call("getblock", 1)["tx"][0]
        shown = self.call("gettransaction", reward)
        self.assertEqual((shown["amount"], shown["details"][0]["category"]), (1, "immature"))
        self.net.run_to_height(10)
        shown = self.call("gettransaction", reward)
        self.assertEqual(shown["details"][0]["category"], "generate")
