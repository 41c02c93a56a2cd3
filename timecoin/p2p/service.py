"""The peers of a node as a Twisted service: listens, calls, and offers ``ports.Network``."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from twisted.application import service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.logger import Logger

from timecoin.crypto.keys import SigningKey
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.bans import Ban, Subject
from timecoin.p2p.calling import Caller
from timecoin.p2p.connector import Connector
from timecoin.p2p.discovery import Discovery
from timecoin.p2p.explorer import Explorer, Resolve
from timecoin.p2p.factory import AcceptingFactory
from timecoin.p2p.links import LinkLimits, Links
from timecoin.p2p.memory import Memory
from timecoin.p2p.messages import MAX_AGENT_CHARS, printable
from timecoin.p2p.netgroup import is_canonical, pack_host
from timecoin.p2p.outbound import Outbound
from timecoin.p2p.ports import LinkListener, PeerInfo, PeerRows
from timecoin.p2p.session import LocalEnd
from timecoin.p2p.tls import NodeTls
from timecoin.p2p.traffic import LinkFigures

CHAIN_ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What an operator chooses; ``ValueError`` for what could not be sent."""

    chain_id: bytes
    listen_host: str
    listen_port: int
    """0 takes any free port."""
    peers: tuple[PeerAddress, ...]
    """Nodes to stay linked with."""
    agent: str
    """Name and version that other nodes see."""
    limits: LinkLimits = field(default_factory=LinkLimits)
    external: PeerAddress | None = None
    """Where others reach this node; None tells ``listen_host``, or what others see."""
    seeds: tuple[PeerAddress, ...] = ()
    """Names that DNS resolves to nodes."""
    explore: bool = True
    """Whether to call nodes that nobody configured."""

    def __post_init__(self) -> None:
        if len(self.chain_id) != CHAIN_ID_BYTES:
            raise ValueError(f"a chain id has {CHAIN_ID_BYTES} bytes, not {len(self.chain_id)}")
        if printable(self.agent, MAX_AGENT_CHARS) != self.agent:
            raise ValueError(
                f"agent {self.agent!r} is not printable ASCII of at most 64 characters"
            )

    @property
    def own_host(self) -> bytes | None:
        """The address to tell others; None if only they can know it."""
        host = pack_host(self.listen_host if self.external is None else self.external.host)
        return host if host is not None and is_canonical(host) else None


