"""Transactions built, decoded, tried and priced by RPC; single outputs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tests.rpc.methods.net import RpcTestCase
from tests.support import ledger_kit
from tests.support.ledger_kit import TIME, user
from timecoin.crypto.address import encode_address
from timecoin.crypto.hashing import hash160
from timecoin.ledger.script import data, multisig
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Transaction, TxOutput, decode_transaction, split_outpoint
from timecoin.mempool.policy import PoolLimits
from timecoin.params import MAX_AMOUNT_UNITS, SEQUENCE_FINAL, Network
from timecoin.rpc.errors import (
    DECODE_ERROR,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    NOT_FOUND,
    TYPE_ERROR,
    WARMING_UP,
)
from timecoin.rpc.feerate import FeeRate

TXID = "ab" * 32
INPUT: dict[str, object] = {"txid": TXID, "vout": 1}


def address_of(number: int, network: Network = Network.DEVNET) -> str:
    """The address of ``user(number)``."""
    return encode_address(network, hash160(user(number).public))


class CreateTests(RpcTestCase):
    """``createrawtransaction`` and what ``decoderawtransaction`` makes of it."""

    def create(self, *params: object) -> Transaction:
        return decode_transaction(bytes.fromhex(self.call("createrawtransaction", *params)))

    def test_what_is_asked_for(self) -> None:
        paid: dict[str, object] = {address_of(0): Decimal("0.30000001"), "data": "00ff"}
        for outputs in (paid, [{name: value} for name, value in paid.items()]):
            tx = self.create([INPUT], outputs)
            self.assertEqual(tx.inputs[0].prev_txid.hex(), TXID)
            self.assertEqual((tx.inputs[0].prev_index, tx.lock_time), (1, 0))
            self.assertEqual(tx.inputs[0].sequence, SEQUENCE_FINAL)
            first, second = tx.outputs
            self.assertEqual(first, ledger_kit.output(user(0), 30_000_001))
            self.assertEqual(second, TxOutput(0, data(b"\x00\xff")))
            self.assertEqual(tx.witnesses, ((),))

    def test_amounts_are_exact(self) -> None:
        for text, units in (
            ("20999999.99999999", 2_099_999_999_999_999),
            ("92233720368.54775807", MAX_AMOUNT_UNITS),
            ("0.00000001", 1),
        ):
            for value in (text, Decimal(text)):
                tx = self.create([INPUT], {address_of(0): value})
                self.assertEqual(tx.outputs[0].value, units)
                shown = self.call("decoderawtransaction", tx.encoded.hex())
                self.assertEqual(shown["vout"][0]["value"], Decimal(text))
        total = sum(
            self.create([], {address_of(0): part}).outputs[0].value
            for part in (Decimal("0.1"), Decimal("0.2"))
        )
        self.assertEqual(total, 30_000_000)

    def test_lock_time_counts_unless_sequences_say_otherwise(self) -> None:
        tx = self.create([INPUT, {**INPUT, "sequence": 7}], {}, 500)
        self.assertEqual(tx.lock_time, 500)
        self.assertEqual([item.sequence for item in tx.inputs], [SEQUENCE_FINAL - 1, 7])

    def test_lock_scripts_in_hex(self) -> None:
        script = multisig(1, [user(0).public, user(1).public])
        self.assertEqual(self.create([], {script.hex(): 1}).outputs[0], TxOutput(TIME, script))

    def test_keys_that_listunspent_adds_are_no_error(self) -> None:
        (coin,) = self.call("listunspent")
        self.assertEqual(len(self.create([coin], {}).inputs), 1)

    def test_refused(self) -> None:
        own = address_of(0)
        cases: list[tuple[int, list[Any]]] = [
            (INVALID_PARAMS, []),
            (INVALID_PARAMS, [[INPUT]]),
            (INVALID_PARAMS, [[INPUT], {}, 0, False, 1]),
            (TYPE_ERROR, [5, {}]),
            (TYPE_ERROR, [[5], {}]),
            (TYPE_ERROR, [[INPUT], 5]),
            (TYPE_ERROR, [[INPUT], [5]]),
            (TYPE_ERROR, [[INPUT], {own: True}]),
            (TYPE_ERROR, [[INPUT], {own: -1}]),
            (TYPE_ERROR, [[INPUT], {own: Decimal("0.000000001")}]),
            (TYPE_ERROR, [[INPUT], {own: Decimal("92233720368.54775808")}]),
            (TYPE_ERROR, [[{**INPUT, "vout": "1"}], {}]),
            (TYPE_ERROR, [[INPUT], {"data": 5}]),
            (TYPE_ERROR, [[INPUT], {}, "1"]),
            (INVALID_PARAMETER, [[{"txid": TXID}], {}]),
            (INVALID_PARAMETER, [[{"vout": 1}], {}]),
            (INVALID_PARAMETER, [[{**INPUT, "vout": -1}], {}]),
            (INVALID_PARAMETER, [[{**INPUT, "vout": 2**32}], {}]),
            (INVALID_PARAMETER, [[{**INPUT, "txid": "ab"}], {}]),
            (INVALID_PARAMETER, [[{**INPUT, "sequence": 2**32}], {}]),
            (INVALID_PARAMETER, [[INPUT], {}, -1]),
            (INVALID_PARAMETER, [[INPUT], {}, 2**63]),
            (INVALID_PARAMETER, [[INPUT], {}, 0, True]),
            (INVALID_PARAMETER, [[INPUT], {"data": "00" * 257}]),
            (INVALID_PARAMETER, [[INPUT], [{own: 1}, {own: 2}]]),
            (INVALID_PARAMETER, [[INPUT], [{own: 1, "data": "00"}]]),
            (INVALID_PARAMETER, [[INPUT], [{}]]),
            (INVALID_PARAMETER, [[INPUT] * 3_000, {}]),
            (NOT_FOUND, [[INPUT], {"": 1}]),
            (NOT_FOUND, [[INPUT], {"nonsense": 1}]),
            (NOT_FOUND, [[INPUT], {"0102": 1}]),
            (NOT_FOUND, [[INPUT], {"012": 1}]),
            (NOT_FOUND, [[INPUT], {address_of(0, Network.MAINNET): 1}]),
        ]
        for code, params in cases:
            self.refused(code, "createrawtransaction", *params)

    def test_created_signed_sent(self) -> None:
        point, utxo = self.net.coin(0)
        txid, index = split_outpoint(point)
        tx = self.create(
            [{"txid": txid.hex(), "vout": index}],
            {address_of(1): Decimal("999.999")},
        )
        signed = sign_transaction(tx, [utxo], self.net.genesis.chain_id, [user(0)])
        sent = self.call("sendrawtransaction", signed.encoded.hex())
        self.assertEqual(sent, self.call("decoderawtransaction", tx.encoded.hex())["txid"])


class DecodeTests(RpcTestCase):
    """``decoderawtransaction`` shows what no rule allows, too."""

    def test_known_inputs(self) -> None:
        tx = self.net.payment(0)
        shown = self.call("decoderawtransaction", tx.encoded.hex())
        self.assertEqual((shown["fee"], shown["txid"]), (Decimal("0.002"), tx.txid.hex()))
        self.assertEqual(shown["vin"][0]["address"], address_of(0))
        self.assertEqual(shown["vin"][0]["txinwitness"], [part.hex() for part in tx.witnesses[0]])
        self.call("sendrawtransaction", tx.encoded.hex())
        again = self.call("decoderawtransaction", hexstring=tx.encoded.hex(), iswitness=True)
        self.assertEqual(again, shown)

    def test_invalid_ones(self) -> None:
        tx = self.net.payment(0)
        empty = Transaction(1, (), (), 0, ())
        odd = msgspec.structs.replace(tx, outputs=(TxOutput(2**64 - 1, b""),), witnesses=())
        crowded = msgspec.structs.replace(tx, witnesses=tx.witnesses * 3)
        greedy = msgspec.structs.replace(tx, outputs=(ledger_kit.output(user(1), 2_000 * TIME),))
        shown = [
            self.call("decoderawtransaction", item.encoded.hex())
            for item in (empty, odd, crowded, greedy)
        ]
        self.assertEqual((shown[0]["vin"], shown[0]["vout"]), ([], []))
        self.assertEqual(shown[1]["vout"][0]["value"], Decimal("184467440737.09551615"))
        self.assertEqual(shown[1]["vout"][0]["scriptPubKey"]["type"], "nonstandard")
        self.assertEqual(shown[1]["vin"][0]["txinwitness"], [])
        self.assertEqual(len(shown[2]["vin"]), 1)
        self.assertNotIn("fee", shown[3])

    def test_refused(self) -> None:
        for text in ("", "00", "zz", "0", self.net.payment(0).encoded.hex() + "00"):
            self.refused(DECODE_ERROR, "decoderawtransaction", text)
        self.refused(TYPE_ERROR, "decoderawtransaction", 5)
        self.refused(INVALID_PARAMS, "decoderawtransaction")


class TrialTests(RpcTestCase):
    """``testmempoolaccept``."""

    def test_what_would_be_taken(self) -> None:
        tx = self.net.payment(0)
        (shown,) = self.call("testmempoolaccept", [tx.encoded.hex()])
        self.assertEqual((shown["allowed"], shown["vsize"]), (True, len(tx.encoded)))
        self.assertEqual((shown["txid"], shown["wtxid"]), (tx.txid.hex(), tx.wtxid.hex()))
        self.assertEqual(shown["fees"]["base"], Decimal("0.002"))
        self.assertEqual(len(self.node.node.pool), 0, "nothing is sent")

    def test_reasons(self) -> None:
        tx = self.net.payment(0)
        rival, cheap = self.net.payment(0, 2 * TIME), self.net.payment(1, fee_units=1)
        self.call("sendrawtransaction", tx.encoded.hex())
        self.net.run(1)
        tried = [item.encoded.hex() for item in (tx, rival, cheap, self.net.payment(2))]
        shown = self.call("testmempoolaccept", tried, Decimal("0.000001"))
        reasons = [item["reject-reason"] for item in shown]
        self.assertEqual(
            reasons,
            [
                "txn-already-in-mempool",
                "txn-mempool-conflict",
                "min-fee-not-met",
                "max-fee-exceeded",
            ],
        )
        self.assertEqual([item["allowed"] for item in shown], [False] * 4)
        self.net.run_to_height(1)
        (shown,) = self.call("testmempoolaccept", [tx.encoded.hex()])
        self.assertEqual(shown["reject-reason"], "txn-already-known")

    def test_refused(self) -> None:
        good = self.net.payment(0).encoded.hex()
        self.refused(INVALID_PARAMETER, "testmempoolaccept", [good] * 26)
        self.refused(DECODE_ERROR, "testmempoolaccept", [good, "00"])
        self.refused(TYPE_ERROR, "testmempoolaccept", good)
        self.refused(TYPE_ERROR, "testmempoolaccept", [good], -1)
        self.refused(INVALID_PARAMS, "testmempoolaccept")
        self.assertEqual(self.call("testmempoolaccept", []), [])
        self.patch(self.node.node.sync, "_active", True)
        self.refused(WARMING_UP, "testmempoolaccept", [good])


class FeeTests(RpcTestCase):
    """``estimatefee``: measured by whether the pool takes it."""

    def test_least_rate(self) -> None:
        shown = self.call("estimatefee")
        self.assertEqual((shown["feerate"], shown["blocks"]), (Decimal("0.0001"), 1))
        self.assertEqual(shown["minfee"], Decimal("0.001"))
        self.assertEqual(self.call("estimatesmartfee", 6, "CONSERVATIVE"), shown)

    def test_full_pool(self) -> None:
        limits = PoolLimits(max_pending=2)
        self.patch(self.node.node.pool, "_limits", limits)
        rate = FeeRate(self.node.node.pool, limits)
        methods = next(g for g in self.node.catalog.groups if hasattr(g, "estimatefee"))
        self.patch(methods, "_fee_rate", rate)
        fees = {0: 300_000, 1: 200_000}
        size = len(self.net.payment(0).encoded)
        for number, fee_units in fees.items():
            tx = self.net.payment(number, fee_units=fee_units)
            self.node.node.pool.admit(tx, self.net.now_ms)
        shown = self.call("estimatefee")
        self.assertEqual(shown["feerate"] * 100_000, 200_000 // size + 1)
        bid = int(shown["feerate"] * 100_000) * size
        below, above = (self.net.payment(2, fee_units=fee) for fee in (200_000, bid))
        (first, second) = self.call("testmempoolaccept", [below.encoded.hex(), above.encoded.hex()])
        self.assertEqual(first["reject-reason"], "mempool-full")
        self.assertIs(second["allowed"], True)

    def test_refused(self) -> None:
        for target in (0, 1_009, -1):
            self.refused(INVALID_PARAMETER, "estimatefee", target)
        self.refused(INVALID_PARAMETER, "estimatesmartfee", 1, "fast")
        self.refused(TYPE_ERROR, "estimatefee", "1")
        self.refused(INVALID_PARAMS, "estimatefee", 1, "unset", 1)


class OutputTests(RpcTestCase):
    """``gettxout``."""

    def test_allocation(self) -> None:
        point, utxo = self.net.coin(0)
        txid, index = split_outpoint(point)
        shown = self.call("gettxout", txid.hex(), index)
        self.assertEqual((shown["value"], shown["confirmations"]), (1_000, 1))
        self.assertEqual(shown["scriptPubKey"]["hex"], utxo.script.hex())
        self.assertEqual(shown["bestblock"], self.call("getbestblockhash"))
        self.assertIs(shown["coinbase"], False)

    def test_spent_while_it_waits_and_after(self) -> None:
        txid, index = split_outpoint(self.net.coin(0)[0])
        old = (txid.hex(), index)
        tx = self.net.payment(0)
        new = (tx.txid.hex(), 0)
        self.call("sendrawtransaction", tx.encoded.hex())
        self.assertIsNone(self.call("gettxout", *old))
        self.assertEqual(self.call("gettxout", *old, False)["value"], 1_000)
        shown = self.call("gettxout", *new)
        self.assertEqual((shown["value"], shown["confirmations"]), (1, 0))
        self.assertIsNone(self.call("gettxout", *new, False))
        self.assertIsNone(self.call("gettxout", tx.txid.hex(), 2))
        self.net.run_to_height(2)
        self.assertIsNone(self.call("gettxout", *old, False))
        self.assertEqual(self.call("gettxout", *new)["confirmations"], 2)

    def test_reward(self) -> None:
        self.net.run_to_height(1)
        reward = self.call("getblock", 1)["tx"][0]
        self.assertIs(self.call("gettxout", reward, 0)["coinbase"], True)

    def test_unknown_and_refused(self) -> None:
        self.assertIsNone(self.call("gettxout", TXID, 0))
        self.refused(INVALID_PARAMETER, "gettxout", "ab", 0)
        for index in (-1, 2**32):
            self.refused(INVALID_PARAMETER, "gettxout", TXID, index)
        self.refused(TYPE_ERROR, "gettxout", TXID, "0")
        self.refused(TYPE_ERROR, "gettxout", TXID, 0, 1)
        self.refused(INVALID_PARAMS, "gettxout", TXID)
