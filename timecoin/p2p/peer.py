"""One connection: joins bytes, frames and session to a transport.

The TLS transport joins the small writes of one reactor turn into one, so frames are written as
they come. While the peer reads too slowly they wait (``outgoing.py``), up to a bound in bytes and
in time; those that come may wait as well (``incoming.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from timecoin.codec import encode
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.allowance import Allowance
from timecoin.p2p.framing import Frame, encode_frame
from timecoin.p2p.incoming import Incoming
from timecoin.p2p.messages import GOODBYE, Addresses, GetAddresses, Goodbye, Observed, printable
from timecoin.p2p.netgroup import pack_host
from timecoin.p2p.outgoing import MAX_WAITING_BYTES, Outgoing
from timecoin.p2p.ports import PeerInfo
from timecoin.p2p.session import (
    HELLO_TIMEOUT_MS,
    VIOLATION_POINTS,
    Close,
    Deliver,
    Discover,
    Established,
    LocalEnd,
    SendFrame,
    Session,
    SessionEffect,
)
from timecoin.p2p.tls import TlsTransport, exporter_value, peer_key
from timecoin.p2p.traffic import Traffic
from timecoin.p2p.turns import Turns

CLOSE_TIMEOUT_MS = 2_000
FRAME_TIMEOUT_MS = 120_000
"""How long one frame may take to arrive."""
SLOW_READER_MS = 60_000
"""How long a peer may read nothing of what waits for it."""
NOTED_BYTES = 65_536
"""From here on the owner is told what a connection holds in memory."""


class LinkOwner(Protocol):
    """What a connection needs of the table that it belongs to (``links.Links``)."""

    clock: IReactorTime
    local: LocalEnd
    listen_port: int
    height: int
    compressible: Mapping[int, int]
    turns: Turns

    def opened(self, peer: Peer) -> None:
        """A TCP connection is there."""

    def refusal(self, node_id: bytes, host: bytes) -> str | None:
        """Why a peer that has just proved its key is not welcome; None if it is."""

    def allowance(self) -> Allowance:
        """What a new link may use of this node."""

    def is_staked(self, peer: Peer) -> bool:
        """Whether the peer has proved a voting key with weight."""

    def established(self, peer: Peer) -> None:
        """Hello and stake proof were accepted; may close this link or another."""

    def received(self, peer: Peer, kind: int, payload: bytes) -> None:
        """A frame for the layers above."""

    def discovered(self, peer: Peer, message: GetAddresses | Addresses | Observed) -> None:
        """The peer speaks of addresses."""

    def delayed(self, peer: Peer, pause_ms: int) -> None:
        """The peer has used more than its allowance and is not read from for so long."""

    def holds(self, peer: Peer, size: int) -> None:
        """The connection keeps so many bytes in memory; may close it or another."""

    def blame(self, node_id: bytes, points: int, reason: str) -> None:
        """The peer broke a rule of the link."""

    def closing(self, peer: Peer, reason: str) -> None:
        """Nothing is sent or received on the connection any more."""

    def lost(self, peer: Peer) -> None:
        """The TCP connection is gone."""


@implementer(IHandshakeListener)
class Peer(StreamProtocol):
    """One end of a TCP connection, from accept or connect to its loss."""

    def __init__(self, owner: LinkOwner, inbound: bool, expected: bytes | None = None) -> None:
        """``expected``: the node that was called; None takes whoever answers."""
        self.inbound = inbound
        self.expected = expected
        self.address = ""
        self.host = b""
        """The other end's address as bytes."""
        self.node_id: bytes | None = None
        """The peer's key, once the TLS handshake has proved it."""
        self.session: Session | None = None
        self.established_ms: int | None = None
        self.own_address = False
        """The connection turned out to lead back to this node."""
        self.close_reason = ""
        """Why the connection ended, once it has."""
        self.settled: Deferred[bool] = Deferred()
        """Fires with True when the link is up, with False if the connection is gone before."""
        self.finished: Deferred[None] = Deferred()
        """Fires when the TCP connection is gone."""
        self._owner = owner
        self._incoming = Incoming(self, owner.compressible, owner.turns, owner.clock)
        self._held_bytes = 0
        self._outgoing: Outgoing | None = None
        self._closing = False
        self._opened_ms = 0
        self._timer: IDelayedCall | None = None
        self.traffic = Traffic()

    # What the owner calls.

    def send(self, kind: int, payload: bytes) -> None:
        """Write one frame, or let it wait while the peer does not read."""
        frame = encode_frame(kind, payload, kind in self._owner.compressible)
        if self._closing:
            return
        self.traffic.bytes_sent += len(frame)
        self.traffic.messages_sent[kind] += 1
        outgoing = self._outgoing
        assert outgoing is not None, "nothing is sent before the handshake"
        outgoing.write(frame)
        if outgoing.waiting_bytes > MAX_WAITING_BYTES:
            self.close(f"reads too slowly: {outgoing.waiting_bytes} bytes wait")
        self.note_held()

    def close(self, reason: str, *, say: bool = True) -> None:
        """End the link: a goodbye if ``say``, TLS's own close, and after 2 s an abort."""
        if self._closing:
            return
        self._closing = True
        self.close_reason = reason
        self._drop_waiting()
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
        self.host = pack_host(host.host) or b""
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
        self._outgoing = Outgoing(tls, self._now_ms)
        tls.registerProducer(self._outgoing, True)
        refusal = owner.refusal(self.node_id, self.host)
        if self.expected not in (None, self.node_id):
            refusal = "another node answers there"
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
        self.traffic.bytes_received += len(data)
        session.bytes_arrived(self._now_ms())
        self._incoming.take(data, self._tls)

    # What the frames that arrive ask for (incoming.Judge).

    def is_staked(self) -> bool:
        """Whether the other end has proved a voting key with weight."""
        return self._owner.is_staked(self)

    def judge(self, frame: Frame) -> None:
        """One whole frame."""
        assert self.session is not None
        self.traffic.messages_received[frame.kind] += 1
        self._apply(self.session.frame_arrived(frame.kind, frame.payload, self._now_ms()))

    def read_no_further(self, reason: str) -> None:
        """What comes is no sequence of frames."""
        self._apply([Close(reason, VIOLATION_POINTS)])

    def delayed(self, pause_ms: int) -> None:
        """The peer is not read from for so long."""
        self._owner.delayed(self, pause_ms)

    def heard(self) -> None:
        """It was not silent: we did not listen."""
        if self.session is not None:
            self.session.bytes_arrived(self._now_ms())

    def note_held(self) -> None:
        """Tell the owner what is kept here, if that is worth it."""
        waiting = 0 if self._outgoing is None else self._outgoing.waiting_bytes
        held = waiting + len(self._incoming)
        if held >= NOTED_BYTES or self._held_bytes:
            self._held_bytes = held if held >= NOTED_BYTES else 0
            self._owner.holds(self, self._held_bytes)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is gone, whoever ended it."""
        self._cancel_timer()
        self._drop_waiting()
        if not self._closing:
            self._closing = True
            self.close_reason = reason.getErrorMessage()
            self._owner.closing(self, self.close_reason)
        self._owner.lost(self)
        if self.established_ms is None:
            self.settled.callback(False)
        self.finished.callback(None)

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
                case Discover(message):
                    self._owner.discovered(self, message)
                case Established():
                    self._incoming.link_up(self._owner.allowance())
                    self.established_ms = self._now_ms()
                    self._owner.established(self)
                    self._arm()
                    self.settled.callback(True)
                case Close(reason, points, say, own_address):
                    self.own_address = own_address
                    self.close(reason, say=say)
                    if points and self.node_id is not None:
                        self._owner.blame(self.node_id, points, reason)

    def _arm(self) -> None:
        if self.session is not None and not self._closing:
            self._call_later(self.session.due_ms() - self._now_ms(), self._tick)

    def _tick(self) -> None:
        session, outgoing, now_ms = self.session, self._outgoing, self._now_ms()
        assert session is not None and outgoing is not None
        if self._incoming.is_paused:
            self.heard()
        if outgoing.stuck_ms(now_ms) >= SLOW_READER_MS:
            # A goodbye would wait behind the rest.
            self.close(f"has read nothing for {SLOW_READER_MS} ms", say=False)
        elif self._incoming.frame_age_ms(now_ms) >= FRAME_TIMEOUT_MS:
            self.close(f"one message took more than {FRAME_TIMEOUT_MS} ms")
        self._apply(session.tick(now_ms))
        self._arm()

    def _handshake_late(self) -> None:
        self.close(f"no TLS handshake within {HELLO_TIMEOUT_MS} ms", say=False)

    def _drop_waiting(self) -> None:
        if self._outgoing is not None:
            self._outgoing.clear()
        self._incoming.end()
        self.note_held()

    def _call_later(self, delay_ms: int, call: Callable[[], object]) -> None:
        self._cancel_timer()
        self._timer = self._owner.clock.callLater(max(0, delay_ms) / 1000, call)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
