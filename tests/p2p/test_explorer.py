"""Nodes that find each other on loopback: exchange, DNS, restarts, moves, bans."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.defer import Deferred, succeed

from tests.p2p.loopback import LoopbackCase, Node
from tests.p2p.records import host
from tests.p2p.wire import CHAIN, Rows
from timecoin.crypto.keys import SigningKey
from timecoin.p2p import explorer
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.records import sign_record

LOCALHOST = host("127.0.0.1")


class ExplorerCase(LoopbackCase):
    """Nodes that look around often."""

    def setUp(self) -> None:
        """Turns of 20 ms."""
        super().setUp()
        self.patch(explorer, "TURN_MS", 20)
        self.patch(explorer, "SEED_AFTER_MS", 50)

    def seed(self, port: int) -> PeerAddress:
        """A name of nodes that listen on one port."""
        return PeerAddress("seed.example.org", port)


class FindingTests(ExplorerCase):
    """Without an operator."""

    async def test_a_friend_of_a_friend(self) -> None:
        """Two nodes that know a third learn of each other; all share one address."""
        hub = self.start(Node(1))
        one = self.start(Node(2, (hub.port,)))
        await self.linked(hub, one)
        other = self.start(Node(3, (hub.port,)))
        await self.until(lambda: one.link(other.node_id) and other.link(one.node_id))

    async def test_dns_seed(self) -> None:
        """A node that knows nobody asks, calls, and learns the rest from who answers."""
        hub = self.start(Node(1))
        one = self.start(Node(2, (hub.port,)))
        await self.linked(hub, one)
        asked: list[str] = []

        def resolve(name: str) -> Deferred[list[str]]:
            asked.append(name)
            return succeed(["127.0.0.1"])

        fresh = self.start(Node(3, seeds=(self.seed(hub.port),), resolve=resolve))
        await self.until(lambda: fresh.link(hub.node_id) and fresh.link(one.node_id))
        self.assertEqual(asked, ["seed.example.org"])
        self.assertTrue(self.logged("DNS seed seed.example.org names 1 nodes"))

    async def test_dns_that_fails(self) -> None:
        """Is told, and nothing else."""
        self.start(Node(1, seeds=(self.seed(1),)))
        await self.until(lambda: self.logged("DNS seed seed.example.org: "))

    async def test_a_node_with_enough_links_does_not_ask_dns(self) -> None:
        def resolve(name: str) -> Deferred[list[str]]:
            raise AssertionError("asked")

        hub, more = self.start(Node(1)), self.start(Node(2))
        node = self.start(Node(3, (hub.port, more.port), seeds=(self.seed(1),), resolve=resolve))
        await self.linked(hub, node)
        await self.linked(more, node)
        node.service._explorer._seed_due_ms = 0
        node.service._explorer._turn()
        self.assertFalse(self.logged("DNS seed"))

    async def test_without_discovery_nobody_is_called(self) -> None:
        hub = self.start(Node(1))
        one = self.start(Node(2, (hub.port,)))
        alone = self.start(Node(3, (hub.port,), explore=False))
        await self.linked(hub, one)
        await self.until(lambda: alone.link(hub.node_id))
        self.assertFalse(alone.service._explorer._turns.running)


class RestartTests(ExplorerCase):
    """What a node knows when it comes back."""

    async def meet(self) -> tuple[Node, Node]:
        """A node that has found another, and remembers."""
        hub = self.start(Node(1))
        node = self.start(Node(2, (hub.port,)))
        await self.linked(hub, node)
        book = node.service._memory.book
        await self.until(lambda: book.get(hub.node_id))
        await node.service.stopService()
        return hub, node

    async def test_finds_its_way_back_without_peers(self) -> None:
        hub, node = await self.meet()
        again = self.start(Node(2, rows=node.rows))
        await self.until(lambda: again.link(hub.node_id))
        book = again.service._memory.book
        entry = book.get(hub.node_id)
        assert entry is not None
        self.assertTrue(entry.tried)

    async def test_calls_its_anchors_first(self) -> None:
        hub, node = await self.meet()
        node.service._memory.set_anchors((hub.node_id,))
        again = self.start(Node(2, rows=node.rows))
        await self.until(lambda: again.link(hub.node_id))
        (slot, *_) = again.service._explorer._outbound.slots.values()
        self.assertEqual((slot.node_id, slot.role.value), (hub.node_id, "anchor"))

    async def test_follows_a_node_that_moves(self) -> None:
        """Same key, another port: the newer record counts, told by a third."""
        hub = self.start(Node(1))
        node = self.start(Node(2, (hub.port,)))
        mover = self.start(Node(3, (hub.port,)))
        await self.until(lambda: node.link(mover.node_id))
        old_port = mover.port
        await mover.service.stopService()
        await self.until(lambda: not node.link(mover.node_id))
        moved = self.start(Node(3, (hub.port,), rows=mover.rows))
        self.assertNotEqual(moved.port, old_port)
        node.service._links.ask_for_addresses()
        await self.until(lambda: node.link(moved.node_id))

    async def test_bans_survive(self) -> None:
        """Of a key that misbehaved, and what is left of its points."""
        node = self.start(Node(1))
        client = await self.raw(node)
        client.greet()
        await self.until(node.service.peers)
        (info,) = node.service.peers()
        node.service.blame(info.node_id, 50, "forged vote")
        await client.lost
        await node.service.stopService()
        again = self.start(Node(1, rows=node.rows))
        refused = await self.raw(again)
        await refused.lost
        self.assertEqual([ban.subject for ban in again.service.bans()], [info.node_id])
        self.assertEqual(again.service.peers(), [])

    async def test_bans_survive_a_kill(self) -> None:
        """They are at rest before anything else happens."""
        node = self.start(Node(1))
        node.service.blame(b"\x09" * 32, 60, "forged vote")
        killed = Rows(dict(node.rows.held))
        again = Node(1, rows=killed)
        self.assertEqual(len(again.service.bans()), 1)


class WrongNodeTests(ExplorerCase):
    """An address is a hint, the key is the node."""

    async def test_another_node_at_the_address(self) -> None:
        """It is let go, not punished, and the entry's turn comes later."""
        other, node = self.start(Node(1)), self.start(Node(2))
        key = SigningKey(b"\x63" * 32)
        now_s = int(node.service._clock.seconds())
        record = sign_record(key, CHAIN, LOCALHOST, other.port, 0, now_s)
        book = node.service._memory.book
        self.assertTrue(book.add(record, b"source"))
        entry = book.get(key.public)
        assert entry is not None
        await self.until(lambda: entry.failures)
        self.assertEqual(other.told.events, [])
        self.assertFalse(self.logged("blamed"))


