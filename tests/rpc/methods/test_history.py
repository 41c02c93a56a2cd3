"""The history by RPC: ``listtransactions``, ``listsinceblock``, ``rescanblockchain``."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.rpc.methods.walletcase import STRANGER, WalletTestCase
from tests.support.ledger_kit import TIME
from timecoin.rpc.errors import (
    INVALID_PARAMETER,
    INVALID_PARAMS,
    MISC_ERROR,
    NOT_FOUND,
    TYPE_ERROR,
    WALLET_ERROR,
)
from timecoin.rpc.server import _Serving


class ListTests(WalletTestCase):
    """One payment in, archived; one out, waiting."""

    def setUp(self) -> None:
        super().setUp()
        self.address = self.pay_in(5 * TIME, label="shop")
        self.net.run_to_height(1)
        self.txid = self.call("sendtoaddress", STRANGER, 2)

    def test_newest_last(self) -> None:
        received, sent = self.call("listtransactions")
        self.assertEqual((received["category"], received["amount"]), ("receive", 5))
        self.assertEqual((received["label"], received["address"]), ("shop", self.address))
        self.assertEqual((received["blockheight"], received["confirmations"]), (1, 1))
        self.assertEqual(received["blockhash"], self.call("getblockhash", 1))
        self.assertEqual((sent["category"], sent["amount"]), ("send", -2))
        self.assertEqual((sent["txid"], sent["address"]), (self.txid, STRANGER))
        self.assertEqual((sent["confirmations"], sent["final"]), (0, False))
        self.assertLess(sent["fee"], 0)
        self.net.run(1)
        self.assertIs(self.call("listtransactions")[-1]["final"], True)

    def test_pages(self) -> None:
        received, sent = self.call("listtransactions")
        self.assertEqual(self.call("listtransactions", "*", 1), [sent])
        self.assertEqual(self.call("listtransactions", "*", 1, 1), [received])
        self.assertEqual(self.call("listtransactions", count=5, skip=2), [])
        self.assertEqual(self.call("listtransactions", "*", 0), [])
        self.assertEqual(self.call("listtransactions", "shop"), [received])
        self.assertEqual(self.call("listtransactions", ""), [sent])

    def test_any_address(self) -> None:
        self.net.run_to_height(2)
        (shown,) = self.call("listtransactions", address=STRANGER)
        self.assertEqual((shown["txid"], shown["category"]), (self.txid, "receive"))
        self.assertEqual((shown["amount"], shown["blockheight"]), (2, 2))
        self.assertEqual(self.call("listtransactions", address=STRANGER, skip=1), [])
        again = self.call("listtransactions", address=self.address)
        self.assertEqual([item["amount"] for item in again], [5])

    def test_refused(self) -> None:
        for params in (["*", -1], ["*", 10_001], ["*", 1, -1], ["x" * 1_025]):
            self.refused(INVALID_PARAMETER, "listtransactions", *params)
        self.refused(INVALID_PARAMETER, "listtransactions", label="shop", address=STRANGER)
        self.refused(NOT_FOUND, "listtransactions", address="nonsense")
        self.refused(TYPE_ERROR, "listtransactions", "*", "1")
        self.refused(INVALID_PARAMS, "listtransactions", "*", 1, 1, True, STRANGER)


class SinceTests(WalletTestCase):
    """``listsinceblock``."""

    def test_from_one_call_to_the_next(self) -> None:
        start = self.call("listsinceblock")
        self.assertEqual((start["transactions"], start["removed"]), ([], []))
        self.assertEqual(start["lastblock"], self.call("getbestblockhash"))
        self.pay_in(5 * TIME)
        self.net.run_to_height(1)
        first = self.call("listsinceblock", start["lastblock"])
        self.assertEqual([item["amount"] for item in first["transactions"]], [5])
        second = self.call("listsinceblock", first["lastblock"])
        self.assertEqual(second["transactions"], [])
        self.call("sendtoaddress", STRANGER, 1)
        waiting = self.call("listsinceblock", first["lastblock"])
        self.assertEqual([item["amount"] for item in waiting["transactions"]], [-1])
        self.assertEqual(len(self.call("listsinceblock")["transactions"]), 2)

    def test_target(self) -> None:
        self.net.run_to_height(2)
        for target, height in ((1, 2), (2, 1), (3, 0), (9, 0)):
            shown = self.call("listsinceblock", None, target, True, False)
            self.assertEqual(shown["lastblock"], self.call("getblockhash", height))
            self.assertNotIn("removed", shown)

    def test_refused(self) -> None:
        self.refused(NOT_FOUND, "listsinceblock", "00" * 32)
        self.refused(INVALID_PARAMETER, "listsinceblock", "00")
        self.refused(INVALID_PARAMETER, "listsinceblock", None, 0)
        self.refused(TYPE_ERROR, "listsinceblock", 5)
        self.refused(INVALID_PARAMS, "listsinceblock", None, 1, True, True, 1)


class RescanTests(WalletTestCase):
    """``rescanblockchain``."""

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(
            self.call("rescanblockchain"), {"start_height": 0, "stop_height": 0}, "only genesis"
        )
        self.pay_in(5 * TIME)
        self.net.run_to_height(3)

    def test_reads_again(self) -> None:
        before = self.call("listtransactions")
        self.assertEqual(len(before), 1)
        shown = self.call("rescanblockchain")
        self.assertEqual(shown, {"start_height": 0, "stop_height": 3})
        self.assertEqual(self.call("rescanblockchain", 2, 3), {"start_height": 2, "stop_height": 3})
        self.assertEqual(self.call("listtransactions"), before)

    def test_one_at_a_time_and_its_progress(self) -> None:
        waiting = self.node.ask("rescanblockchain")
        scan = self.call("getwalletinfo")["scanning"]
        self.assertTrue(scan is False or 0 <= scan["progress"] <= 1)
        self.refused(WALLET_ERROR, "rescanblockchain")
        self.net.answer(waiting)
        self.assertIs(self.call("getwalletinfo")["scanning"], False)

    def test_goes_on_when_the_caller_leaves(self) -> None:
        serving = _Serving()
        waiting: Deferred[bytes] = self.node.ask("rescanblockchain", serving=serving)
        waiting.addErrback(lambda failure: b"")
        serving.cancel()
        self.refused(WALLET_ERROR, "rescanblockchain")
        self.net.run(1)
        self.assertIs(self.call("getwalletinfo")["scanning"], False)
        self.call("rescanblockchain")

    def test_refused(self) -> None:
        for params in ([4], [-1], [2, 1], [0, 4], [2**63]):
            self.refused(INVALID_PARAMETER, "rescanblockchain", *params)
        self.refused(TYPE_ERROR, "rescanblockchain", "0")
        self.refused(INVALID_PARAMS, "rescanblockchain", 0, 1, 2)


class NoIndexTests(WalletTestCase):
    """A node that keeps no index of addresses."""

    def test_foreign_addresses(self) -> None:
        self.patch(type(self.node.node.addresses), "enabled", False)
        for method in ("getbalance", "listunspent", "listtransactions"):
            failure = self.refused(MISC_ERROR, method, address=STRANGER)
            self.assertIn("addressindex", failure.message)
        self.assertEqual(self.call("getbalance"), 1_000)
