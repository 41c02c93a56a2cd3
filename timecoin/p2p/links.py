"""All connections of a node, and which of them is the link to each peer.

Two connections with one peer: if the hello's nonce changed, the peer has restarted and the newer
one is the link. Of two opened by the same side the newer one is, as its opener must have given up
the older. Of two opened by both sides at once, both keep the one that the lower node id opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from timecoin.codec import encode
from timecoin.p2p.allowance import Allowance, RateLimits
from timecoin.p2p.discovery import Discovery
from timecoin.p2p.inbound import Door, DoorLimits, Guest, choose_victim
from timecoin.p2p.memory import Memory
from timecoin.p2p.messages import (
    ADDRESSES,
    GET_ADDRESSES,
    OBSERVED,
    Addresses,
    GetAddresses,
    Observed,
)
from timecoin.p2p.netgroup import address_group
from timecoin.p2p.peer import Peer
from timecoin.p2p.ports import FIRST_UPPER_KIND, LinkListener, PeerInfo
from timecoin.p2p.reputation import BAN_MS
from timecoin.p2p.session import LocalEnd
from timecoin.p2p.tokens import MINUTE_MS, TokenBucket
from timecoin.p2p.traffic import LinkFigures, Traffic
from timecoin.p2p.turns import Turns
from timecoin.recent import Recent

MAX_HELD_BYTES = 128_000_000
"""What all connections together may keep in memory of frames that are on their way."""
MAX_KNOWN_HOSTS = 1_000
MINOR_POINTS, YOUNG_LINK_MS = 5, 5_000
CONNECTS_LOST_BY_BAN = 30
"""A banned key costs its network so many connects: new keys are free, addresses are not."""
_KIND_OF = {GetAddresses: GET_ADDRESSES, Addresses: ADDRESSES, Observed: OBSERVED}


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What an operator allows."""

    max_inbound: int = 125
    rates: RateLimits = field(default_factory=RateLimits)
    door: DoorLimits = field(default_factory=DoorLimits)