class OperatorTests(ExplorerCase):
    """addnode, disconnectnode and setban, carried out."""

    async def test_add_and_remove(self) -> None:
        hub, node = self.start(Node(1)), self.start(Node(2))
        address = PeerAddress("127.0.0.1", hub.port)
        self.assertTrue(node.service.add_node(address))
        self.assertFalse(node.service.add_node(address))
        await self.linked(hub, node)
        self.assertTrue(node.service.remove_node(address))
        self.assertFalse(node.service.remove_node(address))
        self.assertIsNotNone(node.link(hub.node_id), "the link stays")

    async def test_who_was_added_is_called_in_the_next_life_too(self) -> None:
        """Until it is removed; nodes are not called for another reason here."""
        hub, node = self.start(Node(1)), self.start(Node(2, explore=False))
        address = PeerAddress("127.0.0.1", hub.port)
        node.service.add_node(address)
        await self.linked(hub, node)
        await node.service.stopService()
        again = self.start(Node(2, explore=False, rows=node.rows))
        await self.until(lambda: again.link(hub.node_id))
        self.assertTrue(again.service.remove_node(address))
        await again.service.stopService()
        last = self.start(Node(2, explore=False, rows=node.rows))
        self.assertFalse(last.service.remove_node(address))

    async def test_one_call(self) -> None:
        hub, node = self.start(Node(1)), self.start(Node(2))
        node.service.try_node(PeerAddress("127.0.0.1", hub.port))
        await self.linked(hub, node)
        node.service.try_node(PeerAddress("127.0.0.1", await self.free_port()))
        await self.until(lambda: self.logged("no link with 127.0.0.1"))

    async def test_disconnect_by_key_and_by_address(self) -> None:
        for by_key in (True, False):
            node = self.start(Node(1))
            client = await self.raw(node)
            client.greet()
            await self.until(node.service.peers)
            (info,) = node.service.peers()
            self.assertTrue(node.service.disconnect(info.node_id if by_key else info.address))
            await client.lost
            self.assertFalse(node.service.disconnect(info.node_id))
            await node.service.stopService()

    async def test_a_banned_network_is_refused_before_tls(self) -> None:
        """And its links end; lifted, it may come back."""
        node = self.start(Node(1))
        client = await self.raw(node)
        client.greet()
        await self.until(node.service.peers)
        network = ip_network("127.0.0.0/8")
        until_ms = int(node.service._clock.seconds() * 1000) + 60_000
        self.assertTrue(node.service.ban(network, until_ms))
        self.assertFalse(node.service.ban(network, until_ms))
        await client.lost
        refused = await self.connect(node, node.service._tls)
        await refused.lost
        self.assertEqual(node.connections(), 0)
        self.assertTrue(node.service.unban(network))
        welcome = await self.raw(node)
        welcome.greet()
        await self.until(node.service.peers)
