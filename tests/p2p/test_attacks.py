"""The attack table of the peer network: each fault by its number, and what is seen under it.

Those that need a chain or votes stand with the machines that judge them; here is what one link, or
many, can do to the node as a whole.
"""

from __future__ import annotations

import struct
import tracemalloc
from unittest.mock import patch

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.loopback import LoopbackCase, Node
from tests.p2p.records import record
from tests.p2p.wire import CHAIN, FakeRemote, Rows, Told, local_end, make_links
from timecoin.codec import decode, encode
from timecoin.node.catalog import KIND_OF, KIND_RULES
from timecoin.p2p import links as links_module
from timecoin.p2p import peer as peer_module
from timecoin.p2p.allowance import KindRule, RateLimits
from timecoin.p2p.framing import MAX_PAYLOAD_BYTES, encode_frame
from timecoin.p2p.inbound import DoorLimits
from timecoin.p2p.incoming import TOKENS_A_TURN
from timecoin.p2p.links import LinkLimits
from timecoin.p2p.messages import ADDRESSES, GOODBYE, HELLO, PING, Addresses, Goodbye, Hello, Ping
from timecoin.p2p.peer import FRAME_TIMEOUT_MS, SLOW_READER_MS, Peer
from timecoin.p2p.session import HELLO_TIMEOUT_MS, PING_INTERVAL_MS
from timecoin.params import PROTOCOL_VERSION
from timecoin.sync.messages import GetHeaders

OWN = b"\x01" * 32
ASK, VOTE = KIND_OF[GetHeaders], 50
LIMITS = LinkLimits(
    rates=RateLimits(
        disk_per_minute=100,
        disk_burst=100,
        work_per_minute=6_000,
        work_burst=1_000,
        kinds={ASK: KindRule(reads_disk=True)},
    )
)


def numbered_votes(count: int) -> list[bytes]:
    """So many frames, each another."""
    return [encode_frame(VOTE, number.to_bytes(2, "big")) for number in range(count)]


class LinkCase(SynchronousTestCase):
    """One node on transports that record, with a clock that the test turns."""

    def setUp(self) -> None:
        """Nobody is linked."""
        self.clock = Clock()
        self.told = Told()
        self.begin(LIMITS)

    def begin(self, limits: LinkLimits) -> None:
        """A node with these limits."""
        self.links = make_links(self.clock, local_end(OWN), limits, Rows())
        self.links.listener = self.told

    def connect(self, number: int = 9) -> FakeRemote:
        """A TCP connection of somebody."""
        seed = number.to_bytes(2, "big") * 16
        return FakeRemote(Peer(self.links, inbound=True), seed, number)

    def link(self, number: int = 9) -> FakeRemote:
        """A link."""
        remote = self.connect(number)
        remote.greet()
        remote.heard()
        return remote

    def frames_of(self, remote: FakeRemote) -> int:
        """How many of its frames have come through to the layers above."""
        return sum(event[:2] == ("frame", remote.node_id) for event in self.told.events)

    def last_words(self, remote: FakeRemote) -> str:
        """Why its link was ended."""
        frame = remote.heard()[-1]
        self.assertEqual(frame.kind, GOODBYE)
        return decode(frame.payload, Goodbye, 512).reason

    def score(self, remote: FakeRemote) -> int:
        """What is held against it."""
        return self.links.memory.reputation.score(remote.node_id, 0)

    def assert_unharmed(self, remote: FakeRemote) -> None:
        """It is linked, and its frames come through."""
        before = self.frames_of(remote)
        remote.say(VOTE, b"x")
        self.assertEqual(self.frames_of(remote), before + 1)