class PeerService(service.Service):
    """All links of a node; implements ``ports.Network``.

    The listener hears of a link's end also from within :meth:`blame` and :meth:`send`, when these
    end it.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTCP,
        settings: PeerSettings,
        node_seed: bytes,
        voting_key: SigningKey | None,
        rng: random.Random,
        entropy: Callable[[int], bytes],
        rows: PeerRows,
        resolve: Resolve,
        unix_s: Callable[[], float],
    ) -> None:
        """``node_seed`` is the node key's Ed25519 seed; ``rng`` chooses whom to call and when;
        ``rows`` keeps what is to be remembered; ``resolve`` asks DNS; ``unix_s`` is the time of
        day, which may be set, while the reactor's time goes on."""
        self._reactor = reactor
        self._settings = settings
        self._tls = NodeTls(node_seed)
        self.node_id = self._tls.node_id
        self.agent = settings.agent
        local = LocalEnd(
            node_id=self.node_id,
            chain_id=settings.chain_id,
            agent=settings.agent,
            nonce=int.from_bytes(entropy(8), "little"),
            voting_key=voting_key,
            unix_ms=lambda: int(unix_s() * 1000),
        )
        self._unix_ms = local.unix_ms
        self._clock = IReactorTime(reactor)
        memory = Memory(rows, entropy)
        discovery = Discovery(
            SigningKey(node_seed),
            settings.chain_id,
            local.services,
            memory.book,
            rng,
            settings.own_host,
        )
        self._memory = memory
        self._links = Links(self._clock, local, memory, settings.limits, discovery)
        caller = Caller(reactor, self._tls, self._links)
        self._connector = Connector(caller, rng)
        outbound = Outbound(memory.book, memory.anchors, lambda key: self._links.staked(key), rng)
        self._explorer = Explorer(caller, outbound, rng, settings.seeds, resolve)
        self._port: IListeningPort | None = None

    # The network as the layers above see it.

    def send(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Queue one frame; nothing happens if the link is gone."""
        self._links.send(peer, kind, payload)

    def peers(self) -> list[PeerInfo]:
        """The established links, oldest first."""
        return self._links.infos()

    def figures(self) -> LinkFigures:
        """For metrics."""
        broken = self._connector.broken + self._explorer.broken
        return self._links.figures(self._connector.reconnecting, broken)

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """Take ``points`` off the peer's reputation; at -50 it is cut off and banned."""
        self._links.blame(peer, points, reason)

    def praise(self, peer: bytes, points: int) -> None:
        """Add ``points`` to the peer's reputation: it is spared when connections are short."""
        self._links.praise(peer, points)

    def set_staked(self, staked: Callable[[bytes], bool]) -> None:
        """How to tell whether a voting key has weight: such peers are called and kept first."""
        self._links.staked = staked

    def set_listener(self, listener: LinkListener) -> None:
        """Tell ``listener`` of links and frames; to be called once, before the start."""
        if self._links.listener is not None:
            raise RuntimeError("the peer service has a listener already")
        self._links.listener = listener

    def set_height(self, height: int) -> None:
        """The chain height that later hellos name."""
        self._links.height = height

    # The operator's word (ports.PeerControl).

    def add_node(self, address: PeerAddress) -> bool:
        """Stay linked with whoever listens at ``address``; False if that is so already."""
        if not self._connector.add(address):
            return False
        self._memory.add_node(address)
        return True

    def remove_node(self, address: PeerAddress) -> bool:
        """Call ``address`` no more; its link stays. False if it was not on the list."""
        if not self._connector.remove(address):
            return False
        self._memory.remove_node(address)
        return True

    def try_node(self, address: PeerAddress) -> None:
        """Call ``address`` once."""
        self._connector.call_once(address)

    def disconnect(self, who: bytes | str) -> bool:
        """End the link with a node id, or with whom is seen at ``host:port``; False if none is."""
        ended = False
        for peer in self._links.up():
            if who in (peer.node_id, peer.address):
                peer.close("disconnected by the operator")
                ended = True
        return ended

    def ban(self, subject: Subject, until_ms: int) -> bool:
        """Refuse a node or a network until then, and end its links; False if it is banned now."""
        now_ms, bans = self._unix_ms(), self._memory.bans
        if bans.get(subject, now_ms) is not None:
            return False
        bans.add(subject, now_ms, until_ms, "by the operator")
        self._memory.write()
        self._links.enforce_bans()
        return True

    def unban(self, subject: Subject) -> bool:
        """End a ban; False if there is none."""
        ended = self._memory.bans.remove(subject)
        self._memory.write()
        return ended

    def bans(self) -> list[Ban]:
        """All bans that have not ended, the oldest first."""
        return self._memory.bans.standing(self._unix_ms())

    # The service.

    @property
    def listen_port(self) -> int:
        """The port that is open, 0 before the start."""
        return self._links.listen_port

    def startService(self) -> None:
        """Listen, then call the configured peers.

        ``twisted.internet.error.CannotListenError`` when the port is taken: nothing has started.
        """
        if self._links.listener is None:
            raise RuntimeError("the peer service needs a listener before it starts")
        settings = self._settings
        self._port = self._reactor.listenTCP(
            settings.listen_port,
            AcceptingFactory(self._tls, self._links, self._clock),
            interface=settings.listen_host,
        )
        port = cast(IPv4Address | IPv6Address, self._port.getHost()).port
        self._links.listen_port = port
        self._links.advertised_port = port if settings.external is None else settings.external.port
        super().startService()
        self.log.info(
            "listening for peers on {host}:{port}, node {name}",
            host=settings.listen_host,
            port=self.listen_port,
            name=self.node_id.hex()[:8],
        )
        self._connector.start((*settings.peers, *self._memory.added))
        if settings.explore:
            self._explorer.start()

    def stopService(self) -> Deferred[None]:
        """Stop listening and calling, say goodbye to all; fires when the last connection is gone.

        A peer that does not close within two seconds is cut off.
        """
        super().stopService()
        self._connector.stop()
        self._explorer.stop()
        port, self._port = self._port, None
        return ensureDeferred(self._close(port))

    async def _close(self, port: IListeningPort | None) -> None:
        if port is not None:
            await maybeDeferred(port.stopListening)
        await self._links.close_all("shutting down")
