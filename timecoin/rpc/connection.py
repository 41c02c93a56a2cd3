"""HTTP connections with bounds: how many, how large a body, how long a request may take to come.

twisted.web alone takes bodies of any size, and resets its idle time-out with every byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from timecoin.rpc.reception import Reception

DRAIN_S = 2.0
"""After a 413 the client may go on sending for this long: closing at once would lose the answer."""

TOO_LARGE = (
    b"HTTP/1.1 413 Content Too Large\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: 26\r\n"
    b"Connection: close\r\n\r\n"
    b'{"error":"body too large"}'
)
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``idle_timeout_s`` between bytes or requests; ``read_timeout_s`` for one whole request."""

    max_body_bytes: int = 16 * 1024 * 1024
    max_connections: int = 256
    idle_timeout_s: float = 30.0
    read_timeout_s: float = 60.0


class BoundedRequest(Request):
    """A request whose body is refused with 413 as soon as it is known to be too large.

    One whose method or path is no text, or whose host is no name, is refused with 400: the routes
    behind would log a traceback of it, for any stranger.
    """

    _received_bytes = 0
    _refused = False

    @property
    def _connection(self) -> BoundedConnection:
        return cast(BoundedConnection, self.transport)  # as BoundedSite builds them

    def gotLength(self, length: int | None) -> None:
        """Refuse by the declared length (None: chunked, counted as it comes)."""
        if length is not None and length > self._connection.limits.max_body_bytes:
            self._refuse(TOO_LARGE)
            length = 0
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        """Store a piece of the body, or drop it once refused."""
        self._received_bytes += len(data)
        if self._received_bytes > self._connection.limits.max_body_bytes:
            self._refuse(TOO_LARGE)
        if not self._refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete: serve it, unless it has been refused."""
        host = self.requestHeaders.getRawHeaders(b"host", [b""])[-1]
        is_text = _is_text(command) and _is_text(unquote_to_bytes(path))
        if not (is_text and _is_host(host)):
            self._refuse(BAD_REQUEST)
        if self._refused:
            return
        connection = self._connection
        connection.request_complete()
        self.notifyFinish().addBoth(lambda _: connection.request_served())
        connection.when_served(self, partial(super().requestReceived, command, path, version))

    def _refuse(self, answer: bytes) -> None:
        if not self._refused:
            self._refused = True
            self.requestHeaders.removeHeader(b"expect")  # no "100 Continue" after the refusal
            self._connection.refuse(answer)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_host(data: bytes) -> bool:
    """Whether the routes behind, which put a host's name into its ASCII form, can do so."""
    try:
        data.decode("utf-8").partition(":")[0].encode("idna")
    except UnicodeError:
        return False
    return True


