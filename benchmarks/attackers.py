"""Attackers of one node, in a process of their own, from many addresses of this machine.

Started by ``benchmarks/floods.py``. Some hold connections and are slow on them, or flood them; who
is let go calls again at once. Others connect as often as they are told to. Prints one JSON line a
second: connections opened, refused, let go, and open now. Ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

from crowd import CONNECT_S, source, stranger, tell
from OpenSSL import SSL
from twisted.internet import defer, task
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure

from timecoin.codec import encode
from timecoin.node.catalog import KIND_OF
from timecoin.p2p.framing import encode_frame
from timecoin.p2p.messages import HELLO, PING, Hello, Ping
from timecoin.p2p.peer import Peer
from timecoin.p2p.tls import NodeTls
from timecoin.params import PROTOCOL_VERSION
from timecoin.sync.messages import TipAnnounce

HOLDING = ("slow-tls", "slow-hello", "slow-request", "requests", "pings", "messages")
CONNECTING = ("connections", "tls", "links")
NICE = 10
"""What is left of the machine: what the node bears is of interest, not how both share it."""
BYTE_S = 10
"""The slow ones send a byte so often."""
AGAIN_S = 0.5
BLOB_S = 0.1
"""The loud ones send a blob so often."""
BLOB_FRAMES = 200
STATUS = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW_REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
STATUS_AT_A_TIME = 2


def client_hello() -> bytes:
    """How a TLS handshake begins."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(4_096)


class Guest(Protocol):
    """A connection of which is told when it is gone."""

    def __init__(self) -> None:
        self.gone: defer.Deferred[None] = defer.Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is."""
        self.gone.callback(None)


class Drip(Guest):
    """Sends its bytes one by one, as slowly as it may, and never finishes."""

    def __init__(self, data: bytes, clock: Any) -> None:
        super().__init__()
        self._rest = iter(data * 100)
        self._loop = task.LoopingCall(self._next)
        self._loop.clock = clock

    def connectionMade(self) -> None:
        """The first byte."""
        self._loop.start(BYTE_S)

    def _next(self) -> None:
        assert self.transport is not None
        self.transport.write(bytes((next(self._rest),)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go."""
        self._loop.stop()
        super().connectionLost(reason)


class Asker(Guest):
    """Asks for the node's status, again as soon as it has been answered."""

    def connectionMade(self) -> None:
        """The first questions."""
        assert self.transport is not None
        self.transport.write(STATUS * STATUS_AT_A_TIME)

    def dataReceived(self, data: bytes) -> None:
        """An answer, or some."""
        assert self.transport is not None
        self.transport.write(STATUS * data.count(b"HTTP/1.1 "))


