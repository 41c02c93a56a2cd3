"""One connection: joins bytes, frames and session to a transport.

The TLS transport joins the small writes of one reactor turn into one, so frames are written as
they come. While the peer reads too slowly they wait here, up to a bound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from timecoin.codec import encode
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.framing import FrameBuffer, FrameError, encode_frame
from timecoin.p2p.messages import GOODBYE, Goodbye, printable
from timecoin.p2p.ports import PeerInfo
from timecoin.p2p.session import (
    HELLO_TIMEOUT_MS,
    VIOLATION_POINTS,
    Close,
    Deliver,
    Established,
    LocalEnd,
    SendFrame,
    Session,
    SessionEffect,
)
from timecoin.p2p.tls import exporter_value, peer_key
from timecoin.p2p.traffic import Traffic

MAX_WAITING_BYTES = 64_000_000
"""A peer for which more than this waits to be written is cut off."""
WRITE_BYTES = 128 * 1024
"""How much of what waited is handed to the transport at once."""
CLOSE_TIMEOUT_MS = 2_000


class TlsTransport(Protocol):
    """What a connection uses of Twisted's TLS transport."""

    def write(self, data: bytes) -> None:
        """Send; the writes of one reactor turn are joined."""

    def getHandle(self) -> SSL.Connection:
        """OpenSSL's end of the connection."""

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Ask to be told when the buffer is full and when it has room."""

    def unregisterProducer(self) -> None:
        """Ask no more."""

    def loseConnection(self) -> None:
        """Close after all that was written is sent."""

    def abortConnection(self) -> None:
        """Close now."""


class LinkOwner(Protocol):
    """What a connection needs of the table that it belongs to (``links.Links``)."""

    clock: IReactorTime
    local: LocalEnd
    listen_port: int
    height: int

    def opened(self, peer: Peer) -> None:
        """A TCP connection is there."""

    def refusal(self, node_id: bytes) -> str | None:
        """Why a peer that has just proved its key is not welcome; None if it is."""

    def established(self, peer: Peer) -> None:
        """Hello and stake proof were accepted; may close this link or another."""

    def received(self, peer: Peer, kind: int, payload: bytes) -> None:
        """A frame for the layers above."""

    def blame(self, node_id: bytes, points: int, reason: str) -> None:
        """The peer broke a rule of the link."""

    def closing(self, peer: Peer, reason: str) -> None:
        """Nothing is sent or received on the connection any more."""

    def lost(self, peer: Peer) -> None:
        """The TCP connection is gone."""


@implementer(IHandshakeListener, IPushProducer)
class Peer(StreamProtocol):
    """One end of a TCP connection, from accept or connect to its loss."""

    def __init__(self, owner: LinkOwner, inbound: bool) -> None:
        self.inbound = inbound
        self.address = ""
        self.node_id: bytes | None = None
        """The peer's key, once the TLS handshake has proved it."""
        self.session: Session | None = None
        self.established_ms: int | None = None
        self.own_address = False
        """The connection turned out to lead back to this node."""
        self.close_reason = ""
        """Why the connection ended, once it has."""
        self.finished: Deferred[None] = Deferred()
        """Fires when the TCP connection is gone."""
        self._owner = owner
        self._frames = FrameBuffer()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._closing = False
        self._opened_ms = 0
        self._timer: IDelayedCall | None = None
        self.traffic = Traffic()

    # What the owner calls.

    def send(self, kind: int, payload: bytes) -> None:
        """Write one frame, or let it wait while the peer does not read."""
        frame = encode_frame(kind, payload)
        if self._closing:
            return
        self.traffic.bytes_sent += len(frame)
        self.traffic.messages_sent[kind] += 1
        if not self._paused:
            self._tls.write(frame)
            return
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.close(f"reads too slowly: {self._waiting_bytes} bytes wait")

    def close(self, reason: str, *, say: bool = True) -> None:
        """End the link: a goodbye if ``say``, TLS's own close, and after 2 s an abort."""
        if self._closing:
            return
        self._closing = True
        self.close_reason = reason
        self._waiting.clear()
        if self.session is not None:
            if say:
                self._tls.write(encode_frame(GOODBYE, encode(Goodbye(printable(reason)))))
            # With a producer registered the transport would wait for more.
            self._tls.unregisterProducer()
        self._tls.loseConnection()
        self._call_later(CLOSE_TIMEOUT_MS, self._tls.abortConnection)
        self._owner.closing(self, reason)

    def info(self) -> PeerInfo:
        """A snapshot; only for an established link."""
        session = self.session
        assert session is not None and session.hello is not None
        assert self.node_id is not None and self.established_ms is not None
        return PeerInfo(
            node_id=self.node_id,
            address=self.address,
            inbound=self.inbound,
            masternode=session.masternode,
            agent=session.hello.agent,
            height=session.hello.height,
            services=session.hello.services,
            latency_ms=session.latency_ms,
            clock_offset_ms=session.clock_offset_ms,
            bytes_sent=self.traffic.bytes_sent,
            bytes_received=self.traffic.bytes_received,
            messages_sent=dict(self.traffic.messages_sent),
            messages_received=dict(self.traffic.messages_received),
            connected_ms=self.established_ms,
        )

    # What the transport calls.

    def connectionMade(self) -> None:
        """TCP is up, TLS is not: nothing can be sent yet."""
        self._opened_ms = self._now_ms()
        transport = cast(ITCPTransport, self.transport)
        transport.setTcpNoDelay(True)
        host = transport.getPeer()
        self.address = str(PeerAddress(host.host, host.port))
        self._call_later(HELLO_TIMEOUT_MS, self._handshake_late)
        self._owner.opened(self)

    def handshakeCompleted(self) -> None:
        """The peer's key is known; it may still refuse ours (TLS 1.3 tells the caller later)."""
        if self._closing:
            return
        tls = self._tls
        connection = tls.getHandle()
        self.node_id = peer_key(connection)
        owner = self._owner
        self.session = Session(
            owner.local, self.node_id, exporter_value(connection), self._opened_ms
        )
        tls.registerProducer(self, True)
        refusal = owner.refusal(self.node_id)
        if refusal is not None:
            self.close(refusal)
            return
        self._apply(self.session.open(owner.listen_port, owner.height))
        self._arm()

    def dataReceived(self, data: bytes) -> None:
        """Cut into frames and judge each."""
        session = self.session
        if self._closing or session is None:
            return
        now_ms = self._now_ms()
        self.traffic.bytes_received += len(data)
        session.bytes_arrived(now_ms)
        self._frames.append(data)
        try:
            while not self._closing and (frame := self._frames.next()) is not None:
                self.traffic.messages_received[frame.kind] += 1
                self._apply(session.frame_arrived(frame.kind, frame.payload, now_ms))
        except FrameError as error:
            self._apply([Close(str(error), VIOLATION_POINTS)])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is gone, whoever ended it."""
        self._cancel_timer()
        self._waiting.clear()
        if not self._closing:
            self._closing = True
            self.close_reason = reason.getErrorMessage()
            self._owner.closing(self, self.close_reason)
        self._owner.lost(self)
        self.finished.callback(None)

    def pauseProducing(self) -> None:
        """The transport's buffer is full: frames wait here (IPushProducer)."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport has room again (IPushProducer)."""
        self._paused = False
        while self._waiting and not self._paused:
            pieces: list[bytes] = []
            size = 0
            while self._waiting and size < WRITE_BYTES:
                pieces.append(self._waiting.popleft())
                size += len(pieces[-1])
            self._waiting_bytes -= size
            self._tls.write(b"".join(pieces))

    def stopProducing(self) -> None:
        """The connection is lost; ``connectionLost`` follows (IPushProducer)."""
        self._paused = True

    # Its own.

    @property
    def _tls(self) -> TlsTransport:
        return cast(TlsTransport, self.transport)

    def _now_ms(self) -> int:
        return int(self._owner.clock.seconds() * 1000)

    def _apply(self, effects: list[SessionEffect]) -> None:
        for effect in effects:
            if self._closing:
                return
            match effect:
                case SendFrame(kind, payload):
                    self.send(kind, payload)
                case Deliver(kind, payload):
                    self._owner.received(self, kind, payload)
                case Established():
                    self._frames.allow_large()
                    self.established_ms = self._now_ms()
                    self._owner.established(self)
                    self._arm()
                case Close(reason, points, say, own_address):
                    self.own_address = own_address
                    self.close(reason, say=say)
                    if points and self.node_id is not None:
                        self._owner.blame(self.node_id, points, reason)

    def _arm(self) -> None:
        if self.session is not None and not self._closing:
            self._call_later(self.session.due_ms() - self._now_ms(), self._tick)

    def _tick(self) -> None:
        assert self.session is not None
        self._apply(self.session.tick(self._now_ms()))
        self._arm()

    def _handshake_late(self) -> None:
        self.close(f"no TLS handshake within {HELLO_TIMEOUT_MS} ms", say=False)

    def _call_later(self, delay_ms: int, call: Callable[[], object]) -> None:
        self._cancel_timer()
        self._timer = self._owner.clock.callLater(max(0, delay_ms) / 1000, call)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
