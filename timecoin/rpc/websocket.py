"""``GET /ws``: JSON-RPC over a WebSocket, for subscriptions (RFC 6455, autobahn).

The login is that of the other calls and is checked before the upgrade. From then on the
connection belongs to autobahn; time and sending stay ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from timecoin.rpc.auth import Caller, Gate
from timecoin.rpc.connection import BoundedConnection
from timecoin.rpc.http import HttpRefusal
from timecoin.rpc.outbox import Outbox
from timecoin.rpc.server import JsonRpcServer, ServerLimits
from timecoin.rpc.subscriptions import Streams, SubscriptionMethods

PING_S = 30.0
"""A client is pinged so often; one that has not answered by the next ping is gone."""
CLOSE_GRACE_S = 2.0
"""A client may take this long to answer a close frame."""
MAX_MESSAGE_BYTES = 64 * 1024
MAX_BATCH = 100

GOING_AWAY = 1001
UNSUPPORTED_DATA = 1003
POLICY = 1008
INTERNAL = 1011
"""Close codes of RFC 6455, section 7.4.1."""

UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """How many clients at a time."""

    clients: int = 128
    per_address: int = 16


class WebSocketDoor:
    """Lets clients in, and knows those that are inside."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        gate: Gate,
        streams: Streams,
        limits: WebSocketLimits | None = None,
    ) -> None:
        self.clock = clock
        self.subscriptions = streams.subscriptions
        self._gate = gate
        self._network = streams.network
        self._limits = limits or WebSocketLimits()
        self._clients: dict[WebSocketClient, str] = {}
        self._closing = False
        self._factory = WebSocketServerFactory(reactor=clock)
        self._factory.setProtocolOptions(
            maxFramePayloadSize=MAX_MESSAGE_BYTES,
            maxMessagePayloadSize=MAX_MESSAGE_BYTES,
            failByDrop=False,
            openHandshakeTimeout=0,  # the handshake is here already
            closeHandshakeTimeout=0,  # by our clock, not by autobahn's
            tcpNoDelay=True,
        )

    @property
    def clients(self) -> int:
        """Clients inside."""
        return len(self._clients)

    async def admit(self, request: Request) -> IResource:
        """What upgrades ``request``; :class:`HttpRefusal` if it may not be.

        426 for a plain GET, 403 for a web page of another origin, 503 when there are too many;
        the others as for any call.
        """
        if (request.getHeader(b"upgrade") or b"").lower() != b"websocket":
            raise HttpRefusal(HTTPStatus.UPGRADE_REQUIRED, "this is a WebSocket", UPGRADE)
        _check_origin(request)
        address = str(getattr(request.getClientAddress(), "host", ""))
        caller = await self._gate.admit(address, request.getHeader(b"authorization"))
        if not caller.may_call("subscribe"):
            raise HttpRefusal(HTTPStatus.FORBIDDEN, "method not in rpcwhitelist")
        inside = sum(host == address for host in self._clients.values())
        if (
            self._closing
            or len(self._clients) >= self._limits.clients
            or inside >= self._limits.per_address
        ):
            reason = "stopping" if self._closing else "too many WebSocket clients"
            raise HttpRefusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "5"})
        client = WebSocketClient(self, caller)
        client.factory = self._factory
        self._clients[client] = address
        request.notifyFinish().addErrback(lambda _: self.left(client))
        return _Upgrade(client)

    def serve(self, client: WebSocketClient) -> JsonRpcServer:
        """The methods of one client, answering for it alone."""
        server = JsonRpcServer(self.clock, self._gate, ServerLimits(max_batch=MAX_BATCH))
        server.publish(SubscriptionMethods(self._network, self.subscriptions, client))
        return server

    def left(self, client: WebSocketClient) -> None:
        """A client is gone; nothing is kept of it."""
        self._clients.pop(client, None)
        self.subscriptions.drop(client)

    def close(self) -> None:
        """Let nobody in any more, and ask those inside to leave."""
        self._closing = True
        for client in list(self._clients):
            client.end(GOING_AWAY, "the node stops")


