"""Where a peer listens: ``host:port``, as operators write it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
"""Of a host or IPv4: what the resolver is asked for (RFC 1123, and underscores)."""


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
    if not colon or not host:
        raise ValueError(f"peer address {text!r} is not host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise ValueError(f"peer address {text!r}: no IPv6 address in the brackets")
    elif ":" in host:
        raise ValueError(f"peer address {text!r}: an IPv6 address needs brackets")
    elif not _NAME.fullmatch(host):
        raise ValueError(f"peer address {text!r}: the host is neither a name nor an address")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
        raise ValueError(f"peer address {text!r}: the port is not in 1..65535")
    return PeerAddress(host, int(port))


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
