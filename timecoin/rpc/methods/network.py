"""The peers, and this node among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from timecoin import __version__, params
from timecoin.chain.views import ChainViews
from timecoin.masternodes.active_set import Tier
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.messages import SERVICE_VALIDATOR
from timecoin.p2p.ports import PeerInfo
from timecoin.rpc.condition import Condition
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import PeerReader, SyncReader
from timecoin.rpc.rendering import Json

BYTES_PER_KILOBYTE = 1_000
SERVICE_NAMES = {SERVICE_VALIDATOR: "VALIDATOR"}


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """How this node appears to others."""

    agent: str
    node_id: bytes
    voting_pubkey: bytes | None
    """None for a node that is no masternode."""
    vrf_pubkey: bytes | None
    listening: Callable[[], Sequence[PeerAddress]]
    """Where it listens for peers now."""


class NetworkMethods:
    """Who is linked to this node."""

    def __init__(
        self,
        identity: OwnIdentity,
        network: PeerReader,
        sync: SyncReader,
        views: ChainViews,
        condition: Condition,
        message_names: Mapping[int, str],
    ) -> None:
        """``message_names``: what each kind of frame is called."""
        self._identity = identity
        self._network = network
        self._sync = sync
        self._views = views
        self._condition = condition
        self._message_names = message_names

    @rpc_method()
    def getpeerinfo(self) -> list[Json]:
        """Every established link, oldest first.

        id is the peer's key; addr is where it is seen, a hint only. height is what it announced
        last. latency_ms is the last ping's round trip, null before the first. Messages are
        counted by type; connected is in seconds.
        """
        return [self._peer_json(peer) for peer in self._network.peers()]

    def _peer_json(self, peer: PeerInfo) -> Json:
        announced = self._sync.announced_height(peer.node_id)
        tier = None
        if peer.masternode is not None:
            tier = member_tier(self._views, peer.masternode)
        return {
            "id": peer.node_id.hex(),
            "addr": peer.address,
            "inbound": peer.inbound,
            "masternode": None if peer.masternode is None else peer.masternode.hex(),
            "tier": tier,
            "services": f"{peer.services:016x}",
            "servicesnames": _service_names(peer.services),
            "subver": peer.agent,
            "height": peer.height if announced is None else announced,
            "startingheight": peer.height,
            "latency_ms": peer.latency_ms,
            "reputation": peer.reputation,
            "bytes": {"sent": peer.bytes_sent, "received": peer.bytes_received},
            "bytessent": peer.bytes_sent,
            "bytesrecv": peer.bytes_received,
            "messages": {
                "sent": self._named(peer.messages_sent),
                "received": self._named(peer.messages_received),
            },
            "conntime": peer.connected_ms // 1000,
            "connected": max(0, self._condition.now_ms - peer.connected_ms) // 1000,
        }

    def _named(self, counts: Mapping[int, int]) -> Json:
        return {
            self._message_names.get(kind, f"unknown_{kind}"): count
            for kind, count in sorted(counts.items())
        }

    @rpc_method()
    def getconnectioncount(self) -> int:
        """The number of established links, in both directions."""
        return len(self._network.peers())

    @rpc_method()
    def getnettotals(self) -> Json:
        """Bytes over the links that are established now, and this node's clock."""
        peers = self._network.peers()
        return {
            "totalbytesrecv": sum(peer.bytes_received for peer in peers),
            "totalbytessent": sum(peer.bytes_sent for peer in peers),
            "timemillis": self._condition.now_ms,
        }

    @rpc_method()
    def getnetworkinfo(self) -> Json:
        """This node's version, its links and where it listens. Fees are TIME per 1,000 bytes."""
        identity = self._identity
        peers = self._network.peers()
        inbound = sum(peer.inbound for peer in peers)
        services = 0 if identity.voting_pubkey is None else SERVICE_VALIDATOR
        rate = amount_json(params.MIN_FEE_RATE_UNITS_PER_BYTE * BYTES_PER_KILOBYTE)
        return {
            "version": version_number(__version__),
            "subversion": identity.agent,
            "protocolversion": params.PROTOCOL_VERSION,
            "localservices": f"{services:016x}",
            "localservicesnames": _service_names(services),
            "node_id": identity.node_id.hex(),
            "masternode": None if identity.voting_pubkey is None else identity.voting_pubkey.hex(),
            "networkactive": True,
            "connections": len(peers),
            "connections_in": inbound,
            "connections_out": len(peers) - inbound,
            "localaddresses": [
                {"address": address.host, "port": address.port} for address in identity.listening()
            ],
            "relayfee": rate,
            "incrementalfee": rate,
            "minfee": amount_json(params.MIN_FEE_UNITS),
            "warnings": self._condition.warnings(),
        }


def member_tier(views: ChainViews, pubkey: bytes) -> str | None:
    """The tier of ``pubkey`` in the tip's active set; None for who is not in it."""
    active = views.active_set(views.tip.height)
    member = None if active is None else active.by_pubkey.get(pubkey)
    return None if member is None else Tier(member.tier).name.lower()


def version_number(version: str) -> int:
    """``1.2.3`` as Bitcoin Core's number 10203; what follows the three numbers is left out."""
    number = 0
    for part in version.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        number = number * 100 + int(digits or "0")
    return number


def _service_names(services: int) -> list[str]:
    return [name for bit, name in SERVICE_NAMES.items() if services & bit]
