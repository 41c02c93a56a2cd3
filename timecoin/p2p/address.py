"""Where a peer listens: ``host:port``, as operators write it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a configured peer listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """``host:port``, an IPv6 host in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_peer_address(text: str) -> PeerAddress:
    """``host:port`` or ``[IPv6]:port``; ``ValueError`` says what is wrong."""
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"peer address {text!r}: an IPv6 address needs brackets")
    if not colon or not host:
        raise ValueError(f"peer address {text!r} is not host:port")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
        raise ValueError(f"peer address {text!r}: the port is not in 1..65535")
    return PeerAddress(host, int(port))
