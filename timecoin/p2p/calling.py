"""Calls one address: a TCP connection, TLS, and the connection's life until it is gone."""

from __future__ import annotations

from typing import cast

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IReactorTCP, IReactorTime

from timecoin.p2p.address import PeerAddress
from timecoin.p2p.factory import PeerFactory
from timecoin.p2p.links import Links
from timecoin.p2p.peer import Peer
from timecoin.p2p.tls import NodeTls

CONNECT_TIMEOUT_S = 5


class CallFailed(Exception):
    """No connection; the text says why."""


class Caller:
    """Opens connections that belong to one table of links."""

    def __init__(self, reactor: IReactorTCP, tls: NodeTls, links: Links) -> None:
        self.clock = IReactorTime(reactor)
        self.links = links
        self._reactor = reactor
        self._tls = tls

    async def call(self, address: PeerAddress, expected: bytes | None = None) -> Peer:
        """A TCP connection to ``address``, TLS under way; :class:`CallFailed` if there is none.

        ``expected``: the node that is wanted there; another one is let go at once.
        """
        endpoint = wrapClientTLS(
            self._tls,
            HostnameEndpoint(self._reactor, address.host, address.port, CONNECT_TIMEOUT_S),
            self.clock,
        )
        factory = PeerFactory(self.links, inbound=False, expected=expected)
        try:
            return cast(Peer, await endpoint.connect(factory))
        except (
            ConnectError,
            ConnectingCancelledError,
            DNSLookupError,
            ValueError,  # a host that can be no name
        ) as error:
            raise CallFailed(str(error)) from error
