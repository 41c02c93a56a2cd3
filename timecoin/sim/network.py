"""An in-memory network: seeded latency, loss, duplication and partitions.

Frames on one link keep their order, as on a TCP connection. A frame is lost only with its link,
as on TCP too: ``loss`` is the chance that a frame is late by a retransmission time-out instead.
A cut link goes down on both sides and comes up again when it is healed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from timecoin.p2p.ports import LinkListener, PeerInfo
from timecoin.sim.clock import SimClock
from timecoin.sim.trace import Trace


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """How links behave, the same for all: latencies in milliseconds, chances in per mille."""

    latency_ms: int = 20
    jitter_ms: int = 10
    loss_per_mille: int = 5
    retransmit_ms: int = 200


@dataclass(frozen=True, slots=True)
class Frame:
    """What a faulty node sends in place of a frame, so many milliseconds later."""

    kind: int
    payload: bytes
    delay_ms: int = 0


class Tamper(Protocol):
    """What a faulty node does to its own frames."""

    def incoming(self, peer: bytes, kind: int, payload: bytes) -> None:
        """A frame arrived from ``peer``."""

    def outgoing(self, peer: bytes, kind: int, payload: bytes) -> Iterable[Frame]:
        """The frames that go to ``peer`` instead of the one that its code wanted to send."""


class SimNetwork:
    """All links of one world; each node gets a :class:`SimPort`."""

    def __init__(self, clock: SimClock, rng: Random, quality: LinkQuality, trace: Trace) -> None:
        self.clock = clock
        self._rng = rng
        self.quality = quality
        self._trace = trace
        self._ports: dict[bytes, SimPort] = {}
        self._cut: dict[tuple[bytes, bytes], None] = {}
        self._edges: dict[tuple[bytes, bytes], None] | None = None
        self._last_arrival: dict[tuple[bytes, bytes], float] = {}
        self.tampers: dict[bytes, Tamper] = {}
        """By node id: what faulty nodes do to the frames that they send."""
        self.observers: list[Callable[[int, bytes], None]] = []
        """Called with (kind, payload) of every frame that is sent."""
        self.taps: list[Callable[[bytes, bytes, int, bytes], None]] = []
        """The same with the node ids of sender and receiver before it."""
        self.messages: Counter[int] = Counter()
        self.bytes = 0

    def join_only(self, edges: Iterable[tuple[bytes, bytes]]) -> None:
        """Link nobody but these pairs; without this call everybody is linked with everybody."""
        self._edges = {_pair(first, second): None for first, second in edges}

    def attach(self, node_id: bytes, masternode: bytes | None, skew_ms: int = 0) -> SimPort:
        """The network side of a (re)started node; its links come up when it calls ``start``.

        Its clock is ``skew_ms`` ahead of the world's.
        """
        return SimPort(self, node_id, masternode, skew_ms)

    def link(self, port: SimPort) -> None:
        """Bring up the links between ``port`` and every node that runs and is not cut off."""
        self._ports[port.node_id] = port
        for other in list(self._ports.values()):
            if other is not port and self.linked(port.node_id, other.node_id):
                self._up(port, other)

    def unlink(self, port: SimPort) -> None:
        """Take down all links of ``port``: its process is gone."""
        if self._ports.get(port.node_id) is not port:
            return
        del self._ports[port.node_id]
        for other in list(self._ports.values()):
            if self.linked(port.node_id, other.node_id):
                other.hear_down(port.node_id)

    def linked(self, first: bytes, second: bytes) -> bool:
        """Whether the two are neighbours and nothing cuts them off from each other."""
        pair = _pair(first, second)
        return pair not in self._cut and (self._edges is None or pair in self._edges)

    def cut(self, first: bytes, second: bytes) -> None:
        """Cut the link between two nodes."""
        if not self.linked(first, second):
            return
        self._cut[_pair(first, second)] = None
        self._trace.note(self.clock.seconds(), "cut", first[:4], second[:4])
        here, there = self._ports.get(first), self._ports.get(second)
        if here is not None and there is not None:
            here.hear_down(second)
            there.hear_down(first)

    def heal(self, first: bytes, second: bytes) -> None:
        """Restore the link between two nodes."""
        if _pair(first, second) not in self._cut:
            return
        del self._cut[_pair(first, second)]
        self._trace.note(self.clock.seconds(), "heal", first[:4], second[:4])
        here, there = self._ports.get(first), self._ports.get(second)
        if here is not None and there is not None:
            self._up(here, there)

    def hold(self, sender: bytes, receiver: bytes, until: float) -> None:
        """Let nothing that ``sender`` sends reach ``receiver`` before ``until``, in seconds."""
        route = (sender, receiver)
        self._last_arrival[route] = max(until, self._last_arrival.get(route, 0.0))

    def _up(self, first: SimPort, second: SimPort) -> None:
        first.hear_up(second)
        second.hear_up(first)

    def carry(self, sender: SimPort, receiver: bytes, kind: int, payload: bytes) -> None:
        """Deliver a frame after a seeded delay, in order, if the link is still up then."""
        quality, draw = self.quality, self._rng.random
        delay_ms = quality.latency_ms + int(draw() * (quality.jitter_ms + 1))
        if draw() * 1000 < quality.loss_per_mille:
            delay_ms += quality.retransmit_ms
        node_id = sender.node_id
        route = (node_id, receiver)
        arrival = max(self.clock.seconds() + delay_ms / 1000, self._last_arrival.get(route, 0.0))
        self._last_arrival[route] = arrival
        target = self._ports[receiver]
        self.messages[kind] += 1
        self.bytes += len(payload)
        for observe in self.observers:
            observe(kind, payload)
        for tap in self.taps:
            tap(node_id, receiver, kind, payload)
        link = target.link_with(node_id)
        self.clock.call_at(arrival, self._arrive, node_id, target, link, kind, payload)

    def _arrive(
        self, sender: bytes, target: SimPort, link: SimLink | None, kind: int, payload: bytes
    ) -> None:
        """A frame that was sent on ``link`` of ``target`` is there, if the link still is."""
        if target.link_with(sender) is link:
            self._trace.frame(self.clock.seconds(), sender, target.node_id, kind, payload)
            target.hear_frame(sender, kind, payload)


@dataclass(frozen=True, slots=True, eq=False)
class SimLink:
    """One end of a link that is up; after a break comes another, and what was under way is lost."""

    info: PeerInfo
    """What this end's node is told of the other."""


