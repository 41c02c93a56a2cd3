"""One connection on a transport that records: order, bounds and time-outs."""

from __future__ import annotations

from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.wire import FakeRemote, Told, local_end, make_links, quiet
from timecoin.codec import decode, encode
from timecoin.p2p import peer as peer_module
from timecoin.p2p.framing import Frame, encode_frame
from timecoin.p2p.messages import GOODBYE, HELLO, PING, PONG, Goodbye, Ping, Pong
from timecoin.p2p.outgoing import Outgoing
from timecoin.p2p.peer import CLOSE_TIMEOUT_MS, Peer
from timecoin.p2p.session import (
    HELLO_TIMEOUT_MS,
    PING_INTERVAL_MS,
    SILENCE_LIMIT_MS,
    VIOLATION_POINTS,
)

OWN, OTHER = b"\x01" * 32, b"\x02" * 32


def goodbye_of(frame: Frame) -> str:
    """The reason of a goodbye."""
    assert frame.kind == GOODBYE
    return decode(frame.payload, Goodbye, 512).reason


class PeerTests(SynchronousTestCase):
    """A connection that the other node opened."""

    def setUp(self) -> None:
        """TCP is up."""
        self.clock = Clock()
        self.links = make_links(self.clock, local_end(OWN))
        self.told = Told()
        self.links.listener = self.told
        self.peer = Peer(self.links, inbound=True)
        self.remote = FakeRemote(self.peer, OTHER)

    def fill(self) -> None:
        """The transport takes no more."""
        producer = self.remote.transport.producer
        assert isinstance(producer, Outgoing)
        producer.pauseProducing()

    def drain(self) -> None:
        """The transport has room."""
        producer = self.remote.transport.producer
        assert isinstance(producer, Outgoing)
        producer.resumeProducing()

    def up(self) -> None:
        """The link is up and nothing is left to read."""
        self.remote.greet()
        self.remote.heard()

    def test_nothing_before_the_handshake(self) -> None:
        """No byte is written on a connection that TLS has not finished; no delay in TCP."""
        self.assertEqual(self.remote.transport.writes, [])
        self.assertEqual(self.remote.transport.calls, ["nodelay True"])

    def test_hello_then_ping(self) -> None:
        """After the handshake a hello, after the peer's hello a ping; the link is up."""
        self.remote.secure()
        self.assertEqual([frame.kind for frame in self.remote.heard()], [HELLO])
        self.assertEqual(self.told.events, [])
        self.remote.greet()
        self.assertEqual(self.told.events, [("up", self.remote.node_id)])
        self.assertEqual(self.remote.heard()[-1].kind, PING)

    def test_no_handshake_in_time(self) -> None:
        """A caller that never finishes TLS is let go, and cut off if it does not go."""
        self.clock.advance(HELLO_TIMEOUT_MS / 1000)
        self.assertEqual(self.remote.transport.calls[-1], "lose")
        self.clock.advance(CLOSE_TIMEOUT_MS / 1000)
        self.assertEqual(self.remote.transport.calls[-1], "abort")
        self.remote.hang_up()
        self.assertTrue(quiet(self.clock))
        self.assertEqual(self.told.events, [])

    def test_no_hello_in_time(self) -> None:
        """The ten seconds include the handshake."""
        self.clock.advance(4)
        self.remote.secure()
        self.clock.advance(5.999)
        self.assertNotIn("lose", self.remote.transport.calls)
        self.clock.advance(0.002)
        self.assertIn("no hello", goodbye_of(self.remote.heard()[-1]))
        self.assertIn("lose", self.remote.transport.calls)

    def test_pings_go_out_by_themselves(self) -> None:
        """The connection wakes its session in time, and shows what it measured."""
        self.up()
        self.clock.advance(PING_INTERVAL_MS / 1000)
        (ping,) = self.remote.heard()
        self.assertEqual(ping.kind, PING)
        self.clock.advance(0.25)
        self.remote.say(PONG, encode(Pong(decode(ping.payload, Ping, 512).number, 0)))
        (info,) = self.links.infos()
        self.assertEqual(info.latency_ms, 250)

    def test_silence(self) -> None:
        """A silent peer is told and let go; above, the link is down."""
        self.up()
        for _ in range(SILENCE_LIMIT_MS // 1000):
            self.clock.advance(1)
        self.assertIn("silent", goodbye_of(self.remote.heard()[-1]))
        self.assertEqual(self.told.events[-1], ("down", self.remote.node_id))

    def test_frames_pass_both_ways_and_are_counted(self) -> None:
        """Bytes and messages by kind."""
        self.up()
        before = self.links.infos()[0]
        self.links.send(self.remote.node_id, 20, b"abc")
        self.remote.say(30, b"defg")
        self.assertEqual(self.remote.heard(), [Frame(20, b"abc")])
        self.assertEqual(self.told.events[-1], ("frame", self.remote.node_id, 30, b"defg"))
        after = self.links.infos()[0]
        self.assertEqual(after.bytes_sent - before.bytes_sent, 9)
        self.assertEqual(after.bytes_received - before.bytes_received, 10)
        self.assertEqual((after.messages_sent[20], after.messages_received[30]), (1, 1))
        self.assertEqual((after.agent, after.height), ("remote/1", 5))
        self.assertEqual(after.address, "192.0.2.7:24200")

    def test_garbage_is_charged_and_ends_the_link(self) -> None:
        """A stream that is no frames: goodbye with the reason, points off, deaf afterwards."""
        self.up()
        self.peer.dataReceived(b"\xff\xff\xff\xff" + encode_frame(20, b"late"))
        self.assertIn("exceeds", goodbye_of(self.remote.heard()[-1]))
        self.assertEqual(self.told.events[-1], ("down", self.remote.node_id))
        self.assertEqual(
            self.links.memory.reputation.score(self.remote.node_id, 0), -VIOLATION_POINTS
        )
        self.remote.say(20, b"later")
        self.assertEqual(self.told.events[-1], ("down", self.remote.node_id))

    def test_large_frames_only_on_a_link_that_is_up(self) -> None:
        """The same length is refused before the hello and fine after it."""
        self.up()
        self.remote.say(20, bytes(100_000))
        self.assertEqual(self.told.events[-1][3], bytes(100_000))
        stranger = FakeRemote(Peer(self.links, inbound=True), b"\x03" * 32)
        stranger.secure()
        stranger.heard()
        stranger.say(20, bytes(100_000))
        self.assertIn("exceeds", goodbye_of(stranger.heard()[-1]))

    def test_close_is_orderly_then_forced(self) -> None:
        """Goodbye, TLS close without a producer in its way, abort after two seconds."""
        self.up()
        self.peer.close("enough")
        self.assertEqual(goodbye_of(self.remote.heard()[-1]), "enough")
        self.assertEqual(self.remote.transport.calls[-2:], ["unregister", "lose"])
        self.links.send(self.remote.node_id, 20, b"")
        self.peer.close("again")
        self.assertEqual(self.remote.heard(), [])
        self.clock.advance(CLOSE_TIMEOUT_MS / 1000)
        self.assertEqual(self.remote.transport.calls[-1], "abort")
        self.remote.hang_up()
        self.assertEqual(self.told.events.count(("down", self.remote.node_id)), 1)
        self.assertTrue(quiet(self.clock))

    def test_lost_connection_leaves_no_timer(self) -> None:
        """Down is told once, and nothing wakes up later."""
        self.up()
        self.remote.hang_up()
        self.assertEqual(self.told.events[-1], ("down", self.remote.node_id))
        self.assertTrue(quiet(self.clock))

    def test_slow_reader_waits_in_order(self) -> None:
        """While the transport is full nothing is written; then all, joined and in order."""
        self.up()
        self.fill()
        for number in range(50):
            self.links.send(self.remote.node_id, 20, bytes([number]))
        self.assertEqual(self.remote.transport.writes, [])
        self.drain()
        self.assertEqual(len(self.remote.transport.writes), 1)
        self.assertEqual([f.payload[0] for f in self.remote.heard()], list(range(50)))
        self.links.send(self.remote.node_id, 20, b"\x32")
        self.assertEqual(self.remote.heard(), [Frame(20, b"\x32")])

    def test_resume_stops_when_the_transport_is_full_again(self) -> None:
        """What waits is handed over in portions."""
        self.up()
        self.fill()
        for _ in range(4):
            self.links.send(self.remote.node_id, 20, bytes(100_000))
        write = self.remote.transport.write

        def write_and_fill(data: bytes) -> None:
            write(data)
            self.fill()

        self.remote.transport.write = write_and_fill  # type: ignore[method-assign]
        self.drain()
        self.assertEqual(len(self.remote.heard()), 2)
        self.drain()
        self.assertEqual(len(self.remote.heard()), 2)

    def test_too_slow_reader_is_cut_off(self) -> None:
        """What waits for one peer is bounded; room that it made counts."""
        self.up()
        with patch.object(peer_module, "MAX_WAITING_BYTES", 10_000):
            for _ in range(5):
                self.fill()
                self.links.send(self.remote.node_id, 20, bytes(9_000))
                self.drain()
            self.assertEqual(len(self.links.infos()), 1)
            self.fill()
            self.links.send(self.remote.node_id, 20, bytes(9_000))
            self.links.send(self.remote.node_id, 20, bytes(9_000))
        self.assertEqual(self.links.infos(), [])
        self.assertEqual(self.told.events[-1], ("down", self.remote.node_id))
        self.assertEqual(self.links.memory.reputation.score(self.remote.node_id, 0), 0)

    def test_frames_above_the_link_only(self) -> None:
        """The layers above cannot speak for the link."""
        self.up()
        self.assertRaises(ValueError, self.links.send, self.remote.node_id, 15, b"")
        self.assertRaises(ValueError, self.links.send, self.remote.node_id, 256, b"")
