"""Finality asked for and waited for; waiting calls are told, bounded, and leave no trace."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.methods.net import RpcFailure, RpcNet, RpcTestCase, result_of
from tests.support.ledger_kit import TIME
from timecoin.finality.events import Status, StatusChanged
from timecoin.rpc.errors import (
    FINALITY_TIMEOUT,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    NOT_FOUND,
    RATE_LIMITED,
    REJECTED,
    TYPE_ERROR,
    RpcError,
)
from timecoin.rpc.server import _Serving
from timecoin.rpc.waiters import FinalityWaiters

TXID = b"\x11" * 32


class ThreeNodesTests(RpcTestCase):
    """Three validators: two of them finalize what the third was given."""

    count = 3

    def setUp(self) -> None:
        super().setUp()
        self.tx = self.net.payment(0)
        self.txid = self.tx.txid.hex()

    def test_on_the_way(self) -> None:
        self.refused(NOT_FOUND, "gettransactionfinality", self.txid)
        self.call("sendrawtransaction", self.tx.encoded.hex())
        shown = self.call("gettransactionfinality", self.txid)
        self.assertIs(shown["finalized"], False)
        self.assertEqual((shown["txid"], shown["confirmations"]), (self.txid, 0))
        self.net.run(1)
        shown = self.call("gettransactionfinality", self.txid)
        self.assertEqual((shown["status"], shown["finalized"]), ("final", True))
        self.assertEqual((shown["anchor_height"], shown["quorum"]), (0, 200))
        self.assertGreaterEqual(shown["weight"], 200)
        self.assertGreaterEqual(shown["receipts_weight"], 200)
        self.assertEqual(shown["confirmations"], 0)

    def test_archived(self) -> None:
        self.call("sendrawtransaction", self.tx.encoded.hex())
        self.net.run_to_height(2)
        for node in self.net.nodes:
            shown = node.call("gettransactionfinality", self.txid)
            self.assertEqual((shown["status"], shown["confirmations"]), ("archived", 2))
            self.assertIs(shown["finalized"], True)
            self.assertEqual((shown["anchor_height"], shown["quorum"]), (0, 200))
            self.assertGreaterEqual(shown["weight"], 200)
            self.assertGreaterEqual(shown["receipts_weight"], 200)

    def test_wait_is_told_on_every_node(self) -> None:
        waiting = [node.ask("waittransactionfinality", self.txid) for node in self.net.nodes]
        self.assertEqual([len(node.catalog.waiters) for node in self.net.nodes], [1, 1, 1])
        self.call("sendrawtransaction", self.tx.encoded.hex())
        self.net.run(1)
        for call, node in zip(waiting, self.net.nodes, strict=True):
            shown = result_of(call)
            self.assertIs(shown["finalized"], True)
            self.assertLess(shown["wait_time_ms"], 1_000)
            self.assertEqual(len(node.catalog.waiters), 0)

    def test_wait_for_what_is_final_already(self) -> None:
        self.call("sendrawtransaction", self.tx.encoded.hex())
        self.net.run(1)
        self.assertEqual(self.call("waittransactionfinality", self.txid)["wait_time_ms"], 0)
        self.net.run_to_height(1)
        shown = self.call("waittransactionfinality", self.txid, 0)
        self.assertEqual((shown["status"], shown["wait_time_ms"]), ("archived", 0))

    def test_no_finality_without_a_quorum(self) -> None:
        for node in self.net.nodes[1:]:
            node.cut()
        self.call("sendrawtransaction", self.tx.encoded.hex())
        began = self.net.clock.seconds()
        failure = self.refused(FINALITY_TIMEOUT, "waittransactionfinality", self.txid, 5)
        self.assertEqual(failure.data, {"txid": self.txid})
        self.assertLess(abs(self.net.clock.seconds() - began - 5), 0.01)
        self.assertEqual(len(self.node.catalog.waiters), 0)
        self.assertIs(self.call("gettransactionfinality", self.txid)["finalized"], False)

    def test_client_that_leaves_frees_its_place(self) -> None:
        serving = _Serving()
        call = self.node.ask("waittransactionfinality", self.txid, serving=serving)
        self.assertEqual(len(self.node.catalog.waiters), 1)
        serving.cancel()
        self.failureResultOf(call, CancelledError)
        self.assertEqual(len(self.node.catalog.waiters), 0)


class LoserTests(RpcTestCase):
    """The side of a double spend that lost."""

    count = 3

    def test_waiting_ends_with_the_loss(self) -> None:
        first, second = self.net.payment(0), self.net.payment(0, 2 * TIME)
        one, _, other = self.net.nodes
        one.call("sendrawtransaction", first.encoded.hex())
        try:
            other.call("sendrawtransaction", second.encoded.hex())
        except RpcFailure as refused:
            self.assertEqual(refused.code, REJECTED)
        waiting = {
            tx.txid: [
                node.ask("waittransactionfinality", tx.txid.hex(), 90) for node in (one, other)
            ]
            for tx in (first, second)
        }
        self.net.run(100)
        won = one.call("gettransactionfinality", first.txid.hex())["finalized"]
        winner, loser = (first, second) if won else (second, first)
        for call in waiting[winner.txid]:
            self.assertIs(result_of(call)["finalized"], True)
        codes = []
        for call in waiting[loser.txid]:
            failure = self.assertRaises(RpcFailure, result_of, call)
            codes.append(failure.code)
        self.assertIn(REJECTED, codes)
        self.assertTrue({REJECTED, FINALITY_TIMEOUT}.issuperset(codes))
        self.refused_by(one, REJECTED, "waittransactionfinality", loser.txid.hex())


class ParameterTests(RpcTestCase):
    """What is no txid and no time-out."""

    def test_txid(self) -> None:
        for method in ("gettransactionfinality", "waittransactionfinality"):
            self.refused(INVALID_PARAMS, method)
            self.refused(TYPE_ERROR, method, 1)
            self.refused(INVALID_PARAMETER, method, "11" * 31)
            self.refused(INVALID_PARAMS, method, TXID.hex(), 1, 1)

    def test_timeout(self) -> None:
        self.refused(FINALITY_TIMEOUT, "waittransactionfinality", TXID.hex(), 0)
        self.refused(INVALID_PARAMETER, "waittransactionfinality", TXID.hex(), -1)
        self.refused(INVALID_PARAMETER, "waittransactionfinality", TXID.hex(), 3_601)
        for bad in ("1", 1.5, True, [1]):
            self.refused(TYPE_ERROR, "waittransactionfinality", TXID.hex(), bad)

    def test_default_is_five_minutes(self) -> None:
        call = self.node.ask("waittransactionfinality", TXID.hex())
        self.net.run(299)
        self.assertFalse(call.called)
        self.net.run(1.1)
        failure = self.assertRaises(RpcFailure, result_of, call)
        self.assertEqual(failure.code, FINALITY_TIMEOUT)

    def test_too_many_wait(self) -> None:
        net = RpcNet(self)
        (node,) = net.nodes
        self.patch(node.catalog.waiters, "_max_waiters", 1)
        first = node.ask("waittransactionfinality", TXID.hex())
        self.refused_by(node, RATE_LIMITED, "waittransactionfinality", TXID.hex())
        self.assertFalse(first.called)


class WaiterTests(SynchronousTestCase):
    """The register of waiting calls by itself."""

    def setUp(self) -> None:
        self.waiters = FinalityWaiters(max_waiters=3)

    def tell(self, status: Status, txid: bytes = TXID) -> None:
        """A transaction has reached a status."""
        self.waiters.on_status(StatusChanged(txid, status, 0))

    def test_all_of_one_transaction_are_told(self) -> None:
        first, second = self.waiters.wait(TXID), self.waiters.wait(TXID)
        other = self.waiters.wait(bytes(32))
        self.tell(Status.FINAL)
        self.assertIs(self.successResultOf(first), Status.FINAL)
        self.assertIs(self.successResultOf(second), Status.FINAL)
        self.assertNoResult(other)
        self.assertEqual(len(self.waiters), 1)
        self.tell(Status.ARCHIVED)
        self.assertEqual(len(self.waiters), 1)

    def test_only_the_end_is_told(self) -> None:
        waiting = self.waiters.wait(TXID)
        ends = (Status.FINAL, Status.ARCHIVED, Status.REJECTED, Status.EXPIRED)
        for status in Status:
            if status not in ends:
                self.tell(status)
        self.assertNoResult(waiting)
        for status in ends:
            waiting = self.waiters.wait(TXID)
            self.tell(status)
            self.assertIs(self.successResultOf(waiting), status)

    def test_bound(self) -> None:
        waiting = [self.waiters.wait(bytes((number,)) * 32) for number in range(3)]
        error = self.assertRaises(RpcError, self.waiters.wait, TXID)
        self.assertEqual(error.code, RATE_LIMITED)
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        self.assertEqual(len(self.waiters), 2)
        self.waiters.wait(TXID)

    def test_cancelled_ones_are_not_told(self) -> None:
        first, second = self.waiters.wait(TXID), self.waiters.wait(TXID)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.tell(Status.FINAL)
        self.assertIs(self.successResultOf(second), Status.FINAL)
        self.assertEqual(len(self.waiters), 0)
