"""Catching up from honest peers, and what liars can and cannot do."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Contents, Net, rebody, reseal
from tests.sync.desk import Desk, Rewrite, World
from timecoin.chain.commit import Chain, ForkFound
from timecoin.codec import Wire
from timecoin.ledger.block import Block
from timecoin.machine import LinkUp, Received, TimerFired
from timecoin.sync import machine as sync_machine
from timecoin.sync import serve
from timecoin.sync.events import BlockSynced, BodiesFetched, HistoryRefused, NewTip
from timecoin.sync.messages import Blocks, GetBlocks, TipAnnounce
from timecoin.sync.peers import Peers
from timecoin.sync.requests import KEPT_LATE, Requests

NET = Net()


def long_chain(blocks: int, payments: bool = False) -> Chain:
    chain = NET.chain()
    for height in range(blocks):
        contents = Contents()
        if payments:
            coin = NET.coins(chain, height % 4)[0]
            contents = NET.archive(NET.pay([coin], height % 4), anchor=height)
        NET.grow(chain, contents)
    return chain


LONG = long_chain(12)
PAYING = long_chain(5, payments=True)


def only(kind: type[Wire], change: Rewrite) -> Rewrite:
    """Apply ``change`` to messages of one type."""
    return lambda peer, message: change(peer, message) if type(message) is kind else message


class SyncTests(SynchronousTestCase):
    """One node that is behind, among peers of all sorts."""

    def setUp(self) -> None:
        self.world = World(NET)
        self.late = self.world.desk("late")

    def peer(self, name: str, chain: Chain = LONG) -> Desk:
        desk = self.world.desk(name, chain)
        self.world.link(self.late, desk)
        return desk

    def caught_up(self, chain: Chain = LONG) -> None:
        self.assertEqual(self.late.chain.tip, chain.tip)
        self.assertEqual(self.late.chain.lthash, chain.lthash)
        self.assertFalse(self.late.sync.active)
        self.assertEqual(self.late.changes, [True, False])

    # honest peers

    def test_from_genesis(self) -> None:
        self.peer("honest")
        self.world.run(2_000)
        self.caught_up()
        self.assertEqual(self.late.blamed, [])

    def test_what_others_may_know(self) -> None:
        self.assertEqual(self.late.sync.certified_height, 0)
        honest = self.peer("honest", PAYING)
        honest.serves_bodies = False
        self.assertIsNone(self.late.sync.announced_height(honest.name))
        self.world.run(1_000)
        self.assertTrue(self.late.sync.active)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertEqual(self.late.sync.certified_height, 1, "proved, though not yet connected")
        self.assertEqual(self.late.sync.announced_height(honest.name), 5)
        self.assertIsNone(self.late.sync.announced_height(b"stranger"))
        self.peer("other", PAYING)
        self.world.run(5_000)
        self.caught_up(PAYING)
        self.assertEqual(self.late.sync.certified_height, 5)

    def test_with_bodies(self) -> None:
        self.peer("honest", PAYING)
        self.world.run(2_000)
        self.caught_up(PAYING)

    def test_bodies_from_another_peer(self) -> None:
        self.peer("honest", PAYING).serves_bodies = False
        self.peer("other", PAYING)
        self.world.run(2_000)
        self.caught_up(PAYING)

    def test_bodies_asked_for_again(self) -> None:
        honest = self.peer("honest", PAYING)
        honest.serves_bodies = False
        self.world.run(5_000)
        self.assertTrue(self.late.sync.active)
        self.assertEqual(self.late.chain.tip_height, 0)
        honest.serves_bodies = True
        self.world.run(5_000)
        self.caught_up(PAYING)

    def test_pages_by_bytes(self) -> None:
        self.patch(serve, "PAGE_BYTES", 2_500)
        pages = []
        honest = self.peer("honest")

        def count(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            pages.append(len(message.items))
            return message

        honest.rewrite = only(Blocks, count)
        self.world.run(3_000)
        self.caught_up()
        self.assertEqual(sum(pages), 12)
        self.assertGreater(len(pages), 3)

    def test_a_block_larger_than_a_page(self) -> None:
        self.patch(serve, "PAGE_BYTES", 1)
        self.peer("honest")
        self.world.run(3_000)
        self.caught_up()

    def test_no_more_than_a_page_ahead(self) -> None:
        self.patch(sync_machine, "AHEAD_BLOCKS", 3)
        self.patch(sync_machine, "MAX_BLOCKS", 2)
        longest = 0
        honest = self.peer("honest")

        def measure(peer: bytes, message: Wire) -> Wire:
            nonlocal longest
            longest = max(longest, len(self.late.sync._queue))
            return message

        honest.rewrite = measure
        self.world.run(3_000)
        self.caught_up()
        self.assertLessEqual(longest, 4)

    def test_peer_that_grows_meanwhile(self) -> None:
        chain = long_chain(3)
        honest = self.peer("honest", chain)
        self.world.run(2_000)
        self.assertEqual(self.late.chain.tip_height, 3)
        NET.grow(chain, *[Contents()] * 2)
        honest.deliver(NewTip())
        self.world.run(2_000)
        self.assertEqual(self.late.chain.tip, chain.tip)
        self.assertEqual(self.late.changes, [True, False, True, False])

    def test_one_block_behind_is_left_to_consensus_at_first(self) -> None:
        chain = long_chain(1)
        self.peer("honest", chain)
        self.world.run(900)
        self.assertEqual(self.late.signals, [])
        self.assertEqual(self.late.sync._requests.fetching, False)
        self.world.run(1_000)
        self.caught_up(chain)

    def test_decided_here_in_time(self) -> None:
        chain = long_chain(1)
        self.peer("honest", chain)
        self.world.run(500)
        block, certificate = chain.block(1), chain.certificate(1)
        assert block is not None and certificate is not None
        self.late.chain.commit(self.late.chain.check(block, self.late.find), certificate)
        self.late.deliver(NewTip())
        self.world.run(10_000)
        self.assertEqual(self.late.signals, [])

    def test_decided_here_while_the_same_block_is_fetched(self) -> None:
        chain = long_chain(4)
        honest = self.peer("honest", chain)

        def decide_first(peer: bytes, message: Wire) -> Wire:
            block, certificate = chain.block(1), chain.certificate(1)
            assert block is not None and certificate is not None
            if self.late.chain.tip_height == 0:
                checked = self.late.chain.check(block, self.late.find)
                self.late.chain.commit(checked, certificate)
                self.late.deliver(NewTip())
            return message

        honest.rewrite = only(Blocks, decide_first)
        self.world.run(3_000)
        self.caught_up(chain)

    def test_tips_are_announced_on_links_on_blocks_and_by_time(self) -> None:
        heard: list[TipAnnounce] = []

        def hear(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, TipAnnounce)
            heard.append(message)
            return message

        self.late.rewrite = only(TipAnnounce, hear)
        self.peer("equal", NET.chain())
        self.assertEqual(heard, [TipAnnounce(0, NET.genesis.hash)])
        NET.grow(self.late.chain, Contents())
        self.late.deliver(NewTip())
        self.assertEqual(heard[1:], [TipAnnounce(1, self.late.chain.tip_hash)])
        self.world.run(5_500)
        self.assertEqual(len(heard), 3)
        self.world.run(5_000)
        self.assertEqual(len(heard), 4)

    # lines that fail

    def test_silent_peer_then_an_honest_one(self) -> None:
        silent = self.peer("silent")
        silent.rewrite = only(Blocks, lambda peer, message: None)
        self.peer("honest")
        self.world.run(4_000)
        self.caught_up()
        self.assertEqual(self.late.blamed, [])

    def test_silent_peer_is_charged_and_forgotten(self) -> None:
        silent = self.peer("silent")
        silent.rewrite = only(Blocks, lambda peer, message: None)
        self.world.run(9_500)
        self.assertEqual(
            self.late.blamed, [(silent.name, 5, "announced blocks and delivered none")]
        )
        self.assertFalse(self.late.sync._requests.fetching)
        self.world.run(20_000)
        self.assertEqual(len(self.late.blamed), 1)
        self.assertEqual(self.late.changes, [])

    def test_slow_peer_is_not_charged(self) -> None:
        """Late answers are still taken, whoever is asked by then."""
        slow = self.peer("slow")

        def delay(peer: bytes, message: Wire) -> None:
            self.world.at(4_000, lambda: self.late.deliver(Received(slow.name, message)))

        slow.rewrite = only(Blocks, delay)
        self.world.run(9_000)
        self.assertEqual(self.late.chain.tip, LONG.tip)
        self.assertEqual(self.late.blamed, [])

    def test_link_lost_while_asked(self) -> None:
        gone = self.peer("gone")
        gone.rewrite = only(Blocks, lambda peer, message: None)
        self.peer("honest")
        self.world.run(100)
        self.world.cut(self.late, gone)
        self.world.run(1_500)
        self.caught_up()

    def test_link_lost_while_catching_up(self) -> None:
        """The state ends with the last peer that holds this node in it."""
        honest = self.peer("honest", PAYING)
        honest.serves_bodies = False
        self.world.run(1_000)
        self.assertEqual(self.late.changes, [True])
        self.world.cut(self.late, honest)
        self.world.run(40_000)
        self.assertEqual(self.late.changes, [True, False])

    def test_watchdog(self) -> None:
        """A state without progress ends, whatever the reason."""
        honest = self.peer("honest", PAYING)
        honest.serves_bodies = False
        honest.rewrite = only(Blocks, lambda peer, message: None if self.late.changes else message)
        self.world.run(29_000)
        self.assertEqual(self.late.changes, [True])
        self.world.run(3_000)
        self.assertEqual(self.late.changes, [True, False])
        self.assertFalse(self.late.sync.active)

    def test_slow_after_it_delivered(self) -> None:
        """Who was worth belief once is not charged for silence, only left alone."""
        self.patch(sync_machine, "MAX_BLOCKS", 2)
        tired = self.peer("tired")
        tired.rewrite = only(
            Blocks, lambda peer, message: None if self.late.chain.tip_height else message
        )
        self.world.run(15_000)
        self.assertEqual(self.late.chain.tip_height, 2)
        self.assertEqual(self.late.changes, [True, False])
        self.assertEqual(self.late.blamed, [])

    def test_no_peers_no_announcements(self) -> None:
        honest = self.peer("honest", NET.chain())
        self.world.cut(self.late, honest)
        self.world.run(6_000)
        self.assertEqual(self.late.timers, {})

    # liars

    def test_announcement_alone_changes_nothing(self) -> None:
        liar = self.peer("liar", NET.chain())
        self.late.deliver(Received(liar.name, TipAnnounce(2**64 - 1, bytes(32))))
        self.world.run(1_000)
        self.assertEqual(self.late.changes, [])
        self.assertEqual(
            self.late.blamed, [(liar.name, 10, "announced a block that it does not have")]
        )
        self.late.deliver(Received(liar.name, TipAnnounce(2**64 - 1, bytes(32))))
        self.world.run(1_000)
        self.assertEqual(len(self.late.blamed), 1, "a liar is not asked again for a while")

    def bent(self, change: Rewrite, points: int = 20) -> None:
        """A liar is charged, nobody is misled, an honest peer brings the truth."""
        liar = self.peer("liar")
        liar.rewrite = only(Blocks, change)
        self.world.run(1_000)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertEqual([b[:2] for b in self.late.blamed], [(liar.name, points)])
        self.assertEqual(self.late.changes, [])
        self.peer("honest")
        self.world.run(2_000)
        self.caught_up()

    def with_items(self, message: Wire, items: list[object]) -> Wire:
        return msgspec.structs.replace(message, items=tuple(items))

    def with_first(self, message: Wire, block: Block) -> Wire:
        assert isinstance(message, Blocks)
        certificate = msgspec.structs.replace(message.items[0][1], block_hash=block.hash)
        return self.with_items(message, [(block, certificate)])

    def test_certificate_without_quorum(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            block = message.items[0][0]
            return self.with_items(message, [(block, NET.finalize(block, voters=1))])

        self.bent(change)

    def test_certificate_of_the_wrong_block(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            block = reseal(message.items[0][0], timestamp_ms=1)
            return self.with_items(message, [(block, message.items[0][1])])

        self.bent(change)

    def test_forged_block(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            return self.with_first(message, reseal(message.items[0][0], timestamp_ms=1))

        self.bent(change)

    def test_body_under_a_true_header(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            block = message.items[0][0]
            other = rebody(block, evidence=(b"x",)).body
            return self.with_first(message, Block(block.header, other))

        self.bent(change)

    def test_heights_with_a_gap(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            return self.with_items(message, [message.items[0], message.items[2]])

        self.bent(change)

    def test_blocks_that_do_not_follow_each_other(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            block = reseal(message.items[1][0], prev_hash=bytes(32))
            certificate = NET.finalize(block)
            return self.with_items(message, [message.items[0], (block, certificate)])

        self.bent(change)

    def test_more_than_asked_for(self) -> None:
        self.patch(sync_machine, "MAX_BLOCKS", 2)
        blocks = [(LONG.block(height), LONG.certificate(height)) for height in range(1, 4)]
        self.bent(lambda peer, message: self.with_items(message, list(blocks)))

    def test_other_blocks_than_asked_for(self) -> None:
        item = (LONG.block(3), LONG.certificate(3))
        self.bent(lambda peer, message: self.with_items(message, [item]))

    def test_nothing(self) -> None:
        self.bent(lambda peer, message: self.with_items(message, []), points=10)

    def test_good_blocks_then_a_forged_one(self) -> None:
        """What holds is kept, and the state ends when nobody honest is ahead."""
        liar = self.peer("liar")

        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Blocks)
            block = reseal(message.items[3][0], timestamp_ms=1)
            forged = (block, NET.finalize(block, voters=1))
            return self.with_items(message, [*message.items[:3], forged])

        liar.rewrite = only(Blocks, change)
        self.world.run(2_000)
        self.assertEqual(self.late.chain.tip_height, 3)
        self.assertEqual(self.late.changes, [True, False])
        self.assertEqual([b[:2] for b in self.late.blamed], [(liar.name, 20)])

    def test_nothing_is_kept_of_a_liar(self) -> None:
        """A block that waits for bodies goes with the word of the one who sent it."""
        self.patch(sync_machine, "MAX_BLOCKS", 2)
        liar = self.peer("liar", PAYING)
        liar.serves_bodies = False

        def change(peer: bytes, message: Wire) -> Wire:
            return self.with_items(message, []) if self.late.changes else message

        liar.rewrite = only(Blocks, change)
        self.world.run(500)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertEqual([b[:2] for b in self.late.blamed], [(liar.name, 10)])
        self.assertEqual(self.late.sync._missing, {})
        self.assertEqual(self.late.sync._queued_bytes, 0)

    def test_answers_to_nothing(self) -> None:
        stranger = self.peer("stranger", NET.chain())
        self.late.deliver(Received(stranger.name, Blocks(7, ())))
        self.assertEqual([b[:2] for b in self.late.blamed], [(stranger.name, 5)])

    def test_answer_to_anothers_question(self) -> None:
        silent = self.peer("silent")
        silent.rewrite = only(Blocks, lambda peer, message: None)
        stranger = self.peer("stranger", NET.chain())
        self.world.run(100)
        request = next(iter(self.late.sync._requests._open))
        self.late.deliver(Received(stranger.name, Blocks(request, ())))
        self.assertEqual([b[:2] for b in self.late.blamed], [(stranger.name, 5)])
        self.assertTrue(self.late.sync._requests.fetching)

    # history that cannot be followed

    def test_certified_block_against_the_rules(self) -> None:
        """Nobody is charged: the members signed it. The operator is told, and not too often."""
        chain = long_chain(3)
        honest = self.peer("honest", chain)
        block = reseal(chain.block(1), slot_time=1)  # type: ignore[arg-type]
        certificate = NET.finalize(block)

        def change(peer: bytes, message: Wire) -> Wire:
            return self.with_items(message, [(block, certificate)])

        honest.rewrite = only(Blocks, change)
        self.world.run(20_000)
        self.assertEqual(
            [(s.height, s.rule) for s in self.late.seen(HistoryRefused)],  # type: ignore[attr-defined]
            [(1, "bad-slot-time")],
        )
        self.assertEqual(self.late.changes, [True])
        self.assertEqual(self.late.blamed, [])
        self.assertEqual(self.late.chain.tip_height, 0)

    def test_fork_at_our_tip_seen_from_the_announcement(self) -> None:
        ours = NET.make(self.late.chain, member=1)
        self.late.chain.commit(ours, NET.finalize(ours.block))
        other = long_chain(1)
        self.peer("other", other)
        self.world.run(1_000)
        self.assertEqual(len(self.late.seen(ForkFound)), 1)
        self.assertEqual(self.late.chain.fork_height, 1)
        self.assertEqual(self.late.chain.tip_hash, ours.block.hash)

    def test_fork_below_longer_history(self) -> None:
        ours = NET.make(self.late.chain, member=1)
        self.late.chain.commit(ours, NET.finalize(ours.block))
        self.peer("other")
        self.world.run(1_000)
        self.assertEqual(len(self.late.seen(ForkFound)), 1)
        asked: list[Wire] = []

        def count(peer: bytes, message: Wire) -> None:
            asked.append(message)

        self.late.rewrite = only(GetBlocks, count)
        self.world.run(60_000)
        self.assertEqual(asked, [], "a forked chain takes no more blocks")
        self.assertEqual(len(self.late.seen(ForkFound)), 1)
        self.assertEqual(self.late.seen(BlockSynced), [])
        self.assertEqual(self.late.seen(HistoryRefused), [])
        self.assertFalse(self.late.sync.active)
        self.assertFalse(self.late.sync._requests.fetching)

    def test_one_probe_at_a_time(self) -> None:
        NET.grow(self.late.chain, *[Contents()] * 2)
        silent = self.peer("silent", NET.chain())
        asked: list[Wire] = []

        def count(peer: bytes, message: Wire) -> None:
            asked.append(message)

        self.late.rewrite = only(GetBlocks, count)
        for height in (1, 2, 1):
            self.late.deliver(Received(silent.name, TipAnnounce(height, bytes(32))))
        self.assertEqual(len(asked), 1)

    def test_claimed_fork_without_proof(self) -> None:
        NET.grow(self.late.chain, *[Contents()] * 2)
        liar = self.peer("liar", self.late.chain)
        liar.rewrite = only(TipAnnounce, lambda peer, message: TipAnnounce(1, bytes(32)))
        self.world.run(100)
        liar.deliver(TimerFired(("announce",)))
        self.world.run(1_000)
        self.assertIsNone(self.late.chain.fork_height)
        self.assertEqual(self.late.blamed, [(liar.name, 10, "announced a block hash in vain")])
        forged = self.peer("forger", self.late.chain)
        forged.rewrite = only(Blocks, self.forge)
        self.late.deliver(Received(forged.name, TipAnnounce(1, bytes(32))))
        self.world.run(1_000)
        self.assertEqual(self.late.blamed[1:][0][:2], (forged.name, 20))
        self.assertIsNone(self.late.chain.fork_height)

    def forge(self, peer: bytes, message: Wire) -> Wire:
        assert isinstance(message, Blocks)
        return self.with_first(message, reseal(message.items[0][0], timestamp_ms=1))


class ServeTests(SynchronousTestCase):
    """What is given out."""

    def page(self, first: int, count: int) -> list[int]:
        page = serve.page_of(LONG, GetBlocks(9, first, count))
        self.assertEqual(page.request, 9)
        for block, certificate in page.items:
            self.assertEqual(block.hash, certificate.block_hash)
        return [block.height for block, _ in page.items]

    def test_ranges(self) -> None:
        self.assertEqual(self.page(1, 3), [1, 2, 3])
        self.assertEqual(self.page(11, 100), [11, 12])
        self.assertEqual(self.page(13, 1), [])
        self.assertEqual(self.page(2**64 - 1, 100), [])
        self.assertEqual(self.page(0, 5), [], "genesis is no block")


class BookTests(SynchronousTestCase):
    """The small books that the machine keeps."""

    def test_late_requests_are_bounded(self) -> None:
        requests = Requests()
        opened = [requests.new(b"p", 1, 1) for _ in range(KEPT_LATE + 2)]
        for request in opened:
            self.assertEqual(requests.late(request.number), request)
        self.assertIsNone(requests.answered(b"p", opened[0].number))
        self.assertIsNone(requests.answered(b"p", opened[1].number))
        self.assertEqual(requests.answered(b"p", opened[2].number), opened[2])
        self.assertIsNone(requests.answered(b"p", opened[2].number))

    def test_failures_in_a_row(self) -> None:
        peers = Peers()
        peers.add(b"p")
        self.assertEqual([peers.failed(b"p") for _ in range(2)], [False, False])
        peers.answered(b"p")
        self.assertEqual([peers.failed(b"p") for _ in range(3)], [False, False, True])

    def test_ranking(self) -> None:
        peers = Peers()
        for name, announced in ((b"a", 5), (b"b", 7), (b"c", 7), (b"d", 9), (b"e", 3)):
            peers.add(name)
            record = peers.get(name)
            assert record is not None
            record.height = announced
        peers.failed(b"d")
        peers.forget(b"b", 1_000)
        self.assertEqual(peers.ranked(4, 1_000), (b"c", b"a", b"d"))
        self.assertEqual(peers.ranked(8, 1_000), (b"d",))
        self.assertEqual(peers.ranked(10, 1_000), ())


ITEMS = [(LONG.block(height), LONG.certificate(height)) for height in range(1, 5)]
PEERS = [bytes([number]) * 32 for number in range(3)]
height = st.one_of(st.integers(0, 14), st.just(2**64 - 1))
message = st.one_of(
    st.builds(TipAnnounce, height, st.sampled_from([bytes(32), LONG.tip.hash, NET.genesis.hash])),
    st.builds(GetBlocks, st.integers(0, 9), height, st.integers(1, 100)),
    st.builds(
        Blocks,
        st.integers(0, 9),
        st.lists(st.sampled_from(ITEMS), max_size=4).map(tuple),
    ),
    st.builds(
        Blocks,
        st.integers(0, 9),
        st.integers(0, 4).map(lambda count: tuple(ITEMS[:count])),
    ),
)
event = st.one_of(
    st.builds(Received, st.sampled_from(PEERS), message),
    st.builds(Received, st.sampled_from(PEERS), message),
    st.sampled_from(
        [
            NewTip(),
            BodiesFetched((bytes(32),)),
            *[
                TimerFired(name)
                for name in (
                    ("announce",),
                    ("near",),
                    ("bodies",),
                    ("stuck",),
                    ("late", 1),
                    ("late", 2),
                    ("late",),
                    ("else",),
                )
            ],
        ]
    ),
)


class FuzzTests(SynchronousTestCase):
    """Any messages in any order: no exception, no wrong block, and the truth gets through."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(event, max_size=40), st.randoms(use_true_random=False))
    def test_noise(self, events: list[object], rng: random.Random) -> None:
        world = World(NET)
        late = world.desk("late")
        for peer in PEERS:
            world.desks[peer] = world.desk("mute", NET.chain())
            late.links.append(peer)
            late.deliver(LinkUp(peer, None))
        for item in events:
            late.deliver(item)
            world.run(rng.choice([0, 0, 5, 400, 3_500]))
            tip = late.chain.tip
            self.assertEqual(tip.hash, LONG.block_hash(tip.height))
            self.assertEqual(late.changes, [bool(i % 2 == 0) for i in range(len(late.changes))])
            self.assertLess(len(late.sync._requests._open), 5)
        honest = world.desk("honest", LONG)
        world.link(late, honest)
        world.run(120_000)
        self.assertEqual(late.chain.tip, LONG.tip)
        self.assertFalse(late.sync.active)