class Links:
    """The table of connections; tells the listener above of links and frames."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        local: LocalEnd,
        memory: Memory,
        limits: LinkLimits,
        discovery: Discovery,
    ) -> None:
        self.clock = clock
        self.local = local
        self.memory = memory
        self.listen_port = 0
        self.advertised_port = 0
        self.height = 0
        self.listener: LinkListener | None = None
        self.staked: Callable[[bytes], bool] = _nobody
        """Whether a voting key has weight."""
        self.compressible: Mapping[int, int] = {
            kind: rule.unpacked_bytes
            for kind, rule in limits.rates.kinds.items()
            if rule.unpacked_bytes
        }
        self._limits = limits
        self._discovery = discovery
        rates, now_ms = limits.rates, self._now_ms()
        self._everybody = TokenBucket(rates.all_per_minute, rates.all_burst, now_ms)
        strangers = TokenBucket(rates.strangers_per_minute, rates.strangers_burst, now_ms)
        self.turns = Turns(clock, strangers)
        self._door: Door[Peer] = Door(limits.door, now_ms)
        self._known: Recent[bytes, bool] = Recent(MAX_KNOWN_HOSTS)
        """Hosts of peers that were staked, or that this node has called."""
        self._connections: dict[Peer, None] = {}
        self._up: dict[bytes, Peer] = {}
        self._held: dict[Peer, int] = {}
        self._told_delayed: dict[Peer, int] = {}
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
        now_ms = self.local.unix_ms()
        return [
            replace(peer.info(), reputation=self.memory.reputation.score(node_id, now_ms))
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
            banned=len(self.memory.bans.standing(self.local.unix_ms())),
            bans=self._bans,
            traffic=traffic,
        )

    def blame(self, node_id: bytes, points: int, reason: str) -> None:
        """Take points off a peer's reputation; cut it off when that bans it.

        Not a few points on a young link: what was asked on the one before it may be answered, or
        asked once more, on this one, and whoever has forgotten with the old one takes that amiss.
        """
        name, link = node_id.hex()[:8], self._up.get(node_id)
        if points <= MINOR_POINTS and link is not None and self._is_young(link):
            self.log.debug("peer {name} not blamed yet: {reason}", name=name, reason=reason)
            return
        self.log.warn(
            "peer {name} blamed {points}: {reason}", name=name, points=points, reason=reason
        )
        now_ms = self.local.unix_ms()
        if not self.memory.reputation.charge(node_id, points, now_ms):
            return
        self._bans += self.memory.bans.get(node_id, now_ms) is None
        self.memory.bans.add(node_id, now_ms, now_ms + BAN_MS, reason)
        self.memory.reputation.forgive(node_id)  # when the ban ends it begins anew
        self.memory.write()
        self.log.warn("peer {name} banned", name=name)
        if link is not None:
            self._door.slow_down(link.host, CONNECTS_LOST_BY_BAN, self._now_ms())
            link.close(f"banned: {reason}")

    def praise(self, node_id: bytes, points: int) -> None:
        """The peer was useful: it is spared when the house is full."""
        self.memory.reputation.praise(node_id, points, self.local.unix_ms())

    # For the connector, the factory and the service.

    def lets_in(self, host: bytes) -> bool:
        """Whether a TCP connection from ``host`` is taken."""
        if self.memory.bans.of_host(host, self.local.unix_ms()) is not None:
            return False
        return self._door.knock(host, self._now_ms(), known=self._known.find(host) is not None)

    def up(self) -> Iterator[Peer]:
        """The established links, oldest first."""
        return iter(list(self._up.values()))

    def link_of(self, node_id: bytes) -> Peer | None:
        """The link to a node, if it is up."""
        return self._up.get(node_id)

    def enforce_bans(self) -> None:
        """End the links with everybody who is not welcome any more."""
        for node_id, peer in list(self._up.items()):
            reason = self.refusal(node_id, peer.host)
            if reason is not None:
                peer.close(reason)

    def introduce(self) -> None:
        """Tell every peer where this node listens, unless it knows."""
        for node_id, peer in list(self._up.items()):
            self._discovery.introduce(
                node_id, self.advertised_port, self.local.unix_ms(), self._teller(peer)
            )

    def ask_for_addresses(self) -> None:
        """Ask those that this node has called for addresses of others."""
        for peer in list(self._up.values()):
            if not peer.inbound:
                self._teller(peer)(GetAddresses())

    def is_settled(self, node_id: bytes) -> bool:
        """Whether there is no sense in calling the peer: it is linked, or banned."""
        return node_id in self._up or self.refusal(node_id, b"") is not None

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
        if peer.inbound:
            crowded_out = self._door.entered(peer, peer.host)
            if crowded_out is not None:
                crowded_out.close("too many handshakes at once", say=False)

    def refusal(self, node_id: bytes, host: bytes) -> str | None:
        """Why a peer that has just proved its key is not welcome; None if it is."""
        bans, now_ms = self.memory.bans, self.local.unix_ms()
        if bans.get(node_id, now_ms) is not None:
            return "banned"
        return "address banned" if host and bans.of_host(host, now_ms) is not None else None

    def allowance(self) -> Allowance:
        """What a new link may use of this node."""
        return Allowance(self._limits.rates, self._everybody, self._now_ms())

    def is_staked(self, peer: Peer) -> bool:
        """Whether the peer has proved a voting key with weight."""
        masternode = None if peer.session is None else peer.session.masternode
        return masternode is not None and self.staked(masternode)

    def discovered(self, peer: Peer, message: GetAddresses | Addresses | Observed) -> None:
        """The peer speaks of addresses."""
        assert peer.node_id is not None
        teller, now_ms = self._teller(peer), self.local.unix_ms()
        points = self._discovery.heard(peer.node_id, message, now_ms, teller)
        if points:
            self.blame(peer.node_id, points, "forged address record")

    def delayed(self, peer: Peer, pause_ms: int) -> None:
        """The peer has used more than its allowance: told once a minute and link."""
        now_ms = self._now_ms()
        if peer not in self._told_delayed or now_ms >= self._told_delayed[peer] + MINUTE_MS:
            self._told_delayed[peer] = now_ms
            self.log.info(
                "peer {name} sends more than its share: not read for {pause_ms} ms",
                name=(peer.node_id or b"").hex()[:8],
                pause_ms=pause_ms,
            )

    def holds(self, peer: Peer, size: int) -> None:
        """The connection keeps so many bytes in memory: together there is a bound."""
        if size:
            self._held[peer] = size
        else:
            self._held.pop(peer, None)
        if sum(self._held.values()) <= MAX_HELD_BYTES:
            return
        worst = max(self._held, key=lambda p: (not self.is_staked(p), self._held[p]))
        worst.close("too much waits for this link", say=False)

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
        self._door.left(peer)
        if not peer.inbound or self.is_staked(peer):
            self._known.put(peer.host, True)
        masternode = peer.session.masternode
        self.log.info(
            "peer connected {address} {direction} node {name} masternode {masternode}",
            address=peer.address,
            direction="inbound" if peer.inbound else "outbound",
            name=peer.node_id.hex()[:8],
            masternode="none" if masternode is None else masternode.hex()[:8],
        )
        self._listener.link_up(peer.node_id, masternode)
        now_ms, tell = self.local.unix_ms(), self._teller(peer)
        self._discovery.link_up(peer.node_id, peer.host, peer.inbound, now_ms, tell)
        self._discovery.introduce(peer.node_id, self.advertised_port, now_ms, tell)
        self._make_room()

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
        self._discovery.link_down(peer.node_id)
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
        self._door.left(peer)
        self._held.pop(peer, None)
        self._told_delayed.pop(peer, None)
        self._tell_if_empty()

    # Its own.

    @property
    def _listener(self) -> LinkListener:
        assert self.listener is not None, "the service does not start without a listener"
        return self.listener

    def _is_young(self, peer: Peer) -> bool:
        return self._now_ms() < (peer.established_ms or 0) + YOUNG_LINK_MS

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

    def _teller(self, peer: Peer) -> Callable[[Addresses | GetAddresses | Observed], None]:
        return lambda message: peer.send(_KIND_OF[type(message)], encode(message))

    def _make_room(self) -> None:
        """One inbound link more than allowed: the least useful one goes, maybe the newest."""
        inbound = [peer for peer in self._up.values() if peer.inbound]
        if len(inbound) <= self._limits.max_inbound:
            return
        victim = choose_victim([self._guest(peer) for peer in inbound], self.memory.secret)
        (victim or inbound[-1]).close("full")

    def _guest(self, peer: Peer) -> Guest[Peer]:
        assert peer.node_id is not None and peer.session is not None
        assert peer.established_ms is not None
        return Guest(
            peer,
            address_group(peer.host),
            self.is_staked(peer),
            self.memory.reputation.score(peer.node_id, self.local.unix_ms()),
            peer.session.latency_ms,
            peer.established_ms,
        )

    def _tell_if_empty(self) -> None:
        if not self._connections:
            waiting, self._emptied = self._emptied, []
            for done in waiting:
                done.callback(None)

    def _now_ms(self) -> int:
        return int(self.clock.seconds() * 1000)


def _nobody(masternode: bytes) -> bool:
    return False
