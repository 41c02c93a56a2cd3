"""The active validator set."""

from __future__ import annotations

from typing import Annotated

from timecoin.chain.views import ChainViews
from timecoin.crypto.address import encode_address
from timecoin.masternodes.active_set import Member, Tier
from timecoin.p2p.ports import PeerInfo
from timecoin.params import Network
from timecoin.quorum.tally import quorum_weight
from timecoin.rpc.errors import INVALID_PARAMETER, RpcError
from timecoin.rpc.method import rpc_method
from timecoin.rpc.methods.network import OwnIdentity
from timecoin.rpc.ports import PeerReader
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Height, Text

ACTIVE = "active"
UNLINKED = "unlinked"


class MasternodeMethods:
    """Who votes."""

    def __init__(
        self, network: Network, identity: OwnIdentity, peers: PeerReader, views: ChainViews
    ) -> None:
        self._network = network
        self._identity = identity
        self._peers = peers
        self._views = views

    @rpc_method()
    def masternodelist(self, filter: Annotated[str, Text(max_chars=256)] = "") -> Json:
        """The members of the active set at the tip; filter keeps those with this text in a field.

        status is active for this node itself and for members that have proved their key on a link
        with it, unlinked for the others. total and active count all members, whatever the filter.
        Members by genesis have no collateral; last_heartbeat and uptime are null while no
        heartbeat has been verified.
        """
        members = self._views.active_set(self._views.tip.height)
        assert members is not None  # the chain always has the tip's
        links = {peer.masternode: peer for peer in self._peers.peers()}
        listed = [self._member_json(member, links.get(member.pubkey)) for member in members.members]
        return {
            "masternodes": [item for item in listed if _matches(item, filter)],
            "total": len(listed),
            "active": sum(item["status"] == ACTIVE for item in listed),
            "total_weight": members.total_weight,
            "quorum_weight": quorum_weight(members.total_weight),
        }

    @rpc_method()
    def getavssnapshot(self, height: Height | None = None) -> Json:
        """The active set after the block at a height, by default the tip's, with its root.

        Members are sorted by pubkey; their weights are what votes on it count by. Only the staked
        ones count for total and quorum.
        """
        chosen = self._views.tip.height if height is None else height
        snapshot = self._views.active_set(chosen)
        if snapshot is None:
            raise RpcError(INVALID_PARAMETER, "Block height out of range")
        return {
            "height": chosen,
            "members": [
                {
                    "pubkey": member.pubkey.hex(),
                    "weight": member.weight,
                    "tier": Tier(member.tier).name.lower(),
                }
                for member in snapshot.members
            ],
            "total": snapshot.total_weight,
            "quorum": quorum_weight(snapshot.total_weight),
            "root": snapshot.root.hex(),
        }

    def _member_json(self, member: Member, link: PeerInfo | None) -> Json:
        own = member.pubkey == self._identity.voting_pubkey
        address = None if link is None else link.address
        if own:
            address = next(map(str, self._identity.listening()), None)
        return {
            "pubkey": member.pubkey.hex(),
            "address": address,
            "payout_address": encode_address(self._network, member.payout_hash),
            "tier": Tier(member.tier).name.lower(),
            "weight": member.weight,
            "collateral": 0 if member.tier in (Tier.GENESIS, Tier.FREE) else None,
            "outpoint": None,
            "status": ACTIVE if own or link is not None else UNLINKED,
            "last_heartbeat": None,
            "uptime": None,
            "registered_height": member.joined_height,
            "expiry_height": member.expiry_height,
        }


def _matches(item: Json, text: str) -> bool:
    return any(text in str(value) for value in item.values())
