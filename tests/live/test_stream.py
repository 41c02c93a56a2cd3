"""A node as a process, HTTPS and its WebSocket: a payment is heard of on its way into a block."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import start_network
from timecoin.cli.devnet.record import NodeRecord


class Stream:
    """A WebSocket (RFC 6455) as plain as can be: short masked frames out, any text frames in."""

    def __init__(self, node: NodeRecord) -> None:
        host, port = node.rpc_url.removeprefix("https://").rstrip("/").split(":")
        context = ssl.create_default_context(cafile=node.tls_cert)
        plain = socket.create_connection((host, int(port)), timeout=60)
        self._socket = context.wrap_socket(plain, server_hostname=host)
        login = base64.b64encode(f"{node.rpc_user}:{node.rpc_password}".encode()).decode()
        lines = (
            "GET /ws HTTP/1.1",
            f"Host: {host}:{port}",
            f"Authorization: Basic {login}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
        )
        self._socket.sendall("\r\n".join((*lines, "", "")).encode())
        self._stream = self._socket.makefile("rb")
        self.status = self._stream.readline().split()[1]
        while self._stream.readline().strip():
            pass

    def ask(self, method: str, *params: object) -> Any:
        """The result of a call, which must be the next thing heard."""
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        size = (
            bytes((0x80 | len(text),)) if len(text) < 126 else struct.pack("!BH", 0xFE, len(text))
        )
        # A mask of zeros leaves the text as it is.
        self._socket.sendall(b"\x81" + size + bytes(4) + text)
        return self.hear()["result"]

    def hear(self) -> Any:
        """The next text."""
        head, length = self._stream.read(2)
        assert head == 0x81, head
        if length == 126:
            (length,) = struct.unpack("!H", self._stream.read(2))
        return json.loads(self._stream.read(length))

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()


class StreamTests(SynchronousTestCase):
    def test_a_payment_and_its_block(self) -> None:
        # A tip older than two slots makes nothing final: slots long enough for a busy machine.
        network = start_network(self, 1, slot_ms=4_000, tls=True)
        (node,) = network.nodes
        client = node.client()
        self.addCleanup(client.close)
        stream = Stream(node)
        self.addCleanup(stream.close)
        self.assertEqual(stream.status, b"101")
        address = client.call("getnewaddress")
        topics = (("transactions",), ("finality",), ("address", {"address": address}), ("blocks",))
        names = {stream.ask("subscribe", *topic): topic[0] for topic in topics}
        txid = client.call("sendtoaddress", [address, "1.5"])
        heard: dict[str, list[Any]] = {name: [] for name in names.values()}
        while "archived" not in [told["status"] for told in heard["address"]]:
            told = stream.hear()["params"]
            self.assertEqual(told["topic"], names[told["subscription"]])
            heard[told["topic"]].append(told["result"])
        self.assertEqual([tx["txid"] for tx in heard["transactions"]], [txid])
        statuses = [told["status"] for told in heard["finality"] if told["txid"] == txid]
        self.assertEqual((statuses[0], statuses[-1]), ("seen", "final"))
        archived = heard["address"][-1]
        self.assertEqual((archived["txid"], archived["received"]), (txid, 1.5))
        block = client.call("getblock", [archived["height"]])
        self.assertIn(txid, block["tx"])
        self.assertIn(block["hash"], [told["hash"] for told in heard["blocks"]])
