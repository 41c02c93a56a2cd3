"""Makes a :class:`Peer` for each TCP connection, accepted or called."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from timecoin.p2p.links import Links
from timecoin.p2p.netgroup import pack_host
from timecoin.p2p.peer import Peer
from timecoin.p2p.tls import NodeTls


class PeerFactory(Factory):
    """One end's side of all connections of one direction."""

    noisy = False

    def __init__(self, links: Links, *, inbound: bool, expected: bytes | None = None) -> None:
        """``expected``: the only node that is wanted at the other end."""
        self._links = links
        self._inbound = inbound
        self._expected = expected

    def buildProtocol(self, address: IAddress | None) -> Peer:
        """A fresh connection."""
        return Peer(self._links, self._inbound, self._expected)


class AcceptingFactory(ServerFactory):
    """Accepts TLS connections of those that the door lets in."""

    noisy = False

    def __init__(self, tls: NodeTls, links: Links, clock: IReactorTime) -> None:
        self._links = links
        self._tls = TLSMemoryBIOFactory(tls, False, PeerFactory(links, inbound=True), clock)

    def buildProtocol(self, address: IAddress | None) -> TLSMemoryBIOProtocol | None:
        """None closes the TCP connection before TLS costs anything."""
        host = pack_host(cast(IPv4Address | IPv6Address, address).host)
        if host is None or not self._links.lets_in(host):
            return None
        return self._tls.buildProtocol(address)
