"""addnode, disconnectnode, setban and listbanned by RPC: Bitcoin Core's results and errors."""

from __future__ import annotations

from tests.rpc.methods.net import RpcTestCase
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.reputation import BAN_MS
from timecoin.params import PEER_PORT, Network
from timecoin.rpc.errors import (
    INVALID_PARAMETER,
    INVALID_PARAMS,
    INVALID_SUBNET,
    NODE_ALREADY_ADDED,
    NODE_NOT_ADDED,
    NODE_NOT_CONNECTED,
    TYPE_ERROR,
)

KEY = b"\x5a" * 32
PORT = PEER_PORT[Network.DEVNET]


class NodeListTests(RpcTestCase):
    """Whom to call."""

    def test_add_and_remove(self) -> None:
        self.assertIsNone(self.call("addnode", "192.0.2.1:8333", "add"))
        self.assertEqual(self.node.control.added, [PeerAddress("192.0.2.1", 8333)])
        self.refused(NODE_ALREADY_ADDED, "addnode", "192.0.2.1:8333", "add")
        self.assertIsNone(self.call("addnode", "192.0.2.1:8333", "remove"))
        self.refused(NODE_NOT_ADDED, "addnode", "192.0.2.1:8333", "remove")

    def test_port_is_the_networks_unless_given(self) -> None:
        for text, expected in (
            ("192.0.2.1", PeerAddress("192.0.2.1", PORT)),
            ("2001:db8::1", PeerAddress("2001:db8::1", PORT)),
            ("[2001:db8::1]:7", PeerAddress("2001:db8::1", 7)),
            ("node.example.org", PeerAddress("node.example.org", PORT)),
            ("node.example.org:9", PeerAddress("node.example.org", 9)),
        ):
            self.call("addnode", text, "onetry")
            self.assertEqual(self.node.control.tried[-1], expected)
        self.assertEqual(self.node.control.added, [])

    def test_wrong_parameters(self) -> None:
        for text in ("", ":1", "a:b", "a:0", "a:65536", "[::1]", "1:2:3x"):
            self.refused(INVALID_PARAMETER, "addnode", text, "add")
        self.refused(INVALID_PARAMETER, "addnode", "192.0.2.1", "burn")
        self.refused(TYPE_ERROR, "addnode", 5, "add")
        self.refused(INVALID_PARAMS, "addnode", "192.0.2.1")

    def test_disconnect(self) -> None:
        self.node.control.linked = [KEY, "192.0.2.1:8333"]
        self.assertIsNone(self.call("disconnectnode", "192.0.2.1:8333"))
        self.assertIsNone(self.call("disconnectnode", "", KEY.hex()))
        self.assertEqual(self.node.control.linked, [])
        self.refused(NODE_NOT_CONNECTED, "disconnectnode", "192.0.2.1:8333")
        self.refused(NODE_NOT_CONNECTED, "disconnectnode", nodeid=KEY.hex())
        self.refused(INVALID_PARAMS, "disconnectnode")
        self.refused(INVALID_PARAMS, "disconnectnode", "192.0.2.1:8333", KEY.hex())


class BanTests(RpcTestCase):
    """Who is refused."""

    def test_a_day_by_default(self) -> None:
        now_s = self.net.now_ms // 1000
        self.assertIsNone(self.call("setban", "192.0.2.1", "add"))
        (ban,) = self.call("listbanned")
        self.assertEqual(ban["address"], "192.0.2.1/32")
        self.assertEqual((ban["ban_created"], ban["ban_duration"]), (now_s, BAN_MS // 1000))
        self.assertEqual(ban["banned_until"], now_s + BAN_MS // 1000)
        self.assertEqual(ban["time_remaining"], BAN_MS // 1000)
        self.refused(NODE_ALREADY_ADDED, "setban", "192.0.2.1/32", "add")
        self.assertIsNone(self.call("setban", "192.0.2.1", "remove"))
        self.assertEqual(self.call("listbanned"), [])
        self.refused(INVALID_SUBNET, "setban", "192.0.2.1", "remove")

    def test_networks_and_keys(self) -> None:
        for text, shown in (
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("2001:db8::/32", "2001:db8::/32"),
            (KEY.hex(), KEY.hex()),
        ):
            self.call("setban", text, "add", 60)
            self.assertEqual(self.call("listbanned")[-1]["address"], shown)
            self.assertEqual(self.call("listbanned")[-1]["ban_duration"], 60)

    def test_absolute_time(self) -> None:
        now_s = self.net.now_ms // 1000
        self.call("setban", "192.0.2.1", "add", now_s + 90, True)
        (ban,) = self.call("listbanned")
        self.assertEqual(ban["banned_until"], now_s + 90)
        self.refused(INVALID_PARAMETER, "setban", "192.0.2.2", "add", now_s - 1, True)

    def test_a_ban_ends(self) -> None:
        self.call("setban", "192.0.2.1", "add", 1)
        self.net.run(2)
        self.assertEqual(self.call("listbanned"), [])
        self.call("setban", "192.0.2.1", "add", 1)

    def test_no_subnet(self) -> None:
        for text in ("", "node.example.org", "192.0.2.1/33", "192.0.2.1/x", "zz" * 32, "::/129"):
            self.refused(INVALID_SUBNET, "setban", text, "add")
        self.refused(INVALID_PARAMETER, "setban", "192.0.2.1", "add", -1)