class SlownessTests(LinkCase):
    """F24: slow ones are let go, never banned."""

    def test_f24_slowloris_before_the_hello(self) -> None:
        """A byte now and then buys no time."""
        remote = self.connect()
        remote.secure()
        hello = encode_frame(HELLO, encode(Hello(CHAIN, PROTOCOL_VERSION, "s", 1, 0, 0, 3)))
        for at in range(HELLO_TIMEOUT_MS // 1000 - 1):
            remote.peer.dataReceived(hello[at : at + 1])
            self.clock.advance(1)
            self.assertNotIn("lose", remote.transport.calls)
        self.clock.advance(1)
        self.assertIn("no hello", self.last_words(remote))
        self.assertEqual(self.score(remote), 0)

    def test_f24_slowloris_within_a_frame(self) -> None:
        """One frame has two minutes, however alive the link looks."""
        remote = self.link()
        remote.peer.dataReceived(struct.pack("<IBB", MAX_PAYLOAD_BYTES + 2, VOTE, 0))
        seconds = 0
        while "lose" not in remote.transport.calls:
            self.clock.advance(10)
            seconds += 10
            remote.peer.dataReceived(b"x")
        slack_s = PING_INTERVAL_MS // 1000 + 10
        self.assertTrue(FRAME_TIMEOUT_MS <= seconds * 1000 <= FRAME_TIMEOUT_MS + slack_s * 1000)
        self.assertIn("one message took", self.last_words(remote))
        self.assertEqual(self.score(remote), 0)

    def test_f24_half_open_tls(self) -> None:
        """Handshakes that are never finished end after ten seconds; nobody is blamed."""
        remotes = [self.connect(number) for number in range(20, 40)]
        self.clock.advance(HELLO_TIMEOUT_MS / 1000)
        for remote in remotes:
            self.assertIn("lose", remote.transport.calls)
            remote.hang_up()
        self.assertEqual(list(self.links._connections), [])

    def test_f24_reader_that_stops(self) -> None:
        """Frames wait for a minute, then it is let go; what waited is forgotten."""
        remote = self.link()
        producer = remote.transport.producer
        producer.pauseProducing()  # type: ignore[attr-defined]
        self.links.send(remote.node_id, VOTE, bytes(100_000))
        self.assertEqual(sum(self.links._held.values()), 100_006)
        waited = 0
        while "lose" not in remote.transport.calls:
            self.clock.advance(5)
            waited += 5
            remote.peer.dataReceived(b"")  # alive, but not reading
        self.assertGreaterEqual(waited * 1000, SLOW_READER_MS)
        self.assertLessEqual(waited * 1000, SLOW_READER_MS + PING_INTERVAL_MS + 5_000)
        self.assertEqual((self.score(remote), self.links._held), (0, {}))


class FloodTests(LinkCase):
    """F25: floods are delayed; others notice nothing, and nobody is banned for them."""

    def test_f25_request_flood(self) -> None:
        """A hundred requests for the disk at once, then one each 0.6 seconds."""
        greedy, honest = self.link(9), self.link(10)
        for _ in range(300):
            greedy.say(ASK, b"x")
        # The one that overdrew is answered; those behind it wait.
        self.assertEqual(self.frames_of(greedy), 101)
        self.assertEqual(greedy.transport.calls[-1], "pause")
        self.assert_unharmed(honest)
        for _ in range(60):
            self.clock.advance(0.5)
            self.assertLessEqual(self.frames_of(greedy), 102 + self.clock.seconds() / 0.6)
        self.assertGreaterEqual(self.frames_of(greedy), 148)
        self.assertEqual(self.score(greedy), 0)
        self.assertEqual(len(self.links.infos()), 2)

    def test_f25_message_flood(self) -> None:
        """All of it comes through in time, in order."""
        noisy, honest = self.link(9), self.link(10)
        delays: list[int] = []
        self.patch(self.links, "delayed", lambda peer, pause_ms: delays.append(pause_ms))
        for number in range(3_000):
            noisy.say(VOTE, number.to_bytes(2, "big"))
        self.assertLess(self.frames_of(noisy), 1_100)
        self.assertEqual(len(delays), 1)
        self.assert_unharmed(honest)
        for _ in range(300):
            self.clock.advance(0.1)
            honest.say(PING, encode(Ping(1)))
        payloads = [e[3] for e in self.told.events if e[:2] == ("frame", noisy.node_id)]
        self.assertEqual(payloads, [number.to_bytes(2, "big") for number in range(3_000)])
        self.assertEqual(self.score(noisy), 0)

    def test_f25_many_strangers_are_heard_in_turns(self) -> None:
        """A few frames of each; staked ones need not wait, and an honest stranger for one round."""
        self.begin(LinkLimits())
        staked, honest = self.link(9), self.link(10)
        noisy = [self.link(number) for number in range(20, 40)]
        self.links.is_staked = lambda peer: peer is staked.peer  # type: ignore[method-assign]
        for remote in noisy:
            remote.peer.dataReceived(b"".join(numbered_votes(1_000)))
        self.assertEqual(sum(map(self.frames_of, noisy)), TOKENS_A_TURN, "others wait already")
        self.assertEqual([remote.transport.calls[-1] for remote in noisy], ["pause"] * 20)
        honest.say(VOTE, b"honest")
        self.assertEqual(self.frames_of(honest), 0)
        self.assert_unharmed(staked)
        self.told.events.clear()
        self.clock.advance(0)
        before = self.told.events.index(("frame", honest.node_id, VOTE, b"honest"))
        self.assertEqual(before, len(noisy) * TOKENS_A_TURN)
        self.assertEqual([self.frames_of(remote) for remote in noisy[1:]], [1_000] * 19)
        payloads = [e[3] for e in self.told.events if e[1] == noisy[1].node_id]
        self.assertEqual(payloads, [number.to_bytes(2, "big") for number in range(1_000)])
        self.assertEqual([remote.transport.calls[-1] for remote in noisy], ["resume"] * 20)
        self.assert_unharmed(honest)

    def test_f25_strangers_together_have_a_share(self) -> None:
        """What is above it waits as long as it takes; staked ones pay from other buckets."""
        self.begin(LinkLimits(rates=RateLimits(strangers_per_minute=60_000, strangers_burst=100)))
        staked = self.link(9)
        noisy = [self.link(number) for number in range(20, 24)]
        self.links.is_staked = lambda peer: peer is staked.peer  # type: ignore[method-assign]
        for remote in noisy:
            remote.peer.dataReceived(b"".join(numbered_votes(500)))
        heard = 0
        for _ in range(15):
            self.clock.advance(0.1)
            before, heard = heard, sum(map(self.frames_of, noisy))
            self.assertLessEqual(heard - before, 100 + 2 * TOKENS_A_TURN)
            counts = [self.frames_of(remote) for remote in noisy]
            self.assertLessEqual(max(counts) - min(counts), 2 * TOKENS_A_TURN)
            self.assert_unharmed(staked)
        self.assertGreater(heard, 1_400)
        for _ in range(10):
            self.clock.advance(0.1)
        self.assertEqual([self.frames_of(remote) for remote in noisy], [500] * 4)
        self.assertEqual(len(self.links.infos()), 5)

    def test_f25_who_waits_for_its_turn_may_go(self) -> None:
        first, second = self.link(9), self.link(10)
        for remote in (first, second):
            remote.peer.dataReceived(b"".join(numbered_votes(200)))
        second.hang_up()
        first.peer.close("enough")
        self.assertEqual(first.transport.calls[-3:], ["resume", "unregister", "lose"])
        self.clock.advance(0)
        self.assertEqual((self.frames_of(first), self.frames_of(second)), (TOKENS_A_TURN, 0))
        self.assertEqual(len(self.links.turns), 0)

    def test_f25_who_is_not_read_from_is_not_silent(self) -> None:
        """Its pongs are behind what waits: the pause is ours."""
        noisy = self.link()
        noisy.say(VOTE, bytes(64 * 100_000))
        self.assertEqual(noisy.transport.calls[-1], "pause")
        noisy.peer.dataReceived(encode_frame(VOTE, b"later"))
        for _ in range(9):
            self.clock.advance(1)
        self.assertNotIn("lose", noisy.transport.calls)
        self.assertEqual(self.frames_of(noisy), 1)
        self.clock.advance(1.1)
        self.assertEqual(self.frames_of(noisy), 2)

    def test_f25_connections_of_one_network(self) -> None:
        """Beyond the burst they are not even accepted; others are."""
        self.begin(LinkLimits(door=DoorLimits(connects_per_minute=60, connects_burst=20)))
        taken = [self.links.lets_in(bytes((8, 8, n, 1))) for n in range(100)]
        self.assertEqual(taken, [True] * 20 + [False] * 80)
        self.assertTrue(self.links.lets_in(bytes((9, 8, 8, 8))))

    def test_f25_connections_of_many_networks(self) -> None:
        """Handshakes cost: members come in still, and those that this node calls itself."""
        self.begin(LinkLimits(door=DoorLimits(all_per_minute=60, all_burst=20)))
        member, called = bytes((7, 7, 7, 7)), bytes((6, 6, 6, 6))
        for number, inbound, host in ((30, True, "7.7.7.7"), (31, False, "6.6.6.6")):
            remote = FakeRemote(Peer(self.links, inbound), bytes((number,)) * 32, 2, host)
            self.links.is_staked = lambda peer: peer.host == member  # type: ignore[method-assign]
            remote.greet()
            remote.hang_up()
        taken = [self.links.lets_in(bytes((20 + n, n, n, 1))) for n in range(100)]
        self.assertEqual(taken, [True] * 20 + [False] * 80)
        self.assertTrue(self.links.lets_in(member))
        self.assertTrue(self.links.lets_in(called))

    def test_f26_inbound_slots(self) -> None:
        """A flood of new keys drives out newcomers, not the peers that were there."""
        self.begin(LinkLimits(max_inbound=60))
        known = []
        for number in range(40):
            seed = (300 + number).to_bytes(2, "big") * 16
            remote = FakeRemote(Peer(self.links, True), seed, 2, f"{20 + number}.1.1.1")
            remote.greet()
            known.append(remote)
            self.clock.advance(0.1)
        for number in range(200):
            self.link(1_000 + number)
            self.clock.advance(0.01)
        linked = [info.node_id for info in self.links.infos()]
        self.assertEqual(len(linked), 60)
        kept = sum(remote.node_id in linked for remote in known)
        self.assertGreaterEqual(kept, 36, "of 40")


class BombTests(LinkCase):
    """F21, F22: sizes are judged before memory is taken."""

    def test_f21_lengths(self) -> None:
        """4 GiB, one byte too many, 0 and 1: refused by four bytes, and charged."""
        for number, length in enumerate((2**32 - 1, MAX_PAYLOAD_BYTES + 3, 0, 1), 20):
            remote = self.link(number)
            tracemalloc.start()
            remote.peer.dataReceived(struct.pack("<I", length))
            grown = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertLess(grown, 5_000_000)
            self.assertIn("lose", remote.transport.calls)
            self.assertLess(self.score(remote), 0)

    def test_f22_decompression(self) -> None:
        """Only pages may be compressed, and to no more than their bound."""
        self.begin(LinkLimits(rates=RateLimits(kinds={66: KindRule(unpacked_bytes=100_000)})))
        good = self.link(20)
        good.peer.dataReceived(encode_frame(66, bytes(100_000), compressed=True))
        self.assertEqual(self.told.events[-1], ("frame", good.node_id, 66, bytes(100_000)))
        for number, frame in enumerate(
            (
                encode_frame(66, bytes(100_001), compressed=True),
                encode_frame(VOTE, bytes(5_000), compressed=True),
            ),
            21,
        ):
            bomb = self.link(number)
            bomb.peer.dataReceived(frame)
            self.assertIn("lose", bomb.transport.calls)
            self.assertLess(self.score(bomb), 0)

    def test_f25_frames_that_never_end(self) -> None:
        """Many large ones at once: together they have a bound, and staked peers stay longest."""
        self.begin(LinkLimits())
        staked = self.link(19)
        self.links.is_staked = lambda peer: peer is staked.peer  # type: ignore[method-assign]
        hoarders = [self.link(number) for number in range(20, 40)]
        header = struct.pack("<IBB", MAX_PAYLOAD_BYTES, VOTE, 0)
        with patch.object(links_module, "MAX_HELD_BYTES", 1_000_000):
            for remote in (staked, *hoarders):
                remote.peer.dataReceived(header + bytes(300_000))
                self.assertLessEqual(sum(self.links._held.values()), 1_000_000)
        linked = [info.node_id for info in self.links.infos()]
        self.assertEqual(len(linked), 3)
        self.assertIn(staked.node_id, linked)
        self.assertTrue(all(self.score(remote) == 0 for remote in hoarders))


class LiarTests(LinkCase):
    """Forgeries cost."""

    def test_f25_forged_addresses(self) -> None:
        """Two messages of forgeries are a ban."""
        remote = self.link()
        forged = encode(Addresses((record(1, "9.9.9.9", at_s=0, chain_id=bytes(12)),)))
        remote.say(ADDRESSES, forged)
        self.assertEqual(self.score(remote), -25)
        remote.say(ADDRESSES, forged)
        self.assertIn("banned", self.last_words(remote))
        remote.hang_up()
        again = self.connect()
        again.secure()
        self.assertEqual(self.last_words(again), "banned")

    def test_f30_wrong_chain(self) -> None:
        """One clear reason, and no blame: it is somebody else's node."""
        remote = self.connect()
        remote.secure()
        hello = Hello(CHAIN[:4] + b"othergen", PROTOCOL_VERSION, "other", 1, 0, 0, 3)
        remote.say(HELLO, encode(hello))
        self.assertIn("wrong chain", self.last_words(remote))
        self.assertEqual((self.score(remote), self.told.events), (0, []))

    def test_duplicate_identities(self) -> None:
        """A key is one link, however often it connects."""
        remotes = [self.link() for _ in range(30)]
        self.assertEqual(len(self.links.infos()), 1)
        ended = sum("lose" in remote.transport.calls for remote in remotes)
        self.assertEqual(ended, 29)
        ups = [event for event in self.told.events if event[0] == "up"]
        downs = [event for event in self.told.events if event[0] == "down"]
        self.assertEqual(len(ups) - len(downs), 1)


class HonestTests(SynchronousTestCase):
    """What honest nodes send hits no limit."""

    def test_requests_of_the_disk_are_named(self) -> None:
        """Each message that is answered from the disk counts as that."""
        asked = {KIND_OF[kind] for kind in KIND_OF if kind.__name__ in ("GetHeaders", "GetBodies")}
        self.assertEqual(len(asked), 2)
        for kind in asked:
            self.assertTrue(KIND_RULES[kind].reads_disk)


class Mute(Protocol):
    """Connects and says nothing."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Nothing to do."""


class HalfOpenTests(LoopbackCase):
    """F24 on real sockets."""

    async def test_f24_half_open_tls(self) -> None:
        """Others are served meanwhile, and afterwards nothing is left of them."""
        self.patch(peer_module, "HELLO_TIMEOUT_MS", 1_500)
        self.patch(peer_module, "CLOSE_TIMEOUT_MS", 100)
        door = DoorLimits(max_handshakes_of_group=60)
        node = self.start(Node(1, limits=LinkLimits(door=door)))
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", node.port)
        for _ in range(50):
            mute = await endpoint.connect(Factory.forProtocol(Mute))
            assert isinstance(mute, Mute) and mute.transport is not None
            self.addCleanup(mute.transport.loseConnection)
        await self.until(lambda: node.connections() == 50)
        other = self.start(Node(2, (node.port,)))
        await self.until(lambda: other.link(node.node_id))
        await self.until(lambda: node.connections() == 1)
        self.assertFalse(self.logged("blamed"))
