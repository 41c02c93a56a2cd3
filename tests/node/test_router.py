"""Frames become messages for the machine that owns them; what is none is charged to its sender."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import Wire, encode
from timecoin.consensus.messages import BlockVote
from timecoin.driver import Driver
from timecoin.gossip.machine import Gossip
from timecoin.gossip.messages import Bundle
from timecoin.machine import Effect, LinkDown, LinkUp, Received, Record, Spread
from timecoin.mempool.messages import GetTransactions
from timecoin.node.catalog import KIND_OF, MESSAGES, Owner
from timecoin.node.router import Messenger, Router
from timecoin.p2p.ports import FIRST_UPPER_KIND, LinkListener, PeerInfo
from timecoin.params import MAX_FRAME_BYTES
from timecoin.signal import Signals
from timecoin.sync.messages import TipAnnounce

A, B, C = (name * 32 for name in (b"a", b"b", b"c"))
STAKED, OTHER = b"s" * 32, b"o" * 32
TIP = TipAnnounce(height=1, hash=bytes(32), first_body=1)


class Links:
    """A network that notes what leaves; sending to ``dead`` ends that link, as a real one may."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, int]] = []
        self.blamed: list[tuple[bytes, str]] = []
        self.dead: bytes | None = None
        self.on_dead: Callable[[], None] = lambda: None

    def send(self, peer: bytes, kind: int, payload: bytes) -> None:
        self.sent.append((peer, kind))
        if peer == self.dead:
            self.on_dead()

    def peers(self) -> list[PeerInfo]:
        return []

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        self.blamed.append((peer, reason))

    def praise(self, peer: bytes, points: int) -> None:
        raise AssertionError("not here")

    def set_listener(self, listener: LinkListener) -> None:
        raise AssertionError("not here")

    def set_height(self, height: int) -> None:
        raise AssertionError("not here")