class _Upgrade(Resource):
    """Gives the connection of its request to ``client``, with the handshake that has been read.

    Not autobahn's own ``WebSocketResource``: that looks for TLS in the outermost transport only.
    """

    isLeaf = True

    def __init__(self, client: WebSocketClient) -> None:
        super().__init__()
        self._client = client

    def render_GET(self, request: Request) -> int:
        lines = [b"GET %s HTTP/1.1" % request.uri]
        lines += [
            b"%s: %s" % (name, b",".join(values))
            for name, values in request.requestHeaders.getAllRawHeaders()
        ]
        cast(BoundedConnection, request.channel.transport).hand_over(self._client)
        self._client.dataReceived(b"\r\n".join([*lines, b"", b""]))
        return NOT_DONE_YET


@implementer(IPushProducer)
class WebSocketClient(WebSocketServerProtocol):
    """One client. Every message of it is a JSON-RPC body; it is told notifications besides."""

    def __init__(self, door: WebSocketDoor, caller: Caller) -> None:
        super().__init__()
        self._door = door
        self._caller = caller
        self._methods = door.serve(self)
        self._outbox = Outbox(self._write)
        self._tick: IDelayedCall | None = None
        self._answered_ping = True

    # from autobahn

    def onConnect(self, request: ConnectionRequest) -> None:
        """The handshake is sound; no subprotocol is spoken."""

    def onOpen(self) -> None:
        """The connection is a WebSocket from now on."""
        self.registerProducer(self, True)
        self._tick = self._door.clock.callLater(PING_S, self._ping)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer a JSON-RPC body."""
        if isBinary:
            self.end(UNSUPPORTED_DATA, "text is expected")
            return
        work = Deferred.fromCoroutine(self._methods.answer(payload, self._caller))
        work.addCallbacks(self._answer, self._failed)

    def onPong(self, payload: bytes) -> None:
        """The client lives."""
        self._answered_ping = True

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._outbox.clear()
        self._door.left(self)

    # to the client

    def tell(self, text: bytes) -> None:
        """Send ``text``, or keep it while the client reads slowly; too slow a client is dropped."""
        if self.state == WebSocketProtocol.STATE_OPEN and not self._outbox.put(text):
            self.end(POLICY, "too slow: too many messages wait to be read")

    def end(self, code: int, reason: str) -> None:
        """Close with ``code`` and ``reason``; by force if the client does not answer in time."""
        self._door.subscriptions.drop(self)
        self._outbox.clear()
        if self.state != WebSocketProtocol.STATE_OPEN:
            self.dropConnection(abort=True)
            return
        self._door.log.info("WebSocket {peer} closed: {reason}", peer=self.peer, reason=reason)
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)
        self._restart(CLOSE_GRACE_S)

    def _answer(self, text: bytes) -> None:
        if text:
            self.tell(text)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, HttpRefusal):
            self.end(POLICY, error.reason)
        else:
            self._door.log.failure("WebSocket request failed", failure=failure)
            self.end(INTERNAL, "internal error")

    def _write(self, text: bytes) -> None:
        self.sendMessage(text, isBinary=False)

    def _ping(self) -> None:
        self._tick = None
        if self.state != WebSocketProtocol.STATE_OPEN or not self._answered_ping:
            self.dropConnection(abort=True)
            return
        self._answered_ping = False
        self.sendPing()
        self._restart(PING_S)

    def _restart(self, delay_s: float) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._tick = self._door.clock.callLater(delay_s, self._ping)

    # from the transport

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._outbox.pause()

    def resumeProducing(self) -> None:
        """The transport has room."""
        if self.state == WebSocketProtocol.STATE_OPEN:
            self._outbox.resume()

    def stopProducing(self) -> None:
        """The transport is gone; ``onClose`` says the rest."""


def _check_origin(request: Request) -> None:
    """A browser names the page that connects: only this node's own may use a stored login."""
    origin = request.getHeader(b"origin")
    if origin is None:
        return
    scheme = b"https" if request.isSecure() else b"http"
    if origin.lower() != scheme + b"://" + (request.getHeader(b"host") or b"").lower():
        raise HttpRefusal(HTTPStatus.FORBIDDEN, "web pages of other origins may not connect")
