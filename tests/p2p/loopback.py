"""Real services on loopback, and a raw TLS client that says what no service would."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import cast

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, ServerFactory
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.p2p.wire import CHAIN, Rows, Told
from timecoin.codec import encode
from timecoin.crypto.keys import SigningKey
from timecoin.p2p import connector
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.explorer import Resolve
from timecoin.p2p.framing import Frame, FrameBuffer, encode_frame
from timecoin.p2p.links import LinkLimits
from timecoin.p2p.messages import HELLO, SERVICE_VALIDATOR, Hello
from timecoin.p2p.ports import PeerInfo
from timecoin.p2p.service import PeerService, PeerSettings
from timecoin.p2p.tls import NodeTls
from timecoin.params import PROTOCOL_VERSION


def no_names(name: str) -> Deferred[list[str]]:
    """DNS that knows nobody."""
    return fail(DNSLookupError(name))


class Node:
    """A peer service with a listener that keeps what it is told."""

    def __init__(
        self,
        number: int,
        peers: tuple[int, ...] = (),
        *,
        port: int = 0,
        chain_id: bytes = CHAIN,
        votes: bool = False,
        limits: LinkLimits | None = None,
        rows: Rows | None = None,
        seeds: tuple[PeerAddress, ...] = (),
        resolve: Resolve = no_names,
        explore: bool = True,
    ) -> None:
        """``number`` makes the keys; ``peers`` are ports on loopback; ``rows`` outlive a node."""
        self.rows = Rows() if rows is None else rows
        self.voting_key = SigningKey(bytes([number + 100]) * 32) if votes else None
        self.told = Told()
        self.service = PeerService(
            reactor,
            PeerSettings(
                chain_id=chain_id,
                listen_host="127.0.0.1",
                listen_port=port,
                peers=tuple(PeerAddress("127.0.0.1", peer) for peer in peers),
                agent=f"node/{number}",
                limits=limits or LinkLimits(),
                seeds=seeds,
                explore=explore,
            ),
            bytes([number]) * 32,
            self.voting_key,
            random.Random(number),
            os.urandom,
            self.rows,
            resolve,
            time.time,
        )
        self.service.set_listener(self.told)

    @property
    def node_id(self) -> bytes:
        """Its name on the network."""
        return self.service.node_id

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.service.listen_port

    def link(self, other: bytes) -> PeerInfo | None:
        """Its link with the other node."""
        for info in self.service.peers():
            if info.node_id == other:
                return info
        return None

    def frames(self) -> list[tuple[object, ...]]:
        """The frames it was handed."""
        return [event[1:] for event in self.told.events if event[0] == "frame"]

    def connections(self) -> int:
        """TCP connections, links or not."""
        return len(self.service._links._connections)


@implementer(IOpenSSLClientConnectionCreator)
class RawTls:
    """TLS with any context."""

    def __init__(self, context: SSL.Context) -> None:
        """``context`` decides what is offered."""
        self._context = context

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """One connection."""
        return SSL.Connection(self._context, None)


@implementer(IHandshakeListener)
class RawClient(Protocol):
    """Keeps what arrives; says what the test wants."""

    def __init__(self) -> None:
        """Not connected yet."""
        self.secured: Deferred[None] = Deferred()
        self.lost: Deferred[str] = Deferred()
        """Fires with the name of the reason's class."""
        self.frames: list[Frame] = []
        self._buffer = FrameBuffer({})
        self._buffer.allow_large()

    @property
    def tls(self) -> TLSMemoryBIOProtocol:
        """The transport."""
        return cast(TLSMemoryBIOProtocol, self.transport)

    def handshakeCompleted(self) -> None:
        """This side is content."""
        self.secured.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Cut and keep."""
        self._buffer.append(data)
        while (frame := self._buffer.next()) is not None:
            self.frames.append(frame)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Tell why."""
        assert reason is not None
        self.lost.callback(reason.type.__name__ if reason.type else "")

    def say(self, kind: int, payload: bytes) -> None:
        """Write one frame."""
        self.write(encode_frame(kind, payload))

    def write(self, data: bytes) -> None:
        """Write any bytes."""
        self.tls.write(data)

    def greet(self, services: int = 0) -> None:
        """A good hello."""
        hello = Hello(CHAIN, PROTOCOL_VERSION, "raw/1", 1, 0, services, 4_711)
        self.say(HELLO, encode(hello))

    def greet_as_validator(self) -> None:
        """A good hello that promises a stake proof."""
        self.greet(SERVICE_VALIDATOR)


class LoopbackCase(TestCase):
    """Services are stopped at the end of each test, which then must leave nothing behind."""

    timeout = 30

    def setUp(self) -> None:
        """Keep the log lines of p2p; call again soon."""
        self.patch(connector, "FIRST_PAUSE_MS", 20)
        self.patch(connector, "MAX_PAUSE_MS", 60)
        self.lines: list[str] = []
        observer = cast(ILogObserver, self._keep_line)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def _keep_line(self, event: LogEvent) -> None:
        if str(event.get("log_namespace", "")).startswith("timecoin.p2p"):
            self.lines.append(formatEvent(event))

    def logged(self, text: str) -> bool:
        """Whether a log line contains the text."""
        return any(text in line for line in self.lines)

    def start(self, node: Node) -> Node:
        """Start, and stop at the end."""
        node.service.startService()
        self.addCleanup(self.stop, node)
        return node

    def stop(self, node: Node) -> Deferred[None]:
        """Stop unless it is stopped already."""
        if not node.service.running:
            return maybeDeferred(lambda: None)
        return node.service.stopService()

    async def free_port(self) -> int:
        """A port that nobody listens on."""
        port = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
        number = cast(IPv4Address, port.getHost()).port
        await maybeDeferred(port.stopListening)
        return number

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait; trial's time-out ends what never becomes true."""
        while not holds():
            await deferLater(reactor, 0.01)

    async def linked(self, one: Node, other: Node) -> None:
        """Wait until both see the link, with no connection beside it."""
        await self.until(
            lambda: (
                one.link(other.node_id)
                and other.link(one.node_id)
                and one.connections() == len(one.service.peers())
                and other.connections() == len(other.service.peers())
            )
        )

    async def connect(self, node: Node, tls: IOpenSSLClientConnectionCreator) -> RawClient:
        """A raw connection to the node; the TLS handshake may still fail."""
        endpoint = wrapClientTLS(
            tls,
            TCP4ClientEndpoint(reactor, "127.0.0.1", node.port),
            reactor,
        )
        client = await endpoint.connect(Factory.forProtocol(RawClient))
        assert isinstance(client, RawClient)

        def hang_up() -> None:
            if not client.lost.called:
                client.tls.abortConnection()

        self.addCleanup(hang_up)
        return client

    async def raw(self, node: Node, number: int = 200) -> RawClient:
        """A raw connection with a good node key, its handshake done."""
        client = await self.connect(node, NodeTls(bytes([number]) * 32))
        await client.secured
        return client
