"""All connections of a node, and which of them is the link to each peer.

Two connections with one peer: if the hello's nonce changed, the peer has restarted and the newer
one is the link. Of two opened by the same side the newer one is, as its opener must have given up
the older. Of two opened by both sides at once, both keep the one that the lower node id opened.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from timecoin.p2p.peer import Peer
from timecoin.p2p.ports import FIRST_UPPER_KIND, LinkListener, PeerInfo
from timecoin.p2p.reputation import Reputation
from timecoin.p2p.session import LocalEnd
from timecoin.p2p.traffic import LinkFigures, Traffic


class Links:
    """The table of connections; tells the listener above of links and frames."""

    log = Logger()

    def __init__(self, clock: IReactorTime, local: LocalEnd, max_inbound: int) -> None:
        self.clock = clock
        self.local = local
        self.listen_port = 0
        self.height = 0
        self.listener: LinkListener | None = None
        self._max_inbound = max_inbound
        self._reputation = Reputation()
        self._connections: dict[Peer, None] = {}
        self._up: dict[bytes, Peer] = {}
        self._emptied: list[Deferred[None]] = []
        self._ended = Traffic()
        self._bans = 0

    # For the layers above (ports.Network).

    def send(self, node_id: bytes, kind: int, payload: bytes) -> None:
        """Queue one frame; nothing happens if the link is gone."""
        if kind < FIRST_UPPER_KIND:
            raise ValueError(f"frame kind {kind} belongs to the link itself")
        peer = self._up.get(node_id)
        if peer is not None:
            peer.send(kind, payload)

    def infos(self) -> list[PeerInfo]:
        """The established links, oldest first."""
        now_ms = self._now_ms()
        return [
            replace(peer.info(), reputation=self._reputation.score(node_id, now_ms))
            for node_id, peer in self._up.items()
        ]

    def figures(self, reconnecting: int, stopped_callers: int) -> LinkFigures:
        """For metrics; the two counts are the connector's."""
        traffic = Traffic()
        traffic.add(self._ended)
        for peer in self._connections:
            traffic.add(peer.traffic)
        inbound = sum(peer.inbound for peer in self._up.values())
        sessions = [peer.session for peer in self._up.values()]
        return LinkFigures(
            inbound=inbound,
            outbound=len(self._up) - inbound,
            masternodes=sum(each is not None and each.masternode is not None for each in sessions),
            reconnecting=reconnecting,
            stopped_callers=stopped_callers,
            banned=self._reputation.count_banned(self._now_ms()),
            bans=self._bans,
            traffic=traffic,
        )

    def blame(self, node_id: bytes, points: int, reason: str) -> None:
        """Take points off a peer's reputation; cut it off when that bans it."""
        name = node_id.hex()[:8]
        self.log.warn(
            "peer {name} blamed {points}: {reason}", name=name, points=points, reason=reason
        )
        now_ms = self._now_ms()
        was_banned = self._reputation.is_banned(node_id, now_ms)
        if not self._reputation.charge(node_id, points, now_ms):
            return
        self._bans += not was_banned
        peer = self._up.get(node_id)
        if peer is not None:
            self.log.warn("peer {name} banned", name=name)
            peer.close(f"banned: {reason}")

    # For the connector, the factory and the service.

    def has_inbound_room(self) -> bool:
        """Whether one more connection may be accepted."""
        return sum(peer.inbound for peer in self._connections) < self._max_inbound

    def is_settled(self, node_id: bytes) -> bool:
        """Whether there is no sense in calling the peer: it is linked, or banned."""
        return node_id in self._up or self.refusal(node_id) is not None

    def close_all(self, reason: str) -> Deferred[None]:
        """Close every connection; fires when all are gone."""
        done: Deferred[None] = Deferred()
        self._emptied.append(done)
        for peer in list(self._connections):
            peer.close(reason)
        self._tell_if_empty()
        return done

    # For each connection (peer.LinkOwner).

    def opened(self, peer: Peer) -> None:
        """A TCP connection is there."""
        self._connections[peer] = None

    def refusal(self, node_id: bytes) -> str | None:
        """Why a peer that has just proved its key is not welcome; None if it is."""
        return "banned" if self._reputation.is_banned(node_id, self._now_ms()) else None

    def established(self, peer: Peer) -> None:
        """Hello and stake proof were accepted: make it the link, or close it as a duplicate."""
        assert peer.node_id is not None and peer.session is not None
        rival = self._up.get(peer.node_id)
        if rival is not None:
            if not self._replaces(peer, rival):
                peer.close("duplicate link")
                return
            rival.close("duplicate link")
        self._up[peer.node_id] = peer
        masternode = peer.session.masternode
        self.log.info(
            "peer connected {address} {direction} node {name} masternode {masternode}",
            address=peer.address,
            direction="inbound" if peer.inbound else "outbound",
            name=peer.node_id.hex()[:8],
            masternode="none" if masternode is None else masternode.hex()[:8],
        )
        self._listener.link_up(peer.node_id, masternode)

    def received(self, peer: Peer, kind: int, payload: bytes) -> None:
        """Hand a frame up."""
        assert peer.node_id is not None
        self._listener.frame_received(peer.node_id, kind, payload)

    def closing(self, peer: Peer, reason: str) -> None:
        """The connection carries nothing any more: tell above if it was the link."""
        if peer.node_id is None or self._up.get(peer.node_id) is not peer:
            # Strangers could fill the log otherwise; of those called, the connector tells.
            self.log.debug(
                "connection with {address} ended: {reason}", address=peer.address, reason=reason
            )
            return
        del self._up[peer.node_id]
        self.log.info(
            "peer disconnected {address} node {name}: {reason}",
            address=peer.address,
            name=peer.node_id.hex()[:8],
            reason=reason,
        )
        self._listener.link_down(peer.node_id)

    def lost(self, peer: Peer) -> None:
        """The TCP connection is gone."""
        if peer in self._connections:
            del self._connections[peer]
            self._ended.add(peer.traffic)
        self._tell_if_empty()

    # Its own.

    @property
    def _listener(self) -> LinkListener:
        assert self.listener is not None, "the service does not start without a listener"
        return self.listener

    def _replaces(self, newer: Peer, older: Peer) -> bool:
        assert newer.session is not None and newer.session.hello is not None
        assert older.session is not None and older.session.hello is not None
        if newer.session.hello.nonce != older.session.hello.nonce:
            return True
        if newer.inbound == older.inbound:
            return True
        assert newer.node_id is not None
        opener, other = self.local.node_id, newer.node_id
        if newer.inbound:
            opener, other = other, opener
        return opener < other

    def _tell_if_empty(self) -> None:
        if not self._connections:
            waiting, self._emptied = self._emptied, []
            for done in waiting:
                done.callback(None)

    def _now_ms(self) -> int:
        return int(self.clock.seconds() * 1000)
