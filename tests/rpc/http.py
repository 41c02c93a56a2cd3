"""An HTTP client without sockets: raw requests into a site, parsed answers out of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from timecoin.rpc.connection import BoundedSite

LOGIN = b"Basic " + base64.b64encode(b"alice:right")
UPGRADE = b"\r\n".join(
    [
        b"GET /ws HTTP/1.1",
        b"Host: localhost",
        b"Authorization: " + LOGIN,
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"",
        b"",
    ]
)
"""Asks for a WebSocket; the key is that of RFC 6455, section 1.3."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def post(
    body: bytes = b"", path: bytes = b"/rpc", login: bytes | None = LOGIN, **headers: bytes
) -> bytes:
    """A POST request; ``content_type=...`` and the like add headers."""
    lines = [b"POST %s HTTP/1.1" % path, b"Host: localhost"]
    if "transfer_encoding" not in headers:
        lines.append(b"Content-Length: %d" % len(body))
    if login is not None:
        lines.append(b"Authorization: " + login)
    lines += [name.replace("_", "-").encode() + b": " + value for name, value in headers.items()]
    return b"\r\n".join([*lines, b"", body])


def get(path: bytes, method: bytes = b"GET") -> bytes:
    """A request without a body."""
    return b"%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (method, path)


class _Transport(StringTransport):
    """Tells the protocol of its own end, as a real transport does."""

    protocol: Protocol | None = None

    def loseConnection(self) -> None:
        super().loseConnection()
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        self.loseConnection()


class Client:
    """One connection to a site."""

    def __init__(self, site: BoundedSite, address: str = "127.0.0.1") -> None:
        self.transport = _Transport(peerAddress=IPv4Address("TCP", address, 40_000))
        self.protocol = site.buildProtocol(self.transport.getPeer())
        if self.protocol is None:
            self.transport.loseConnection()
            return
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Deliver bytes, unless the server has closed the connection."""
        if self.protocol is not None and not self.transport.disconnecting:
            self.protocol.dataReceived(data)

    def leave(self) -> None:
        """Close from the client's side."""
        self.transport.loseConnection()

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        return bool(self.transport.disconnecting)

    def answers(self) -> list[Answer]:
        """The complete answers so far; they are taken out."""
        data, answers = self.transport.value(), []
        while data:
            head, separator, rest = data.partition(b"\r\n\r\n")
            assert separator, data
            first, *lines = head.split(b"\r\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            length = int(headers.get(b"content-length", b"0"))
            answers.append(Answer(int(first.split()[1]), headers, rest[:length]))
            data = rest[length:]
        self.transport.clear()
        return answers

    def ask(self, request: bytes) -> Answer:
        """Send one request that is answered at once."""
        self.send(request)
        (answer,) = self.answers()
        return answer
