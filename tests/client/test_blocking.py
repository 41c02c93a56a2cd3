"""The blocking client against a real HTTP server that answers as told."""

from __future__ import annotations

import socket
import threading
from decimal import Decimal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.client.answering import AnsweringServer, failure, result
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable


class BlockingClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = AnsweringServer.serving(self)
        self.client = BlockingClient(
            f"http://127.0.0.1:{self.server.server_port}/", "alice", "se:cret", timeout_s=20
        )
        self.addCleanup(self.client.close)

    def test_a_call(self) -> None:
        self.server.answer = lambda call: result(call, {"txid": "ab"})
        self.assertEqual(self.client.call("sendtoaddress", ["x", "1.5"]), {"txid": "ab"})
        _, authorization, call = self.server.seen[0]
        self.assertEqual(authorization, "Basic YWxpY2U6c2U6Y3JldA==")
        self.assertEqual(call["method"], "sendtoaddress")
        self.assertEqual(call["params"], ["x", "1.5"])
        self.assertEqual(call["jsonrpc"], "2.0")

    def test_named_parameters_and_null(self) -> None:
        self.assertIsNone(self.client.call("stop", {"a": 1}))
        self.assertEqual(self.server.seen[0][2]["params"], {"a": 1})

    def test_amounts_are_exact(self) -> None:
        self.server.answer = lambda call: (
            200,
            b'{"jsonrpc":"2.0","result":90071992.54740993,"id":%d}' % call["id"],
        )
        self.assertEqual(self.client.call("getbalance"), Decimal("90071992.54740993"))

    def test_amounts_are_sent_exactly(self) -> None:
        self.client.call("createrawtransaction", [[], {"a": Decimal("90071992.54740993")}])
        self.assertIn(b'{"a":90071992.54740993}', self.server.bodies[0])

    def test_a_refused_login_tells_its_status(self) -> None:
        self.server.answer = lambda call: (401, b"")
        error = self.assertRaises(RpcUnreachable, self.client.call, "uptime")
        self.assertEqual(error.status, 401)

    def test_one_connection_is_kept(self) -> None:
        for _ in range(3):
            self.client.call("uptime")
        self.assertEqual(len({port for port, _, _ in self.server.seen}), 1)
        self.assertEqual(len({call["id"] for _, _, call in self.server.seen}), 3)

    def test_a_connection_closed_meanwhile_is_replaced(self) -> None:
        self.server.closing = True
        self.client.call("uptime")
        self.assertTrue(self.server.closed.wait(20))
        self.client.call("uptime")
        self.assertEqual(len({port for port, _, _ in self.server.seen}), 2)

    def test_a_call_is_never_sent_twice(self) -> None:
        """The node may have paid before its connection broke."""

        def vanish(call: dict[str, Any]) -> tuple[int, bytes]:
            raise ConnectionAbortedError

        self.patch(self.server, "handle_error", lambda *args: None)
        self.client.call("uptime")
        self.server.answer = vanish
        self.assertRaises(RpcUnreachable, self.client.call, "sendtoaddress")
        self.assertEqual(len(self.server.seen), 2)

    def test_errors_of_the_node(self) -> None:
        self.server.answer = lambda call: failure(
            call, {"code": -6, "message": "no funds", "data": [1]}
        )
        error = self.assertRaises(RpcCallError, self.client.call, "sendtoaddress")
        self.assertEqual((error.code, error.message, error.data), (-6, "no funds", [1]))

    def test_what_is_no_answer(self) -> None:
        for status, body in (
            (200, b"<html>"),
            (200, b"[" * 100_000),
            (200, b"[]"),
            (200, b'{"jsonrpc":"2.0","result":1,"id":"other"}'),
            (200, b'{"jsonrpc":"2.0","error":{"message":"x"},"id":1}'),
            (401, b""),
            (503, b"busy"),
        ):
            content = (status, body)
            self.server.answer = lambda call: content  # noqa: B023  # called in this turn only
            self.assertRaises(RpcUnreachable, self.client.call, "uptime")

    def test_time_out(self) -> None:
        release = threading.Event()
        self.addCleanup(release.set)

        def dawdle(call: dict[str, Any]) -> tuple[int, bytes]:
            release.wait(20)
            return result(call, "late")

        self.patch(self.server, "handle_error", lambda *args: None)
        self.server.answer = dawdle
        error = self.assertRaises(RpcUnreachable, self.client.call, "uptime", (), 0.05)
        self.assertIn("no answer in time", str(error))
        release.set()
        self.server.answer = lambda call: result(call, "fresh")
        self.assertEqual(self.client.call("uptime"), "fresh")


class UnreachableTests(SynchronousTestCase):
    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        client = BlockingClient(f"http://127.0.0.1:{port}/", "u", "p")
        self.assertRaises(RpcUnreachable, client.call, "uptime")

    def test_other_urls(self) -> None:
        for url in ("ftp://host/", "host:1", "http://"):
            self.assertRaises(ValueError, BlockingClient, url, "u", "p")
