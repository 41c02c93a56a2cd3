"""The active validator set: who votes, and this node among them."""

from __future__ import annotations

from typing import Annotated

from timecoin.chain.views import ChainViews
from timecoin.consensus.sortition import eligible
from timecoin.crypto.address import encode_address
from timecoin.ledger.transaction import Outpoint, split_outpoint
from timecoin.masternodes.active_set import Departed, Member, Tier
from timecoin.p2p.ports import PeerInfo
from timecoin.quorum.tally import quorum_weight
from timecoin.rpc.errors import INVALID_PARAMETER, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.rendering import Json
from timecoin.rpc.roster import Roster
from timecoin.rpc.valuetypes import Height, Text

ACTIVE, SILENT, JOINING = "active", "silent", "joining"
LEFT, JAILED = "left", "jailed"


class MasternodeMethods:
    """Who votes."""

    def __init__(self, roster: Roster, views: ChainViews) -> None:
        self._roster = roster
        self._views = views

    @rpc_method()
    def masternodelist(self, filter: Annotated[str, Text(max_chars=256)] = "") -> Json:
        """The masternodes after the tip's block; filter keeps those with this text in a field.

        status: active (its last verified heartbeat is young enough), silent (a member without
        one), joining (asks to be taken in), left, or jailed (until the block jailed_until). Those
        that left are shown while their stake waits. last_heartbeat is the time of the last verified
        one; uptime the seconds that it has been active without a break, as this node has seen it
        since its own start. address is where it is linked with this node. total and active count
        members of the active set, whatever the filter.
        """
        active_set = self._roster.active_set()
        links = self._roster.links()
        listed = [self._member_json(member, links) for member in active_set.members]
        count, active = len(listed), sum(item["status"] == ACTIVE for item in listed)
        listed += [self._joining_json(pubkey, links) for pubkey in self._roster.joining()]
        listed += [
            self._departed_json(row, links)
            for row in active_set.departed
            if row.pubkey not in active_set.by_pubkey
        ]
        return {
            "masternodes": [item for item in listed if _matches(item, filter)],
            "total": count,
            "active": active,
            "total_weight": active_set.total_weight,
            "quorum_weight": quorum_weight(active_set.total_weight),
        }

    @rpc_method()
    async def masternodestatus(self) -> Json:
        """This node's own masternode: where it stands, and what it has produced and earned.

        status is that of masternodelist, or none for a key that is no masternode; pubkey is null
        without validator-id. eligible: whether it may propose the next block; next_check: seconds
        to the next slot, in which it draws again. blocks_produced and rewards (to its payout
        address) are counted over the blocks above since_height.
        """
        roster = self._roster
        identity = roster.identity
        shown: Json = {
            "pubkey": None,
            "vrf_pubkey": None,
            "status": "none",
            "in_avs": False,
            "eligible": False,
            "next_check": roster.next_slot_in(),
            "clock_offset_ms": roster.heartbeats.clock_offset_ms,
            "warnings": roster.warnings(),
        }
        pubkey = identity.voting_pubkey
        if pubkey is None or identity.vrf_pubkey is None:
            return shown
        shown |= {"pubkey": pubkey.hex(), "vrf_pubkey": identity.vrf_pubkey.hex()}
        active_set, links = roster.active_set(), roster.links()
        member = active_set.by_pubkey.get(pubkey)
        row = next((row for row in active_set.departed if row.pubkey == pubkey), None)
        if member is not None:
            candidates = eligible(active_set, self._views.tip.height + 1)
            shown |= self._member_json(member, links)
            shown |= {"in_avs": True, "eligible": member in candidates}
        elif pubkey in roster.joining():
            shown |= self._joining_json(pubkey, links)
        elif row is not None:
            shown |= self._departed_json(row, links)
        earned = await roster.earned()
        if earned is not None:
            shown |= {
                "blocks_produced": earned.blocks,
                "rewards": amount_json(earned.reward_units),
                "since_height": earned.since,
            }
        return shown

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

    def _member_json(self, member: Member, links: dict[bytes, PeerInfo]) -> Json:
        roster = self._roster
        live = roster.is_live(member.pubkey)
        return {
            **self._seen_json(member.pubkey, links),
            "payout_address": encode_address(roster.network, member.payout_hash),
            "tier": Tier(member.tier).name.lower(),
            "weight": member.weight,
            "collateral": amount_json(roster.collateral_units(member.stake)),
            "outpoint": _outpoint_text(member.stake),
            "status": ACTIVE if live else SILENT,
            "uptime": roster.uptime_s(member.pubkey) if live else None,
            "registered_height": member.joined_height,
            "expiry_height": member.expiry_height or None,
        }

    def _joining_json(self, pubkey: bytes, links: dict[bytes, PeerInfo]) -> Json:
        stake = self._roster.joining()[pubkey]
        return {
            **self._seen_json(pubkey, links),
            "collateral": amount_json(self._roster.collateral_units(stake)),
            "outpoint": _outpoint_text(stake),
            "status": JOINING,
        }

    def _departed_json(self, row: Departed, links: dict[bytes, PeerInfo]) -> Json:
        jailed = row.jailed_until > self._views.tip.height + 1
        return {
            **self._seen_json(row.pubkey, links),
            "collateral": amount_json(self._roster.collateral_units(row.stake)),
            "outpoint": _outpoint_text(row.stake),
            "status": JAILED if jailed else LEFT,
            "left_height": row.left_height,
            "jailed_until": row.jailed_until if jailed else None,
        }

    def _seen_json(self, pubkey: bytes, links: dict[bytes, PeerInfo]) -> Json:
        link = links.get(pubkey)
        address = None if link is None else link.address
        if pubkey == self._roster.identity.voting_pubkey:
            address = next(map(str, self._roster.identity.listening()), None)
        return {
            "pubkey": pubkey.hex(),
            "address": address,
            "last_heartbeat": self._roster.last_heartbeat_s(pubkey),
        }


def _outpoint_text(stake: Outpoint) -> str | None:
    if not stake:
        return None
    txid, index = split_outpoint(stake)
    return f"{txid.hex()}:{index}"


def _matches(item: Json, text: str) -> bool:
    return any(text in str(value) for value in item.values())
