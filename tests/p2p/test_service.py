"""Real services on loopback: links, refusals, reconnecting, stopping."""

from __future__ import annotations

import struct
from unittest.mock import patch

from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater

from tests.p2p.loopback import LoopbackCase, Node, RawClient
from tests.p2p.wire import CHAIN
from timecoin.codec import decode, encode
from timecoin.crypto.keys import SigningKey
from timecoin.p2p import connector
from timecoin.p2p import peer as peer_module
from timecoin.p2p.framing import MAX_PAYLOAD_BYTES
from timecoin.p2p.links import LinkLimits
from timecoin.p2p.messages import (
    GOODBYE,
    STAKE_PROOF,
    Goodbye,
    StakeProof,
    stake_statement,
)
from timecoin.p2p.ports import LinkListener, Network
from timecoin.p2p.service import PeerService, PeerSettings
from timecoin.p2p.session import VIOLATION_POINTS
from timecoin.p2p.tls import exporter_value


def goodbyes(client: RawClient) -> list[str]:
    """The reasons that a raw client was told."""
    return [
        decode(frame.payload, Goodbye, 512).reason
        for frame in client.frames
        if frame.kind == GOODBYE
    ]


class LinkTests(LoopbackCase):
    """Two and more services."""

    async def test_two_validators(self) -> None:
        """Each knows the other's key, proved voting key and hello; frames pass both ways."""
        one = self.start(Node(1, votes=True))
        one.service.set_height(17)
        other = self.start(Node(2, (one.port,), votes=True))
        await self.linked(one, other)
        assert one.voting_key is not None and other.voting_key is not None
        seen, shown = one.link(other.node_id), other.link(one.node_id)
        assert seen is not None and shown is not None
        self.assertEqual((seen.masternode, seen.inbound), (other.voting_key.public, True))
        self.assertEqual((shown.masternode, shown.inbound), (one.voting_key.public, False))
        self.assertEqual((shown.height, shown.agent, shown.services), (17, "node/1", 1))
        self.assertEqual(shown.address, f"127.0.0.1:{one.port}")
        self.assertTrue(self.logged(f"peer connected 127.0.0.1:{one.port} outbound"))
        self.assertTrue(self.logged(f"masternode {one.voting_key.public.hex()[:8]}"))
        one.service.send(other.node_id, 20, b"there")
        other.service.send(one.node_id, 21, b"back")
        await self.until(lambda: one.frames() and other.frames())
        self.assertEqual(other.frames(), [(one.node_id, 20, b"there")])
        self.assertEqual(one.frames(), [(other.node_id, 21, b"back")])

    async def test_many_and_large_frames_arrive_in_order(self) -> None:
        """More than any buffer on the way holds, up to the largest frame."""
        one = self.start(Node(1))
        other = self.start(Node(2, (one.port,)))
        await self.linked(one, other)
        for number in range(200):
            one.service.send(other.node_id, 20, bytes([number]) * (number * 200))
        one.service.send(other.node_id, 21, bytes(MAX_PAYLOAD_BYTES))
        one.service.send(other.node_id, 22, b"")
        await self.until(lambda: len(other.frames()) == 202)
        self.assertEqual([frame[1] for frame in other.frames()], [20] * 200 + [21, 22])
        for number, frame in enumerate(other.frames()[:200]):
            self.assertEqual(frame[2], bytes([number]) * (number * 200))

    async def test_send_to_nobody(self) -> None:
        """Is no error."""
        self.start(Node(1)).service.send(b"\x05" * 32, 20, b"x")

    async def test_full_mesh(self) -> None:
        """Five nodes that all call each other end with one connection a pair."""
        ports = [await self.free_port() for _ in range(5)]
        nodes = [
            self.start(Node(number, tuple(p for p in ports if p != port), port=port))
            for number, port in enumerate(ports, 1)
        ]
        await self.until(
            lambda: all(
                len(node.service.peers()) == 4 and node.connections() == 4 for node in nodes
            )
        )
        for node in nodes:
            up = sum(event[0] == "up" for event in node.told.events)
            down = sum(event[0] == "down" for event in node.told.events)
            self.assertEqual(up - down, 4)

    async def test_both_call_at_once(self) -> None:
        """One connection stays, the one that the lower node id opened; both agree."""
        port = await self.free_port()
        other = self.start(Node(2, (port,)))
        one = self.start(Node(1, (other.port,), port=port))
        await self.linked(one, other)
        seen, shown = one.link(other.node_id), other.link(one.node_id)
        assert seen is not None and shown is not None
        self.assertNotEqual(seen.inbound, shown.inbound)
        one.service.send(other.node_id, 20, b"x")
        await self.until(other.frames)
        self.lines.clear()
        await deferLater(reactor, 5 * connector.MAX_PAUSE_MS / 1000)
        self.assertEqual(self.lines, [], "nobody calls a node that is linked")


