"""A real HTTP server for clients, which answers JSON-RPC calls as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


class _Calls(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: AnsweringServer

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(raw)
        body = json.loads(raw)
        self.server.seen.append((self.client_address[1], self.headers["authorization"], body))
        status, content = self.server.answer(body)
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.server.closing

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


class AnsweringServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
        self.seen: list[tuple[int, str, dict[str, Any]]] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = lambda call: result(call, None)
        self.closing = False
        self.closed = threading.Event()

    @classmethod
    def serving(cls, test: SynchronousTestCase) -> AnsweringServer:
        """One that answers until ``test`` ends."""
        server = cls()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        test.addCleanup(thread.join)
        test.addCleanup(server.server_close)
        test.addCleanup(server.shutdown)
        return server

    def shutdown_request(self, request: Any) -> None:
        """Tell when a connection was closed."""
        super().shutdown_request(request)
        self.closed.set()


def result(call: dict[str, Any], value: object) -> tuple[int, bytes]:
    return 200, json.dumps({"jsonrpc": "2.0", "result": value, "id": call["id"]}).encode()


def failure(call: dict[str, Any], error: object) -> tuple[int, bytes]:
    return 200, json.dumps({"jsonrpc": "2.0", "error": error, "id": call["id"]}).encode()
