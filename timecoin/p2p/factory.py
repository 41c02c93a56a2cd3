"""Makes a :class:`Peer` for each TCP connection, accepted or called."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from timecoin.p2p.links import Links
from timecoin.p2p.peer import Peer
from timecoin.p2p.tls import NodeTls


class PeerFactory(Factory):
    """One end's side of all connections of one direction."""

    noisy = False

    def __init__(self, links: Links, *, inbound: bool) -> None:
        self._links = links
        self._inbound = inbound

    def buildProtocol(self, address: IAddress | None) -> Peer:
        """A fresh connection."""
        return Peer(self._links, self._inbound)


class AcceptingFactory(ServerFactory):
    """Accepts TLS connections as long as there is room for one more."""

    noisy = False

    def __init__(self, tls: NodeTls, links: Links, clock: IReactorTime) -> None:
        self._links = links
        self._tls = TLSMemoryBIOFactory(tls, False, PeerFactory(links, inbound=True), clock)

    def buildProtocol(self, address: IAddress | None) -> TLSMemoryBIOProtocol | None:
        """None closes the TCP connection before TLS costs anything."""
        return self._tls.buildProtocol(address) if self._links.has_inbound_room() else None
