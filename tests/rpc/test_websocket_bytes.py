"""``/ws`` without sockets: the handshake, pings by the clock, and noise that harms nobody."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.http import UPGRADE, Client
from timecoin.params import Network
from timecoin.rpc.auth import Gate, Login, Logins
from timecoin.rpc.connection import ConnectionLimits
from timecoin.rpc.reception import Reception
from timecoin.rpc.server import JsonRpcServer, ServerLimits
from timecoin.rpc.site import make_site
from timecoin.rpc.subscriptions import Streams, Subscriptions, Topic
from timecoin.rpc.throttle import LoginThrottle
from timecoin.rpc.websocket import WebSocketDoor, WebSocketLimits

BLOCKS = Topic("blocks")


def frame(head: int, payload: bytes) -> bytes:
    """A frame from a client, under a mask of zeros, which leaves it as it is."""
    size = bytes((0x80 | len(payload),))
    if len(payload) > 125:
        size = struct.pack("!BH", 0xFE, len(payload))
    return bytes((head,)) + size + bytes(4) + payload


frames = st.builds(frame, st.integers(0, 255), st.binary(max_size=200))
texts = st.builds(lambda text: frame(0x81, text.encode()), st.text(max_size=100))


class NoiseTests(SynchronousTestCase):
    """Without sockets: whatever a client sends, nothing fails and nothing is left of it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.subscriptions = Subscriptions()
        gate = Gate(Logins([Login.from_password("alice", "right")], {}), LoginThrottle(self.clock))
        streams = Streams(Network.DEVNET, self.subscriptions)
        self.door = WebSocketDoor(self.clock, gate, streams, WebSocketLimits(1, 1))
        self.site = make_site(
            JsonRpcServer(self.clock, gate, ServerLimits()),
            websocket=self.door,
            status=dict,
            health=lambda: {"healthy": True},
            reactor=self.clock,
            limits=ConnectionLimits(),
            reception=Reception(self.clock),
        )

    def enter(self) -> tuple[Client, bytes]:
        """A client inside, and the answer to its upgrade."""
        client = Client(self.site)
        client.send(UPGRADE)
        answer = client.transport.value()
        client.transport.clear()
        return client, answer

    def leave(self, client: Client) -> None:
        client.leave()
        self.assertEqual((self.door.clients, len(self.subscriptions)), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_handshake_of_the_specification(self) -> None:
        client, answer = self.enter()
        head, *lines = answer.split(b"\r\n")
        self.assertEqual(head, b"HTTP/1.1 101 Switching Protocols")
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", lines)
        asked = b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["blocks"]}'
        client.send(frame(0x81, asked))
        answer = b'{"jsonrpc":"2.0","result":1,"id":1}'
        self.assertEqual(client.transport.value(), bytes((0x81, len(answer))) + answer)
        self.leave(client)

    def test_pings_by_the_clock(self) -> None:
        client, _ = self.enter()
        self.clock.advance(29.9)
        self.assertEqual(client.transport.value(), b"")
        self.clock.advance(0.2)
        self.assertEqual(client.transport.value(), b"\x89\x00")
        client.send(frame(0x8A, b""))
        self.clock.advance(30)
        self.assertFalse(client.closed)
        self.clock.advance(30)
        self.assertTrue(client.closed)
        self.leave(client)

    @given(st.lists(st.one_of(frames, texts, st.binary(max_size=60)), max_size=6))
    def test_noise(self, sent: list[bytes]) -> None:
        client, answer = self.enter()
        self.assertTrue(answer.startswith(b"HTTP/1.1 101"))
        for data in sent:
            client.send(data)
        self.subscriptions.publish(BLOCKS, {})
        self.leave(client)
        self.assertEqual(self.flushLoggedErrors(), [])