class Attackers:
    """All of one kind."""

    def __init__(self, reactor: Any, options: argparse.Namespace) -> None:
        self._reactor = reactor
        self._options = options
        self._counts: Counter[str] = Counter()
        self._end_s = time.monotonic() + options.seconds
        self._chain_id = bytes.fromhex(options.chain_id)
        self._plain_tls = CertificateOptions(verify=False)
        self._node_tls = NodeTls(os.urandom(32))

    async def run(self) -> None:
        """Until the time is over."""
        loud_ping = encode_frame(PING, encode(Ping(1))) * BLOB_FRAMES
        tip = TipAnnounce(0, bytes.fromhex(self._options.genesis), 1)
        loud_tip = encode_frame(KIND_OF[TipAnnounce], encode(tip)) * BLOB_FRAMES
        hello = Hello(self._chain_id, PROTOCOL_VERSION, "slow", 1, 0, 0, 3)
        holders: dict[str, Callable[[int], Awaitable[None]]] = {
            "slow-tls": lambda n: self._drip(n, client_hello(), None),
            "slow-hello": lambda n: self._drip(
                n, encode_frame(HELLO, encode(hello)), self._node_tls
            ),
            "slow-request": lambda n: self._drip(n, SLOW_REQUEST, self._plain_tls),
            "requests": self._ask,
            "pings": lambda n: self._shout(n, loud_ping),
            "messages": lambda n: self._shout(n, loud_tip),
        }
        once: dict[str, Callable[[int], Awaitable[None]]] = {
            "connections": lambda n: self._touch(n, None),
            "tls": lambda n: self._touch(n, self._plain_tls),
            "links": self._link_once,
        }
        what, options = self._options.what, self._options
        number = 0
        while time.monotonic() < self._end_s:
            if what in once:
                self._start(once[what], number)
            elif number < options.count:
                self._start(self._again(holders[what]), number)
            number += 1
            tell(**self._counts)
            await task.deferLater(self._reactor, 1 / options.rate)
        tell(force=True, **self._counts)

    def _start(self, attack: Callable[[int], Awaitable[None]], number: int) -> None:
        call = defer.ensureDeferred(cast(Any, attack(number)))
        call.addErrback(lambda _: self._counts.update(refused=1))

    def _again(self, attack: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
        async def forever(number: int) -> None:
            while True:
                try:
                    await attack(number)
                except Exception:  # whatever: it was not let in
                    self._counts["refused"] += 1
                await task.deferLater(self._reactor, AGAIN_S)

        return forever

    def _endpoint(self, number: int) -> TCP4ClientEndpoint:
        here = (source(number), 0)
        return TCP4ClientEndpoint(
            self._reactor, "127.0.0.1", self._options.port, CONNECT_S, bindAddress=here
        )

    async def _connect(self, number: int, protocol: Any, tls: Any) -> Any:
        endpoint: Any = self._endpoint(number)
        if tls is not None:
            endpoint = wrapClientTLS(tls, endpoint, self._reactor)
        made = await endpoint.connect(Factory.forProtocol(protocol))
        self._counts["opened"] += 1
        return made

    async def _held(self, gone: defer.Deferred[None]) -> None:
        self._counts["open"] += 1
        await gone
        self._counts["open"] -= 1
        self._counts["let_go"] += 1

    async def _drip(self, number: int, data: bytes, tls: Any) -> None:
        protocol = await self._connect(number, lambda: Drip(data, self._reactor), tls)
        await self._held(protocol.gone)

    async def _ask(self, number: int) -> None:
        protocol = await self._connect(number, Asker, self._plain_tls)
        await self._held(protocol.gone)

    async def _touch(self, number: int, tls: Any) -> None:
        """Connect, shake hands, and go."""
        protocol = await self._connect(number, lambda: _Touch(wait=tls is not None), tls)
        await protocol.gone
        self._counts["let_go"] += 1

    async def _link_once(self, number: int) -> None:
        peer = await self._stranger(number)
        await peer.settled
        peer.close("done")

    async def _shout(self, number: int, blob: bytes) -> None:
        """A link that is written to as fast as the process can."""
        peer = await self._stranger(number)
        if not await peer.settled:
            raise ConnectionError(peer.close_reason)
        loop = task.LoopingCall(lambda: cast(ITCPTransport, peer.transport).write(blob))
        loop.clock = self._reactor
        loop.start(BLOB_S)
        try:
            await self._held(peer.finished)
        finally:
            loop.stop()

    async def _stranger(self, number: int) -> Peer:
        peer = await stranger(self._reactor, self._options.port, self._chain_id, number)
        self._counts["opened"] += 1
        return peer


class _Touch(Guest):
    """Gone as soon as it is there; with ``wait`` when the handshake is over."""

    def __init__(self, wait: bool) -> None:
        super().__init__()
        self._wait = wait

    def connectionMade(self) -> None:
        """Nothing is wanted here."""
        assert self.transport is not None
        if self._wait:
            self.transport.write(STATUS)
        else:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """The handshake was worth an answer."""
        assert self.transport is not None
        self.transport.loseConnection()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=(*HOLDING, *CONNECTING))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chain-id", required=True)
    parser.add_argument("--genesis", required=True)
    parser.add_argument("--count", type=int, required=True, help="connections held")
    parser.add_argument("--rate", type=float, required=True, help="new ones a second")
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args(sys.argv[1:])
    os.nice(NICE)
    task.react(lambda reactor: defer.ensureDeferred(Attackers(reactor, options).run()))


if __name__ == "__main__":
    main()
