"""The operator's word on peers: whom to call, whom to let go, who is not welcome."""

from __future__ import annotations

from typing import Annotated

from twisted.internet.interfaces import IReactorTime

from timecoin.p2p.address import PeerAddress, parse_peer_address
from timecoin.p2p.bans import NODE_ID_BYTES, Ban, Subject, parse_subject, subject_text
from timecoin.p2p.netgroup import host_text, pack_host
from timecoin.p2p.ports import PeerControl
from timecoin.p2p.reputation import BAN_MS
from timecoin.params import PEER_PORT, Network
from timecoin.rpc.errors import (
    INVALID_PARAMETER,
    INVALID_PARAMS,
    INVALID_SUBNET,
    NODE_ALREADY_ADDED,
    NODE_NOT_ADDED,
    NODE_NOT_CONNECTED,
    RpcError,
)
from timecoin.rpc.method import rpc_method
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Hex, Integer, Text

MAX_HOST_CHARS = 261
"""A name of 255 characters and a port."""
MAX_TIME_S = 2**33

NodeText = Annotated[str, Text(max_chars=MAX_HOST_CHARS, label="address")]
NodeCommand = Annotated[str, Text(choices=("add", "remove", "onetry"), label="command")]
BanCommand = Annotated[str, Text(choices=("add", "remove"), label="command")]
NodeKey = Annotated[bytes, Hex(NODE_ID_BYTES, NODE_ID_BYTES, label="node id")]
Seconds = Annotated[int, Integer(0, MAX_TIME_S, label="seconds")]


class PeeringMethods:
    """Links by hand."""

    def __init__(self, control: PeerControl, network: Network, clock: IReactorTime) -> None:
        self._control = control
        self._default_port = PEER_PORT[network]
        self._clock = clock

    @rpc_method()
    def addnode(self, node: NodeText, command: NodeCommand) -> None:
        """Stay linked with the node at an address (add), end that (remove; a link that is up
        stays), or call it once (onetry). What was added outlives a restart; a node of the peers
        setting that was removed comes back with it."""
        address = self._address(node)
        if command == "onetry":
            self._control.try_node(address)
        elif command == "add" and not self._control.add_node(address):
            raise RpcError(NODE_ALREADY_ADDED, "Error: Node already added")
        elif command == "remove" and not self._control.remove_node(address):
            raise RpcError(
                NODE_NOT_ADDED,
                "Error: Node could not be removed. It has not been added previously.",
            )

    @rpc_method()
    def disconnectnode(self, address: NodeText = "", nodeid: NodeKey | None = None) -> None:
        """End the link with the peer that getpeerinfo shows with this addr, or with this id.

        It is called again if it is on the list of nodes to stay linked with."""
        if bool(address) == (nodeid is not None):
            raise RpcError(INVALID_PARAMS, "Only one of address and nodeid should be provided.")
        if not self._control.disconnect(address if nodeid is None else nodeid):
            raise RpcError(NODE_NOT_CONNECTED, "Node not found in connected nodes")

    @rpc_method()
    def setban(
        self, subnet: NodeText, command: BanCommand, bantime: Seconds = 0, absolute: bool = False
    ) -> None:
        """Refuse links with an address, a network (192.0.2.0/24) or a node id, or end that.

        bantime is in seconds, 0 for 24 hours, or Unix time if absolute. Links that are up end."""
        subject = _subject(subnet)
        if command == "remove":
            if not self._control.unban(subject):
                raise RpcError(
                    INVALID_SUBNET,
                    "Error: Unban failed. Requested address/subnet was not previously banned.",
                )
            return
        now_ms = self._now_ms()
        until_ms = bantime * 1000 if absolute else now_ms + (bantime * 1000 or BAN_MS)
        if until_ms <= now_ms:
            raise RpcError(INVALID_PARAMETER, "Error: Absolute timestamp is in the past")
        if not self._control.ban(subject, until_ms):
            raise RpcError(NODE_ALREADY_ADDED, "Error: IP/Subnet already banned")

    @rpc_method()
    def listbanned(self) -> list[Json]:
        """Every address, network and node id that is refused, and why. Times are in seconds."""
        return [_ban_json(ban, self._now_ms()) for ban in self._control.bans()]

    def _address(self, text: str) -> PeerAddress:
        packed = pack_host(text)
        if packed is not None:
            return PeerAddress(host_text(packed), self._default_port)
        if text and ":" not in text:
            return PeerAddress(text, self._default_port)
        try:
            return parse_peer_address(text)
        except ValueError as error:
            raise RpcError(INVALID_PARAMETER, f"node: {error}") from error

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)


def _subject(text: str) -> Subject:
    try:
        return parse_subject(text)
    except ValueError as error:
        raise RpcError(INVALID_SUBNET, "Error: Invalid IP/Subnet") from error


def _ban_json(ban: Ban, now_ms: int) -> Json:
    created_s, until_s = ban.created_ms // 1000, ban.until_ms // 1000
    return {
        "address": subject_text(ban.subject),
        "ban_created": created_s,
        "banned_until": until_s,
        "ban_duration": until_s - created_s,
        "time_remaining": max(0, ban.until_ms - now_ms) // 1000,
        "reason": ban.reason,
    }