def _pair(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    return (first, second) if first < second else (second, first)


class SimPort:
    """The ``Network`` that one simulated node sees."""

    def __init__(
        self, network: SimNetwork, node_id: bytes, masternode: bytes | None, skew_ms: int
    ) -> None:
        self._network = network
        self.skew_ms = skew_ms
        self.node_id = node_id
        self.masternode = masternode
        self._listener: LinkListener | None = None
        self._links: dict[bytes, SimLink] = {}
        self.blames: Counter[str] = Counter()

    def start(self) -> None:
        """Join the network: links to all running nodes come up."""
        self._network.link(self)

    def stop(self) -> None:
        """Leave the network, as a killed process does."""
        self._links.clear()
        self._listener = None
        self._network.unlink(self)

    # the Network port

    def set_listener(self, listener: LinkListener) -> None:
        """Who hears of links and frames."""
        self._listener = listener

    def set_height(self, height: int) -> None:
        """Heights in hellos matter to real peers only."""

    def send(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Send a frame; nothing happens when the link is down."""
        tamper = self._network.tampers.get(self.node_id)
        if tamper is None:
            self._carry(peer, kind, payload)
            return
        for frame in tamper.outgoing(peer, kind, payload):
            if frame.delay_ms:
                clock = self._network.clock
                clock.callLater(frame.delay_ms / 1000, self._carry, peer, frame.kind, frame.payload)
            else:
                self._carry(peer, frame.kind, frame.payload)

    def _carry(self, peer: bytes, kind: int, payload: bytes) -> None:
        if peer in self._links:
            self._network.carry(self, peer, kind, payload)

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """Count what peers are charged with; simulated peers are not banned."""
        self.blames[reason] += points

    def praise(self, peer: bytes, points: int) -> None:
        """Simulated links are never short."""

    def peers(self) -> list[PeerInfo]:
        """The links that are up."""
        return [link.info for link in self._links.values()]

    # what the network tells

    def link_with(self, peer: bytes) -> SimLink | None:
        """The current link with ``peer``."""
        return self._links.get(peer)

    def hear_up(self, other: SimPort) -> None:
        """A link to ``other`` came up."""
        info = PeerInfo(
            node_id=other.node_id,
            address=f"sim:{other.node_id[:4].hex()}",
            inbound=False,
            masternode=other.masternode,
            agent="sim",
            height=0,
            services=0,
            latency_ms=None,
            clock_offset_ms=other.skew_ms - self.skew_ms,
            bytes_sent=0,
            bytes_received=0,
            messages_sent={},
            messages_received={},
            connected_ms=int(self._network.clock.seconds() * 1000),
        )
        self._links[other.node_id] = SimLink(info)
        if self._listener is not None:
            self._listener.link_up(other.node_id, other.masternode)

    def hear_down(self, peer: bytes) -> None:
        """The link to ``peer`` went down."""
        if self._links.pop(peer, None) is not None and self._listener is not None:
            self._listener.link_down(peer)

    def hear_frame(self, peer: bytes, kind: int, payload: bytes) -> None:
        """A frame arrived."""
        tamper = self._network.tampers.get(self.node_id)
        if tamper is not None:
            tamper.incoming(peer, kind, payload)
        if self._listener is not None:
            self._listener.frame_received(peer, kind, payload)