class Ears:
    """A machine that takes notes."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        self.heard.append(event)
        return []


class NoJournal:
    """Nothing is recorded here."""

    def commit(self, records: Sequence[Record], done: Callable[[], None]) -> None:
        done()


class RouterTests(SynchronousTestCase):
    """One router over four machines."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.links = Links()
        self.messenger = Messenger(self.links, lambda masternode: masternode == STAKED)
        self.gossip = Gossip(KIND_OF)
        self.driver = Driver(
            self.clock,
            NoJournal(),
            self.messenger,
            self.gossip,
            Signals(),
            lambda error: self.fail(str(error)),
        )
        self.machines = {owner: Ears() for owner in Owner}
        self.router = Router(self.driver, self.messenger, self.gossip, self.machines)

    def heard(self, owner: Owner) -> list[object]:
        self.clock.advance(0)
        return self.machines[owner].heard

    def test_a_frame_goes_to_its_owner_only(self) -> None:
        self.router.frame_received(A, KIND_OF[TipAnnounce], encode(TIP))
        self.assertEqual(self.heard(Owner.SYNC), [Received(A, TIP)])
        self.assertEqual(self.heard(Owner.FINALITY), [])

    def test_links_are_told_to_every_machine_before_their_frames(self) -> None:
        self.router.link_up(A, STAKED)
        self.router.frame_received(A, KIND_OF[TipAnnounce], encode(TIP))
        self.router.link_down(A)
        for owner in Owner:
            told = [event for event in self.heard(owner) if not isinstance(event, Received)]
            self.assertEqual(told, [LinkUp(A, STAKED), LinkDown(A)])

    def test_broadcast_knows_the_staked_and_whom_to_skip(self) -> None:
        for peer, masternode in ((A, STAKED), (B, OTHER), (C, None)):
            self.router.link_up(peer, masternode)
        kind = KIND_OF[TipAnnounce]
        self.messenger.broadcast(TIP, staked_only=False, skip=B)
        self.assertEqual(self.links.sent, [(A, kind), (C, kind)])
        self.links.sent.clear()
        self.messenger.broadcast(TIP, staked_only=True, skip=None)
        self.assertEqual(self.links.sent, [(A, kind)])

    def test_a_link_that_ends_while_sending_harms_no_other(self) -> None:
        for peer in (A, B, C):
            self.router.link_up(peer, None)
        self.links.dead = A
        self.links.on_dead = lambda: self.router.link_down(A)
        self.messenger.broadcast(TIP, staked_only=False, skip=None)
        self.assertEqual([peer for peer, _ in self.links.sent], [A, B, C])

    def test_what_was_passed_on_is_not_heard_again(self) -> None:
        vote = BlockVote(1, 1, 0, bytes(32), bytes(32), bytes(64))
        kind, payload = KIND_OF[BlockVote], encode(vote)
        self.router.frame_received(A, kind, payload)
        self.router.frame_received(B, kind, payload)
        self.assertEqual(len(self.heard(Owner.CONSENSUS)), 2)
        self.gossip.spread(Spread(vote), 0)
        self.router.frame_received(C, kind, payload)
        self.assertEqual(len(self.heard(Owner.CONSENSUS)), 2)

    def test_a_bundle_is_taken_apart(self) -> None:
        votes = [BlockVote(1, 1, number, bytes(32), bytes(32), bytes(64)) for number in range(3)]
        items = [(KIND_OF[BlockVote], encode(vote)) for vote in votes]
        self.router.frame_received(A, KIND_OF[Bundle], encode(Bundle(tuple(items))))
        self.assertEqual(self.heard(Owner.CONSENSUS), [Received(A, vote) for vote in votes])
        self.gossip.spread(Spread(votes[1]), 0)
        self.router.frame_received(B, KIND_OF[Bundle], encode(Bundle(tuple(items))))
        again = self.heard(Owner.CONSENSUS)[3:]
        self.assertEqual(again, [Received(B, votes[0]), Received(B, votes[2])])

    def test_only_items_are_bundled(self) -> None:
        inner = encode(Bundle(((KIND_OF[TipAnnounce], encode(TIP)),)))
        for kind, payload in ((KIND_OF[TipAnnounce], encode(TIP)), (KIND_OF[Bundle], inner)):
            self.links.blamed.clear()
            bundle = encode(Bundle(((kind, payload),)))
            self.router.frame_received(A, KIND_OF[Bundle], bundle)
            self.assertEqual(self.links.blamed, [(A, f"kind {kind} in a bundle")])
        self.assertEqual(self.heard(Owner.SYNC), [])

    def test_a_malformed_item_of_a_bundle_is_charged(self) -> None:
        bundle = encode(Bundle(((KIND_OF[BlockVote], b"noise"),)))
        self.router.frame_received(A, KIND_OF[Bundle], bundle)
        self.assertEqual(len(self.links.blamed), 1)
        self.router.frame_received(A, KIND_OF[Bundle], b"noise")
        self.assertEqual(len(self.links.blamed), 2)

    def test_unknown_kind_is_charged(self) -> None:
        self.router.frame_received(A, 255, b"")
        self.assertEqual(self.links.blamed, [(A, "unknown message kind 255")])

    def test_oversize_is_refused_before_it_is_decoded(self) -> None:
        kind = KIND_OF[TipAnnounce]
        self.router.frame_received(A, kind, bytes(MESSAGES[kind].max_bytes + 1))
        ((_, reason),) = self.links.blamed
        self.assertIn("exceed the limit", reason)

    @given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=200))
    def test_noise_is_charged_and_reaches_no_machine(self, kind: int, payload: bytes) -> None:
        self.setUp()
        self.router.frame_received(A, kind, payload)
        heard = [event for owner in Owner for event in self.heard(owner)]
        self.assertEqual(len(heard) + len(self.links.blamed), 1)

    @given(st.data())
    def test_mutated_messages_are_charged_or_canonical(self, data: st.DataObject) -> None:
        self.setUp()
        message: Wire = GetTransactions((b"w" * 32, b"x" * 32))
        good = bytearray(encode(message))
        position = data.draw(st.integers(0, len(good) - 1))
        good[position] ^= data.draw(st.integers(1, 255))
        self.router.frame_received(A, KIND_OF[GetTransactions], bytes(good))
        for event in self.heard(Owner.EXCHANGE):
            assert isinstance(event, Received)
            self.assertEqual(encode(event.message), bytes(good))


class CatalogTests(SynchronousTestCase):
    """Numbers and bounds of messages."""

    def test_every_kind_is_above_the_session_and_fits_a_frame(self) -> None:
        for kind, known in MESSAGES.items():
            self.assertTrue(FIRST_UPPER_KIND <= kind <= 255, kind)
            self.assertLess(known.max_bytes, MAX_FRAME_BYTES, known.type)

    def test_one_number_a_type(self) -> None:
        self.assertEqual(len(KIND_OF), len(MESSAGES))
