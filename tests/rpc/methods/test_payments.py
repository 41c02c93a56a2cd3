"""``sendmany`` and ``mergeutxos`` (``sendtoaddress`` stands in test_wallet)."""

from __future__ import annotations

from decimal import Decimal

from tests.rpc.methods.walletcase import STRANGER, WalletTestCase
from tests.support.ledger_kit import TIME
from timecoin.rpc.errors import (
    INSUFFICIENT_FUNDS,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    NOT_FOUND,
    PASSPHRASE_NEEDED,
    TYPE_ERROR,
    WALLET_ERROR,
    WARMING_UP,
)


class SendManyTests(WalletTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.own = self.call("getnewaddress")

    def values(self, txid: str) -> dict[str, Decimal]:
        shown = self.call("getrawtransaction", txid, 1)
        return {out["scriptPubKey"]["address"]: out["value"] for out in shown["vout"]}

    def test_each_gets_its_amount(self) -> None:
        txid = self.call("sendmany", "", {self.own: Decimal("0.1"), STRANGER: "0.2"})
        values = self.values(txid)
        self.assertEqual((values[self.own], values[STRANGER]), (Decimal("0.1"), Decimal("0.2")))
        fee = self.call("getrawtransaction", txid, 1)["fee"]
        self.assertEqual(sum(values.values()), 1_000 - fee)

    def test_fee_is_shared(self) -> None:
        txid = self.call(
            "sendmany", "", {self.own: 400, STRANGER: 600}, 1, "", [self.own, STRANGER]
        )
        values = self.values(txid)
        fee = self.call("getrawtransaction", txid, 1)["fee"]
        self.assertEqual(sum(values.values()), 1_000 - fee)
        self.assertEqual(400 - values[self.own], 600 - values[STRANGER])

    def test_wait(self) -> None:
        txid = self.call("sendmany", dummy="", amounts={STRANGER: 1}, wait=True)
        self.assertIs(self.call("gettransactionfinality", txid)["finalized"], True)

    def test_refused(self) -> None:
        good = {STRANGER: 1}
        for params in (["x", good], ["", {}], ["", good, 1, "", [self.own]]):
            self.refused(INVALID_PARAMETER, "sendmany", *params)
        self.refused(INVALID_PARAMETER, "sendmany", "", good, 1, "", [STRANGER, STRANGER])
        self.refused(INVALID_PARAMETER, "sendmany", "", {STRANGER: 1, STRANGER.upper(): 2})
        self.refused(INVALID_PARAMETER, "sendmany", "", {f"{n}": 1 for n in range(1_001)})
        for option in ({"replaceable": True}, {"conf_target": 1}, {"verbose": True}):
            self.refused(INVALID_PARAMETER, "sendmany", dummy="", amounts=good, **option)
        self.refused(NOT_FOUND, "sendmany", "", {"nonsense": 1})
        for amount in (0, -1, True, None, "x", Decimal("0.000000001")):
            self.refused(TYPE_ERROR, "sendmany", "", {STRANGER: amount})
        self.refused(TYPE_ERROR, "sendmany", 1, good)
        self.refused(TYPE_ERROR, "sendmany", "", [])
        self.refused(TYPE_ERROR, "sendmany", "", good, 1, "", STRANGER)
        self.refused(INSUFFICIENT_FUNDS, "sendmany", "", {STRANGER: 600, self.own: 400})
        self.refused(INVALID_PARAMS, "sendmany", "")
        self.refused(
            INVALID_PARAMS, "sendmany", "", good, 1, "", [], False, None, "unset", None, False, 1
        )
        self.assertEqual(len(self.node.node.pool), 0)
        self.patch(self.node.node.sync, "_active", True)
        self.refused(WARMING_UP, "sendmany", "", good)


class MergeTests(WalletTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.first = self.pay_in(5 * TIME)
        self.pay_in(7 * TIME, number=2)
        self.net.run(1)

    def test_all_become_one(self) -> None:
        shown = self.call("mergeutxos")
        self.assertEqual((shown["merged_count"], shown["total_value"]), (3, 1_012))
        self.assertEqual(shown["final_value"], 1_012 - shown["fee"])
        self.net.run(1)
        (coin,) = self.call("listunspent")
        self.assertEqual((coin["amount"], coin["txid"]), (shown["final_value"], shown["txid"]))
        self.assertEqual(self.call("getrawtransaction", shown["txid"], 1)["fee"], shown["fee"])

    def test_the_smallest(self) -> None:
        shown = self.call("mergeutxos", 2, 2)
        self.assertEqual((shown["merged_count"], shown["total_value"]), (2, 12))

    def test_of_one_address(self) -> None:
        self.refused(WALLET_ERROR, "mergeutxos", address=self.first)
        self.call("sendtoaddress", self.first, 3)
        self.net.run(1)
        shown = self.call("mergeutxos", 2, 100, self.first)
        self.assertEqual((shown["merged_count"], shown["total_value"]), (2, 8))
        self.net.run(1)
        self.assertEqual(self.call("getbalance", address=self.first), shown["final_value"])

    def test_refused(self) -> None:
        self.refused(WALLET_ERROR, "mergeutxos", 4)
        for params in ([1], [3, 2], [2, 100_001], [-1]):
            self.refused(INVALID_PARAMETER, "mergeutxos", *params)
        for address in (STRANGER, "nonsense"):
            self.refused(NOT_FOUND, "mergeutxos", 2, 3, address)
        self.refused(TYPE_ERROR, "mergeutxos", "2")
        self.refused(INVALID_PARAMS, "mergeutxos", 2, 3, self.first, 1)
        self.call("encryptwallet", "secret")
        self.refused(PASSPHRASE_NEEDED, "mergeutxos")
