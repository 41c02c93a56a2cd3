"""Which connection is the link, who is told, who is banned."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.wire import FakeRemote, Told, local_end, make_links
from timecoin.codec import decode
from timecoin.p2p.links import YOUNG_LINK_MS, LinkLimits
from timecoin.p2p.messages import GOODBYE, HELLO, Goodbye, Hello
from timecoin.p2p.peer import Peer
from timecoin.p2p.reputation import BAN_MS

LOWEST, HIGHEST = bytes(32), b"\xff" * 32
SEED = b"\x02" * 32


class LinksTests(SynchronousTestCase):
    """A table and scripted other nodes."""

    def setUp(self) -> None:
        """Own id is the lowest of all."""
        self.begin(LOWEST)

    def begin(self, own_id: bytes) -> None:
        """An empty table of the node ``own_id``."""
        self.clock = Clock()
        self.links = make_links(self.clock, local_end(own_id), LinkLimits(max_inbound=3))
        self.told = Told()
        self.links.listener = self.told

    def call(self, inbound: bool, nonce: int = 2, seed: bytes = SEED) -> FakeRemote:
        """One more connection, its link established as far as the session goes."""
        remote = FakeRemote(Peer(self.links, inbound), seed, nonce)
        remote.greet()
        return remote

    def last_words(self, remote: FakeRemote) -> str | None:
        """The reason of the goodbye that was said to it, if any."""
        frame = remote.heard()[-1]
        if frame.kind != GOODBYE:
            return None
        return decode(frame.payload, Goodbye, 512).reason

    def check_kept(self, kept: FakeRemote, closed: FakeRemote) -> None:
        """One is the link, the other was told why it is not."""
        self.assertEqual(self.last_words(closed), "duplicate link")
        self.links.send(kept.node_id, 20, b"x")
        self.assertEqual(kept.heard()[-1].kind, 20)
        self.assertEqual(len(self.links.infos()), 1)

    def test_newer_of_one_opener_stays(self) -> None:
        """Twice called by the same side: the newer replaces the older, told as down and up."""
        for inbound in (True, False):
            self.begin(LOWEST)
            older, newer = self.call(inbound), self.call(inbound)
            self.check_kept(newer, older)
            peer = newer.node_id
            self.assertEqual(self.told.events, [("up", peer), ("down", peer), ("up", peer)])
            older.hang_up()
            self.assertEqual(len(self.told.events), 3)

    def test_both_called_and_own_id_is_lower(self) -> None:
        """The connection that this node opened stays, whichever was first."""
        outbound, inbound = self.call(False), self.call(True)
        self.check_kept(outbound, inbound)
        self.assertEqual(len(self.told.events), 1)
        self.begin(LOWEST)
        inbound, outbound = self.call(True), self.call(False)
        self.check_kept(outbound, inbound)

    def test_both_called_and_own_id_is_higher(self) -> None:
        """The connection that the other node opened stays, whichever was first."""
        self.begin(HIGHEST)
        outbound, inbound = self.call(False), self.call(True)
        self.check_kept(inbound, outbound)
        self.begin(HIGHEST)
        inbound, outbound = self.call(True), self.call(False)
        self.check_kept(inbound, outbound)

    def test_restarted_peer_replaces_its_old_link(self) -> None:
        """Another nonce is another process: the old link is dead, whoever opened it."""
        for own_id, first_inbound in ((LOWEST, False), (HIGHEST, True)):
            self.begin(own_id)
            older = self.call(first_inbound, nonce=2)
            newer = self.call(not first_inbound, nonce=3)
            self.check_kept(newer, older)

    def test_refused_duplicate_delivers_nothing(self) -> None:
        """Frames of a connection that is not the link go nowhere."""
        self.call(False)
        refused = self.call(True)
        refused.say(20, b"x")
        self.assertEqual([event[0] for event in self.told.events], ["up"])

    def test_a_young_link_is_not_charged_for_what_the_one_before_it_may_have_caused(self) -> None:
        """Lines that flap for hours would get honest nodes banned."""
        for _ in range(20):
            remote = self.call(True)
            self.links.blame(remote.node_id, 5, "an answer to no question")
            self.clock.advance(YOUNG_LINK_MS / 1000 - 1)
        self.assertEqual(self.links.infos()[0].reputation, 0)
        self.links.blame(remote.node_id, 6, "a forgery")
        self.assertEqual(self.links.infos()[0].reputation, -6)
        self.clock.advance(1)
        self.links.blame(remote.node_id, 5, "an answer to no question")
        self.assertEqual(self.links.infos()[0].reputation, -11)

    def test_blame_bans_and_the_ban_ends(self) -> None:
        """At -50 the link is closed and new ones are refused before the hello, for a day."""
        remote = self.call(True)
        self.assertEqual(self.links.infos()[0].reputation, 0)
        self.links.blame(remote.node_id, 49, "odd")
        (info,) = self.links.infos()
        self.assertEqual(info.reputation, -49)
        self.clock.advance(YOUNG_LINK_MS / 1000)
        self.links.blame(remote.node_id, 1, "odd again")
        self.assertEqual(self.links.infos(), [])
        self.assertIn("odd again", self.last_words(remote) or "")
        remote.hang_up()
        refused = self.call(True)
        self.assertEqual([frame.kind for frame in refused.heard()], [GOODBYE])
        self.assertEqual(self.told.events, [("up", remote.node_id), ("down", remote.node_id)])
        self.clock.advance(BAN_MS / 1000)
        self.assertIsNone(self.links.refusal(remote.node_id, b""))
        self.call(True)
        self.assertEqual(len(self.links.infos()), 1)

    def test_blame_of_someone_gone(self) -> None:
        """Is kept for its return."""
        self.links.blame(SEED, 60, "earlier")
        self.assertEqual(self.links.refusal(SEED, b""), "banned")

    def test_full_house(self) -> None:
        """Inbound links beyond the limit cost one of them, called ones never; the rest stay."""
        called = self.call(False, seed=b"\x08" * 32)
        remotes = [self.call(True, seed=bytes([n]) * 32) for n in range(20, 26)]
        self.assertEqual(sum(info.inbound for info in self.links.infos()), 3)
        self.assertIn(called.node_id, [info.node_id for info in self.links.infos()])
        said = [self.last_words(remote) for remote in remotes]
        self.assertEqual(said.count("full"), 3)

    def test_height_and_port_are_in_later_hellos(self) -> None:
        """A hello carries what is true when it is sent."""
        self.links.height, self.links.listen_port = 41, 24200
        remote = FakeRemote(Peer(self.links, True), SEED)
        remote.secure()
        (frame,) = remote.heard()
        hello = decode(frame.payload, Hello, 512)
        self.assertEqual((frame.kind, hello.height, hello.listen_port), (HELLO, 41, 24200))

    def test_close_all_waits_for_the_last(self) -> None:
        """Fires when every connection, up or not, is gone; at once if there is none."""
        self.successResultOf(self.links.close_all("bye"))
        one, other = self.call(True), FakeRemote(Peer(self.links, True), b"\x09" * 32)
        done = self.links.close_all("bye")
        self.assertEqual(self.last_words(one), "bye")
        one.hang_up()
        self.assertNoResult(done)
        other.hang_up()
        self.successResultOf(done)