class BoundedConnection(ProtocolWrapper):
    """One client's connection, with a deadline for each request to arrive whole."""

    def __init__(self, factory: BoundedSite, wrapped: IProtocol, host: str) -> None:
        super().__init__(factory, wrapped)  # type: ignore[arg-type]  # registers, as it asks
        self.limits = factory.limits
        self._host = host
        self._reception = factory.reception
        self._call_later: Callable[..., IDelayedCall] = factory.reactor.callLater
        self._deadline: IDelayedCall | None = None
        self._serving = False
        self._refused = False

    def makeConnection(self, transport: ITransport) -> None:
        """The first request is awaited from now on."""
        self._expect_request()
        super().makeConnection(transport)
        self._reception.entered(self, self._host)

    def dataReceived(self, data: bytes) -> None:
        """Pass data on; the first bytes of a further request start its deadline."""
        if self._refused:
            return
        if self._deadline is None and not self._serving:
            self._expect_request()
        super().dataReceived(data)

    def request_complete(self) -> None:
        """A whole request has arrived: stop its deadline."""
        self._serving = True
        self._cancel_deadline()

    def when_served(self, request: Request, serve: Callable[[], None]) -> None:
        """Serve now, or when it is the turn of somebody who has never logged in."""
        wait_s = self._reception.wait_s(self._host)
        if not wait_s:
            serve()
            return
        waiting = self._call_later(wait_s, serve)

        def gone(reason: Failure) -> None:
            if waiting.active():
                waiting.cancel()

        request.notifyFinish().addErrback(gone)

    def request_served(self) -> None:
        """The answer is written; the next request may come."""
        self._serving = False

    def hand_over(self, protocol: IProtocol) -> None:
        """Give the connection to ``protocol`` for good, in place of HTTP.

        It gets the transport below, free of HTTP's producer; it is paused no more.
        """
        assert self.transport is not None
        self.wrappedProtocol = protocol
        self.unregisterProducer()
        protocol.makeConnection(self.transport)
        source = IPushProducer(self.transport, None)
        if source is not None:
            source.resumeProducing()

    def refuse(self, answer: bytes) -> None:
        """Write ``answer``, ignore what still comes, and close soon."""
        self._refused = True
        self.write(answer)
        self._cancel_deadline()
        self._deadline = self._call_later(DRAIN_S, self._time_out)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._cancel_deadline()
        self._reception.left(self)
        super().connectionLost(reason)

    def _expect_request(self) -> None:
        self._deadline = self._call_later(self.limits.read_timeout_s, self._time_out)

    def _time_out(self) -> None:
        self._deadline = None
        self.abortConnection()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class BoundedTls(TLSMemoryBIOFactory):
    """TLS on the connections that the site takes."""

    noisy = False

    def buildProtocol(  # type: ignore[override]  # None is what Factory allows
        self, addr: IAddress | None
    ) -> TLSMemoryBIOProtocol | None:
        """None closes the connection before TLS costs anything."""
        taken = self.wrappedFactory.buildProtocol(addr)
        return None if taken is None else self.protocol(self, taken)


class BoundedSite(Site):
    """A site whose connections are bounded and known; it keeps no access log."""

    noisy = False

    def __init__(
        self,
        resource: IResource,
        limits: ConnectionLimits,
        reception: Reception,
        reactor: IReactorTime,
    ) -> None:
        super().__init__(
            resource,
            requestFactory=BoundedRequest,
            timeout=limits.idle_timeout_s,
            reactor=reactor,
            parsePOSTFormSubmission=False,
        )
        self.limits = limits
        self.reception = reception
        self._connections: dict[BoundedConnection, None] = {}
        self._closed: Deferred[None] | None = None

    def buildProtocol(  # type: ignore[override]  # twisted.web names its own channel class
        self, addr: IAddress | None
    ) -> BoundedConnection | None:
        """A connection; None closes it before anything of it, or of TLS, has cost more."""
        host = str(getattr(addr, "host", ""))
        if len(self._connections) >= self.limits.max_connections:
            return None
        if not self.reception.lets_in(host):
            return None
        return BoundedConnection(self, super().buildProtocol(addr), host)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    def close(self, grace_s: float) -> Deferred[None]:
        """Close every connection once what was written has left, or after ``grace_s``.

        Fires when none is open.
        """
        self._closed = Deferred()
        for connection in list(self._connections):
            connection.loseConnection()
        abort = self.reactor.callLater(grace_s, self._abort_all)
        self._closed.addCallback(lambda _: abort.cancel() if abort.active() else None)
        self._report_closed()
        return self._closed

    def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abortConnection()

    def _report_closed(self) -> None:
        if self._closed is not None and not self._connections and not self._closed.called:
            self._closed.callback(None)

    def log(self, request: object) -> None:
        """Keep no access log: it would grow with every poll of every client."""

    def registerProtocol(self, connection: BoundedConnection) -> None:
        """Called by a connection when it is made."""
        self._connections[connection] = None

    def unregisterProtocol(self, connection: BoundedConnection) -> None:
        """Called by a connection when it is lost."""
        del self._connections[connection]
        self._report_closed()