class RefusalTests(LoopbackCase):
    """Who does not become a link."""

    async def test_wrong_chain(self) -> None:
        """Both say why, once; nobody is told above; nobody is punished."""
        one = self.start(Node(1))
        other = self.start(Node(2, (one.port,), chain_id=CHAIN[:4] + b"othergen"))
        await self.until(lambda: self.logged(f"no link with 127.0.0.1:{one.port}"))
        first_end = next(line for line in self.lines if "wrong chain" in line)
        self.assertIn(CHAIN[4:].hex(), first_end)
        self.assertIn(b"othergen".hex(), first_end)
        self.lines.clear()
        await self.until(lambda: self.logged("wrong chain"))
        self.assertFalse(self.logged("no link with"), "told once, not at each call")
        self.assertEqual((one.told.events, other.told.events), ([], []))
        self.assertFalse(self.logged("blamed"))

    async def test_self_connection(self) -> None:
        """Found by the nonce; the address is not called again."""
        port = await self.free_port()
        node = self.start(Node(1, (port,), port=port))
        await self.until(lambda: self.logged("is this node itself"))
        await self.until(lambda: node.connections() == 0)
        self.assertEqual(node.told.events, [])
        (loop,) = node.service._connector._loops.values()
        self.assertTrue(loop.called)

    async def test_stake_proof_is_good_on_its_own_link_only(self) -> None:
        """The control comes up; the same bytes on another link are refused and charged."""
        node = self.start(Node(1))
        key = SigningKey(b"\x77" * 32)

        def proof_for(client: RawClient) -> bytes:
            handle = client.tls.getHandle()
            statement = stake_statement(
                CHAIN, SigningKey(b"\xc8" * 32).public, node.node_id, exporter_value(handle)
            )
            return encode(StakeProof(key.public, key.sign(statement)))

        first = await self.raw(node)
        proof = proof_for(first)
        first.greet_as_validator()
        first.say(STAKE_PROOF, proof)
        await self.until(lambda: node.told.events)
        (info,) = node.service.peers()
        self.assertEqual(info.masternode, key.public)
        first.tls.abortConnection()
        await self.until(lambda: node.connections() == 0)

        second = await self.raw(node)
        second.greet_as_validator()
        second.say(STAKE_PROOF, proof)
        await second.lost
        self.assertEqual(goodbyes(second), ["the stake proof does not verify"])
        self.assertEqual([event[0] for event in node.told.events], ["up", "down"])
        self.assertTrue(self.logged(f"blamed {VIOLATION_POINTS}"))

    async def test_garbage_is_charged_until_it_is_banned(self) -> None:
        """The first time it is let go with a reason, then it is not let in any more."""
        node = self.start(Node(1))
        for _ in range(2):
            client = await self.raw(node)
            client.greet()
            await self.until(lambda: node.connections() == len(node.service.peers()) == 1)
            client.write(b"\x07\x00\x00\x00\x14\x02zzzzz")
            await client.lost
            self.assertIn("unknown flags", goodbyes(client)[0])
        client = await self.raw(node)
        await client.lost
        self.assertEqual(goodbyes(client), ["banned"])
        other = await self.raw(node, 201)
        other.greet()
        await self.until(node.service.peers)

    async def test_blame_from_above_bans(self) -> None:
        """The layers above decide what a fault costs."""
        node = self.start(Node(1))
        client = await self.raw(node)
        client.greet()
        await self.until(node.service.peers)
        node.service.blame(client_id(200), 50, "forged vote")
        await client.lost
        self.assertEqual(goodbyes(client), ["banned: forged vote"])

    async def test_oversize_length_ends_the_link_before_any_payload(self) -> None:
        """Four bytes are enough to be refused; nothing is waited for or kept."""
        node = self.start(Node(1))
        client = await self.raw(node)
        client.greet()
        await self.until(node.service.peers)
        client.write(struct.pack("<I", 2**32 - 1))
        await client.lost
        self.assertIn("exceeds", goodbyes(client)[0])
        self.assertTrue(self.logged(f"blamed {VIOLATION_POINTS}"))

    async def test_no_more_inbound_than_there_is_room(self) -> None:
        """One too many ends a link, with a reason; room that becomes free is used again."""
        node = self.start(Node(1, limits=LinkLimits(max_inbound=1)))
        first = await self.raw(node)
        first.greet()
        await self.until(node.service.peers)
        second = await self.raw(node, 201)
        second.greet()
        await self.until(lambda: node.connections() == 1)
        self.assertEqual(goodbyes(first) + goodbyes(second), ["full"])
        for client in (first, second):
            if not client.lost.called:
                client.tls.abortConnection()
        await self.until(lambda: node.connections() == 0)
        third = await self.raw(node, 202)
        third.greet()
        await self.until(node.service.peers)

    async def test_reader_that_stops_is_cut_off(self) -> None:
        """Frames for one that does not read wait up to a bound, then the link ends."""
        node = self.start(Node(1))
        client = await self.raw(node)
        client.greet()
        await self.until(node.service.peers)
        client.tls.pauseProducing()
        with (
            patch.object(peer_module, "MAX_WAITING_BYTES", 1_000_000),
            patch.object(peer_module, "CLOSE_TIMEOUT_MS", 50),
        ):
            for _ in range(1_000):
                node.service.send(client_id(200), 20, bytes(100_000))
                if not node.service.peers():
                    break
            self.assertEqual(node.service.peers(), [])
            await self.until(lambda: node.connections() == 0)
        self.assertTrue(self.logged("reads too slowly"))
        self.assertFalse(self.logged("blamed"))


