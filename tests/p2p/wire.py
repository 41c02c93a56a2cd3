"""One end of a link without sockets: a transport that records, and a scripted other node."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from OpenSSL.crypto import X509
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from timecoin.codec import encode
from timecoin.crypto.keys import SigningKey
from timecoin.p2p.discovery import Discovery
from timecoin.p2p.framing import Frame, FrameBuffer, encode_frame
from timecoin.p2p.links import LinkLimits, Links
from timecoin.p2p.memory import Memory
from timecoin.p2p.messages import HELLO, Hello
from timecoin.p2p.peer import Peer
from timecoin.p2p.session import LocalEnd
from timecoin.p2p.tls import self_signed
from timecoin.params import PROTOCOL_VERSION

CHAIN = b"\x03\x00\x00\x00genesis!"
EXPORTER = b"\xee" * 32


def local_end(node_id: bytes) -> LocalEnd:
    """A node without voting key on the test chain, at midnight."""
    return LocalEnd(node_id, CHAIN, "timecoin/test", 1, None, lambda: 0)


class Rows:
    """Rows in memory (``ports.PeerRows``)."""

    def __init__(self, held: dict[bytes, bytes] | None = None) -> None:
        """``held``: what an earlier life wrote."""
        self.held = {} if held is None else held
        self.batches = 0

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """In key order."""
        return iter(sorted(self.held.items()))

    def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """All at once."""
        self.batches += 1
        for key, value in rows:
            if value is None:
                self.held.pop(key, None)
            else:
                self.held[key] = value


def zeros(count: int) -> bytes:
    """In place of entropy."""
    return bytes(count)


def make_links(
    clock: IReactorTime,
    local: LocalEnd,
    limits: LinkLimits | None = None,
    rows: Rows | None = None,
) -> Links:
    """A table of connections that remembers in ``rows``; ``clock`` tells the time of day, too."""
    local = replace(local, unix_ms=lambda: int(clock.seconds() * 1000))
    memory = Memory(rows or Rows(), zeros)
    key = SigningKey(b"\x07" * 32)
    discovery = Discovery(key, CHAIN, 0, memory.book, random.Random(1), None)
    return Links(clock, local, memory, limits or LinkLimits(), discovery)


class FakeHandle:
    """What is asked of OpenSSL's connection."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """``key`` is the other node's."""
        self._certificate = X509.from_cryptography(self_signed(key))

    def get_peer_certificate(self) -> X509:
        """The other node's certificate."""
        return self._certificate

    def export_keying_material(self, label: bytes, size: int, context: bytes) -> bytes:
        """The same value on each connection."""
        return EXPORTER


class FakeTransport:
    """Records what the connection does to it."""

    def __init__(self, key: Ed25519PrivateKey, host: str) -> None:
        """``key`` is the other node's."""
        self.handle = FakeHandle(key)
        self.host = host
        self.producer: object = None
        self.writes: list[bytes] = []
        self.calls: list[str] = []

    def getHandle(self) -> FakeHandle:
        """OpenSSL's part."""
        return self.handle

    def getPeer(self) -> IPv4Address:
        """The other end."""
        return IPv4Address("TCP", self.host, 24200)

    def write(self, data: bytes) -> None:
        """Record."""
        self.writes.append(data)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Record."""
        self.calls.append(f"nodelay {enabled}")

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Record."""
        self.producer = producer
        self.calls.append("register")

    def unregisterProducer(self) -> None:
        """Record."""
        self.calls.append("unregister")

    def pauseProducing(self) -> None:
        """Record."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Record."""
        self.calls.append("resume")

    def loseConnection(self) -> None:
        """Record."""
        self.calls.append("lose")

    def abortConnection(self) -> None:
        """Record."""
        self.calls.append("abort")


class FakeRemote:
    """The other node of one connection."""

    def __init__(self, peer: Peer, seed: bytes, nonce: int = 2, host: str = "192.0.2.7") -> None:
        """``peer`` is the end under test; ``seed`` the other node's key."""
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.node_id = self.key.public_key().public_bytes_raw()
        self.nonce = nonce
        self.peer = peer
        self.transport = self.make_transport(host)
        peer.makeConnection(self.transport)

    def make_transport(self, host: str) -> FakeTransport:
        """What the end under test writes to."""
        return FakeTransport(self.key, host)

    def secure(self) -> None:
        """The TLS handshake is done."""
        self.peer.handshakeCompleted()

    def say(self, kind: int, payload: bytes) -> None:
        """One frame arrives."""
        self.peer.dataReceived(encode_frame(kind, payload))

    def greet(self) -> None:
        """The handshake and a good hello: the link comes up."""
        self.secure()
        hello = Hello(CHAIN, PROTOCOL_VERSION, "remote/1", 24200, 5, 0, self.nonce)
        self.say(HELLO, encode(hello))

    def hang_up(self) -> None:
        """The TCP connection is lost."""
        self.peer.connectionLost(Failure(ConnectionDone()))

    def heard(self) -> list[Frame]:
        """All frames that were written, after which the record is empty."""
        buffer = FrameBuffer({})
        buffer.allow_large()
        buffer.append(b"".join(self.transport.writes))
        self.transport.writes.clear()
        frames = []
        while (frame := buffer.next()) is not None:
            frames.append(frame)
        return frames


class Told:
    """A listener that keeps what it was told, in order."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.events: list[tuple[object, ...]] = []

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """Keep."""
        self.events.append(("up", peer))

    def link_down(self, peer: bytes) -> None:
        """Keep."""
        self.events.append(("down", peer))

    def frame_received(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Keep."""
        self.events.append(("frame", peer, kind, payload))


def quiet(clock: Clock) -> bool:
    """Whether no timer is left."""
    return not clock.getDelayedCalls()