class LifeTests(LoopbackCase):
    """Starting, losing, stopping."""

    async def test_reconnects_when_the_other_comes_back(self) -> None:
        """After an orderly stop, and after a loss without a word."""
        one = self.start(Node(1))
        port = one.port
        other = self.start(Node(2, (port,)))
        await self.linked(one, other)
        await one.service.stopService()
        await self.until(lambda: not other.service.peers())
        self.assertTrue(self.logged("the peer said: shutting down"))
        again = self.start(Node(1, port=port))
        await self.linked(again, other)
        for peer in list(again.service._links._connections):
            peer._tls.abortConnection()
        await self.until(lambda: not other.service.peers())
        await self.linked(again, other)
        ups = [event for event in other.told.events if event[0] == "up"]
        self.assertEqual(len(ups), 3)

    async def test_calls_until_somebody_answers(self) -> None:
        """A configured peer that is not there yet is reported once and called again."""
        port = await self.free_port()
        other = self.start(Node(2, (port,)))
        await self.until(lambda: self.logged(f"no link with 127.0.0.1:{port}"))
        one = self.start(Node(1, port=port))
        await self.linked(one, other)
        self.assertEqual(sum("no link with" in line for line in self.lines), 1)

    async def test_port_in_use(self) -> None:
        """A clear error from startService, and nothing runs."""
        one = self.start(Node(1))
        other = Node(2, (one.port,), port=one.port)
        error = self.assertRaises(CannotListenError, other.service.startService)
        self.assertIn(str(one.port), str(error))
        self.assertFalse(other.service.running)
        self.assertEqual(other.service._connector._loops, {})

    async def test_stop_waits_until_all_is_closed(self) -> None:
        """Nothing is open afterwards, and each peer was told why."""
        one = self.start(Node(1))
        other = self.start(Node(2, (one.port,)))
        await self.linked(one, other)
        await other.service.stopService()
        self.assertEqual(other.connections(), 0)
        self.assertEqual([event[0] for event in other.told.events], ["up", "down"])
        await self.until(lambda: not one.service.peers())

    async def test_stop_does_not_wait_for_ever(self) -> None:
        """A peer that never answers the close is cut off."""
        node = self.start(Node(1))
        client = await self.raw(node)
        client.greet()
        await self.until(node.service.peers)
        client.tls.pauseProducing()
        with patch.object(peer_module, "CLOSE_TIMEOUT_MS", 50):
            await node.service.stopService()
        self.assertEqual(node.connections(), 0)

    async def test_stop_while_calling(self) -> None:
        """A call that hangs does not outlive the service."""
        node = self.start(Node(1))
        caller = Node(2, (node.port, node.port))
        caller.service.startService()
        await caller.service.stopService()
        self.assertEqual(caller.connections(), 0)
        await self.until(lambda: node.connections() == 0)

    async def test_starts_only_with_a_listener(self) -> None:
        """A network that nobody hears is a mistake in the wiring; two listeners as well."""
        node = Node(1)
        self.assertRaises(RuntimeError, node.service.set_listener, node.told)
        node.service._links.listener = None
        self.assertRaises(RuntimeError, node.service.startService)

    async def test_settings_are_checked(self) -> None:
        """What no peer could read is refused at once."""
        for chain_id, agent in ((bytes(11), "a"), (bytes(12), "a\n"), (bytes(12), "a" * 65)):
            self.assertRaises(ValueError, PeerSettings, chain_id, "127.0.0.1", 0, (), agent)


def client_id(number: int) -> bytes:
    """The node id of ``LoopbackCase.raw``."""
    return SigningKey(bytes([number]) * 32).public


def _network(service: PeerService) -> Network:
    """mypy: the service offers the whole port."""
    return service


def _listener(node: Node) -> LinkListener:
    """mypy: so does the test's listener."""
    return node.told
