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
from timecoin.chain.headers import CertifiedHeader
from timecoin.codec import Wire
from timecoin.machine import LinkUp, NewTip, Received, TimerFired
from timecoin.mempool.exchange import BodiesFetched, BodiesWanted
from timecoin.store.memory import MemoryEngine
from timecoin.sync import bodies as sync_bodies
from timecoin.sync import headers as sync_headers
from timecoin.sync import serve
from timecoin.sync.events import BlockSynced, HeadersStored, HistoryRefused
from timecoin.sync.messages import BlockBody, Bodies, GetBodies, GetHeaders, Headers, TipAnnounce
from timecoin.sync.peers import Peers
from timecoin.sync.requests import KEPT_LATE, Purpose, Requests

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


def forged_chain(blocks: int) -> Chain:
    """History that the same keys have signed as well, longer or shorter than the true one."""
    chain = NET.chain()
    for _ in range(blocks):
        checked = NET.make(chain, member=1)
        chain.commit(checked, NET.finalize(checked.block))
    return chain


def resealed(item: CertifiedHeader, **changes: object) -> CertifiedHeader:
    """``item`` with header fields changed and a certificate that is one in name only."""
    header = msgspec.structs.replace(item.header, **changes)
    certificate = msgspec.structs.replace(item.certificate, block_hash=header.hash)
    return CertifiedHeader(header, certificate, item.members)


LONG = long_chain(12)
SHORT = long_chain(5)
PAYING = long_chain(5, payments=True)
FORGED, FORGED_SHORT = forged_chain(20), forged_chain(5)


def only(kind: type[Wire], change: Rewrite) -> Rewrite:
    """Apply ``change`` to messages of one type."""
    return lambda peer, message: change(peer, message) if type(message) is kind else message


class SyncTests(SynchronousTestCase):
    """One node that is behind, among peers of all sorts."""

    def setUp(self) -> None:
        self.world = World(NET)
        self.engine = MemoryEngine()
        self.late = self.world.desk("late", NET.chain(self.engine))

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
        self.patch(serve, "BODY_BYTES_MAX", 1)
        self.assertEqual(self.late.sync.certified_height, 0)
        honest = self.peer("honest", PAYING)
        honest.serves_bodies = False
        self.assertIsNone(self.late.sync.announced_height(honest.name))
        self.world.run(1_000)
        self.assertTrue(self.late.sync.active)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertEqual(self.late.sync.certified_height, 5, "proved, though not yet connected")
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
        self.patch(serve, "BODY_BYTES_MAX", 1)
        self.peer("honest", PAYING).serves_bodies = False
        self.peer("other", PAYING)
        self.world.run(2_000)
        self.caught_up(PAYING)

    def test_bodies_asked_for_again(self) -> None:
        self.patch(serve, "BODY_BYTES_MAX", 1)
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
        pages: dict[type[Wire], list[int]] = {Headers: [], Bodies: []}
        honest = self.peer("honest")

        def count(peer: bytes, message: Wire) -> Wire:
            if isinstance(message, Headers | Bodies):
                pages[type(message)].append(len(message.items))
            return message

        honest.rewrite = count
        self.world.run(3_000)
        self.caught_up()
        for sizes in pages.values():
            self.assertEqual(sum(sizes), 12)
            self.assertGreater(len(sizes), 1)

    def test_blocks_larger_than_a_page(self) -> None:
        self.patch(serve, "PAGE_BYTES", 1)
        self.peer("honest")
        self.world.run(3_000)
        self.caught_up()

    def test_transactions_beyond_a_frame_are_fetched_by_themselves(self) -> None:
        self.patch(serve, "BODY_BYTES_MAX", 1)
        self.peer("honest", PAYING)
        self.world.run(3_000)
        self.caught_up(PAYING)
        self.assertEqual(len(self.late.seen(BodiesWanted)), 5)

    def longest_window(self, chain: Chain) -> int:
        """How many bodies wait at most while everything is fetched from one peer."""
        window, longest, deliver = self.late.sync._block_fetch._window, 0, self.late.deliver

        def measure(event: object) -> None:
            nonlocal longest
            deliver(event)
            longest = max(longest, len(window))

        self.patch(self.late, "deliver", measure)
        self.peer("honest", chain)
        self.world.run(3_000)
        self.caught_up(chain)
        return longest

    def test_no_more_than_so_much_ahead(self) -> None:
        self.patch(sync_bodies, "AHEAD_BLOCKS", 3)
        self.assertEqual(self.longest_window(LONG), 3)

    def test_no_more_bytes_than_so_many_ahead(self) -> None:
        self.patch(sync_bodies, "AHEAD_BYTES", 1)
        self.patch(sync_bodies, "MAX_BLOCKS", 2)
        self.assertEqual(self.longest_window(PAYING), 2)

    def test_ranges_of_three_peers_at_a_time(self) -> None:
        self.patch(sync_bodies, "MAX_BLOCKS", 2)
        asked: dict[bytes, int] = {}
        names = {desk.name for desk in (self.peer("a"), self.peer("b"), self.peer("c"))}

        def count(peer: bytes, message: Wire) -> Wire:
            asked[peer] = asked.get(peer, 0) + 1
            return message

        self.late.rewrite = only(GetBodies, count)
        self.world.run(2_000)
        self.caught_up()
        self.assertEqual(asked.keys(), names)

    def test_a_slow_range_is_asked_for_elsewhere(self) -> None:
        """The next block does not wait for one peer while others are idle."""
        self.patch(sync_bodies, "MAX_BLOCKS", 4)
        slow = self.peer("slow")
        slow.rewrite = only(Bodies, lambda peer, message: None)
        self.peer("honest")
        self.world.run(2_900)
        self.assertEqual(self.late.chain.tip, LONG.tip, "before the request is overdue")
        self.assertEqual(self.late.blamed, [])

    def test_pruned_peers_are_asked_for_headers_only(self) -> None:
        pruned = self.peer("pruned")
        pruned.rewrite = only(
            TipAnnounce, lambda peer, message: TipAnnounce(12, LONG.tip.hash, first_body=6)
        )
        pruned.deliver(TimerFired(("announce",)))
        self.world.run(5_000)
        self.assertEqual(self.late.headers.top.height, 12)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertEqual(self.late.blamed, [])
        self.peer("whole")
        self.world.run(2_000)
        self.caught_up()

    def test_headers_outlive_a_restart(self) -> None:
        honest = self.peer("honest")
        honest.rewrite = only(Bodies, lambda peer, message: None)
        self.world.run(1_000)
        again = self.world.desk("late again", NET.chain(self.engine))
        self.assertEqual(again.headers.top.height, 12)
        self.assertEqual(again.chain.tip_height, 0)
        self.assertIsNone(again.chain.block_hash(1), "no block of ours yet")
        honest.rewrite = lambda peer, message: message
        asked = []

        def count(peer: bytes, message: Wire) -> Wire:
            asked.append(message)
            return message

        again.rewrite = only(GetHeaders, count)
        self.world.link(again, honest)
        self.world.run(1_000)
        self.assertEqual(again.chain.tip, LONG.tip)
        self.assertEqual(asked, [])

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
        self.assertFalse(self.late.sync._header_fetch.busy)
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

        honest.rewrite = only(Bodies, decide_first)
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
        self.assertEqual(heard, [TipAnnounce(0, NET.genesis.hash, 1)])
        self.world.run(3_000)
        NET.grow(self.late.chain, Contents())
        self.late.deliver(NewTip())
        self.assertEqual(heard[1:], [TipAnnounce(1, self.late.chain.tip_hash, 1)])
        self.world.run(4_500)
        self.assertEqual(len(heard), 2, "told a moment ago")
        self.world.run(1_000)
        self.assertEqual(len(heard), 3)
        self.world.run(5_000)
        self.assertEqual(len(heard), 4)

    # lines that fail

    def test_silent_peer_then_an_honest_one(self) -> None:
        silent = self.peer("silent")
        silent.rewrite = only(Headers, lambda peer, message: None)
        self.peer("honest")
        self.world.run(4_000)
        self.caught_up()
        self.assertEqual(self.late.blamed, [])

    def test_silent_peer_is_charged_and_forgotten(self) -> None:
        silent = self.peer("silent")
        silent.rewrite = only(Headers, lambda peer, message: None)
        self.world.run(22_000)
        self.assertEqual(
            self.late.blamed, [(silent.name, 5, "announced blocks and delivered none")]
        )
        self.assertFalse(self.late.sync._header_fetch.busy)
        self.world.run(20_000)
        self.assertEqual(len(self.late.blamed), 1)
        self.assertEqual(self.late.changes, [])

    def test_slow_peer_is_not_charged(self) -> None:
        """Late answers are still taken, whoever is asked by then."""
        slow = self.peer("slow")

        def delay(peer: bytes, message: Wire) -> None:
            self.world.at(4_000, lambda: self.late.deliver(Received(slow.name, message)))

        slow.rewrite = lambda peer, message: (
            delay(peer, message) if isinstance(message, Headers | Bodies) else message
        )
        self.world.run(10_000)
        self.assertEqual(self.late.chain.tip, LONG.tip)
        self.assertEqual(self.late.blamed, [])

    def test_who_gives_headers_and_never_a_body_is_charged(self) -> None:
        withholder = self.peer("withholder")
        withholder.rewrite = only(Bodies, lambda peer, message: None)
        self.world.run(22_000)
        self.assertEqual(
            self.late.blamed, [(withholder.name, 5, "announced blocks and delivered none")]
        )
        self.peer("honest")
        self.world.run(3_000)
        self.caught_up()

    def test_link_lost_while_asked(self) -> None:
        gone = self.peer("gone")
        gone.rewrite = only(Headers, lambda peer, message: None)
        self.peer("honest")
        self.world.run(100)
        self.world.cut(self.late, gone)
        self.world.run(1_500)
        self.caught_up()

    def test_link_lost_while_catching_up(self) -> None:
        """The state ends when nobody leads any further."""
        honest = self.peer("honest")
        honest.rewrite = only(Bodies, lambda peer, message: None)
        self.world.run(1_000)
        self.assertEqual(self.late.changes, [True])
        self.world.cut(self.late, honest)
        self.world.run(40_000)
        self.assertEqual(self.late.changes, [True, False])

    def test_watchdog(self) -> None:
        """A state without progress ends, whatever the reason, and begins again with new proof."""
        chain = long_chain(5)
        honest = self.peer("honest", chain)
        honest.rewrite = only(Bodies, lambda peer, message: None)
        self.world.run(29_000)
        self.assertEqual(self.late.changes, [True])
        self.world.run(3_000)
        self.assertEqual(self.late.changes, [True, False])
        self.assertFalse(self.late.sync.active)
        honest.rewrite = lambda peer, message: message
        NET.grow(chain, Contents())
        self.world.run(60_000)
        self.assertEqual(self.late.chain.tip, chain.tip)
        self.assertEqual(self.late.changes[-2:], [True, False])

    def test_slow_after_it_delivered(self) -> None:
        """Who was worth belief once is not charged for silence, only left alone."""
        self.patch(sync_bodies, "MAX_BLOCKS", 2)
        tired = self.peer("tired")
        tired.rewrite = only(
            Bodies, lambda peer, message: None if self.late.chain.tip_height else message
        )
        self.world.run(40_000)
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
        self.late.deliver(Received(liar.name, TipAnnounce(2**64 - 1, bytes(32), 1)))
        self.world.run(1_000)
        self.assertEqual(self.late.changes, [])
        self.assertEqual(
            self.late.blamed, [(liar.name, 10, "announced a block that it does not have")]
        )
        self.late.deliver(Received(liar.name, TipAnnounce(2**64 - 1, bytes(32), 1)))
        self.world.run(1_000)
        self.assertEqual(len(self.late.blamed), 1, "a liar is not asked again for a while")

    def bent(self, kind: type[Wire], change: Rewrite, points: int = 50) -> None:
        """A liar is charged, nobody is misled, an honest peer brings the truth."""
        liar = self.peer("liar")
        liar.rewrite = only(kind, change)
        self.world.run(1_000)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertEqual([b[:2] for b in self.late.blamed], [(liar.name, points)])
        self.assertEqual(self.late.changes, [] if kind is Headers else [True])
        self.peer("honest")
        self.world.run(2_000)
        self.caught_up()

    def with_items(self, message: Wire, items: list[object]) -> Wire:
        return msgspec.structs.replace(message, items=tuple(items))

    def with_first(self, message: Wire, **changes: object) -> Wire:
        """The first header with other fields, certified in name only."""
        assert isinstance(message, Headers)
        return self.with_items(message, [resealed(message.items[0], **changes)])

    def test_certificate_without_quorum(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Headers)
            block = LONG.block(1)
            assert block is not None
            weak = NET.finalize(block, voters=1)
            return self.with_items(
                message, [msgspec.structs.replace(message.items[0], certificate=weak)]
            )

        self.bent(Headers, change)

    def test_longer_history_without_quorums_is_ignored(self) -> None:
        """Twenty blocks that one member alone calls final, told to a node with twelve, and to a
        fresh one."""

        def weaken(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Headers)
            items: list[object] = []
            for item in message.items:
                block = FORGED.block(item.header.height)
                assert block is not None
                weak = NET.finalize(block, voters=1)
                items.append(msgspec.structs.replace(item, certificate=weak))
            return self.with_items(message, items)

        self.peer("honest")
        self.world.run(2_000)
        fresh = self.world.desk("fresh")
        for node in (self.late, fresh):
            forger = self.world.desk("forger", FORGED)
            forger.rewrite = only(Headers, weaken)
            self.world.link(node, forger)
            self.world.run(10_000)
            self.assertEqual([b[:2] for b in node.blamed], [(forger.name, 50)])
            self.assertIsNone(node.chain.fork_height)
        self.caught_up()
        self.assertEqual((fresh.chain.tip_height, fresh.changes), (0, []))

    def test_certificate_of_another_block(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Headers)
            first, second = message.items[:2]
            other = msgspec.structs.replace(first, certificate=second.certificate)
            return self.with_items(message, [other])

        self.bent(Headers, change)

    def test_forged_header(self) -> None:
        self.bent(Headers, lambda peer, message: self.with_first(message, timestamp_ms=1))

    def test_header_of_another_network(self) -> None:
        self.bent(Headers, lambda peer, message: self.with_first(message, chain_id=bytes(12)))

    def test_headers_with_a_gap(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Headers)
            return self.with_items(message, [message.items[0], message.items[2]])

        self.bent(Headers, change)

    def test_more_headers_than_asked_for(self) -> None:
        self.patch(sync_headers, "MAX_HEADERS", 2)
        page = serve.headers_page(LONG, GetHeaders(1, 1, 3))
        self.bent(Headers, lambda peer, message: self.with_items(message, list(page.items)))

    def test_other_headers_than_asked_for(self) -> None:
        item = serve.headers_page(LONG, GetHeaders(1, 3, 1)).items[0]
        self.bent(Headers, lambda peer, message: self.with_items(message, [item]))

    def test_no_headers(self) -> None:
        self.bent(Headers, lambda peer, message: self.with_items(message, []), points=10)

    def test_history_of_another_genesis(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            return self.with_first(message, prev_hash=bytes(32))

        self.bent(Headers, change)

    def test_body_of_another_block(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Bodies)
            block = LONG.block(1)
            assert block is not None
            other = rebody(block, evidence=(b"x",)).body
            return self.with_items(message, [BlockBody(other, ())])

        self.bent(Bodies, change)

    def test_a_transaction_of_no_entry(self) -> None:
        coin = NET.coins(self.late.chain, 0)[0]

        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Bodies)
            return self.with_items(
                message, [BlockBody(message.items[0].body, (NET.pay([coin], 1),))]
            )

        self.bent(Bodies, change)

    def test_more_bodies_than_asked_for(self) -> None:
        page = serve.bodies_page(LONG, GetBodies(1, 1, 12, True))
        more = [*page.items, page.items[0]]
        self.bent(Bodies, lambda peer, message: self.with_items(message, list(more)))

    def test_no_bodies(self) -> None:
        self.bent(Bodies, lambda peer, message: self.with_items(message, []), points=10)

    def test_good_headers_then_a_forged_one(self) -> None:
        """Headers are taken part by part: what was checked is kept."""
        self.patch(sync_headers, "TURN_SIGNATURES", 9)
        liar = self.peer("liar")

        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Headers)
            forged = resealed(message.items[3], timestamp_ms=1)
            return self.with_items(message, [*message.items[:3], forged])

        liar.rewrite = only(Headers, change)
        self.world.run(2_000)
        self.assertEqual(self.late.headers.top.height, 3)
        self.assertEqual(self.late.changes, [True])
        self.assertEqual([b[:2] for b in self.late.blamed], [(liar.name, 50)])

    def test_answers_to_nothing(self) -> None:
        stranger = self.peer("stranger", NET.chain())
        self.late.deliver(Received(stranger.name, Headers(7, ())))
        self.late.deliver(Received(stranger.name, Bodies(7, ())))
        self.assertEqual([b[:2] for b in self.late.blamed], [(stranger.name, 5)] * 2)

    def test_answer_to_anothers_question(self) -> None:
        silent = self.peer("silent")
        silent.rewrite = only(Headers, lambda peer, message: None)
        stranger = self.peer("stranger", NET.chain())
        self.world.run(100)
        request = self.late.sync._line.requests.open(Purpose.HEADERS)[0]
        self.late.deliver(Received(stranger.name, Headers(request.number, ())))
        self.late.deliver(Received(silent.name, Bodies(request.number, ())))
        self.assertEqual([b[1] for b in self.late.blamed], [5, 5])
        self.assertTrue(self.late.sync._header_fetch.busy)

    # checkpoints

    def checked(self, height: int, chain: Chain = LONG) -> Desk:
        """A fresh node that trusts the block of ``chain`` at ``height``."""
        known = chain.block_hash(height)
        assert known is not None
        self.late = self.world.desk("checked", checkpoints={height: known})
        return self.late

    def test_history_through_the_checkpoint(self) -> None:
        self.checked(7)
        self.peer("honest")
        self.world.run(2_000)
        self.caught_up()

    def test_no_block_before_the_checkpoint_is_reached(self) -> None:
        self.checked(9)
        self.peer("short", SHORT)
        self.world.run(10_000)
        self.assertEqual(self.late.headers.top.height, 5)
        self.assertEqual(self.late.chain.tip_height, 0)

    def test_long_range_attack(self) -> None:
        """Longer history, signed by the same keys: the checkpoint decides, whoever comes first."""
        self.checked(7)
        forger = self.peer("forger", FORGED)
        self.world.run(1_000)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertEqual([b[:2] for b in self.late.blamed], [(forger.name, 50)])
        self.assertIn("checkpoint", self.late.blamed[0][2])
        self.peer("honest")
        self.world.run(2_000)
        self.caught_up()
        self.assertIsNone(self.late.chain.fork_height)

    def test_long_range_attack_that_ends_before_the_checkpoint(self) -> None:
        self.checked(7)
        self.peer("forger", FORGED_SHORT)
        self.world.run(5_000)
        self.assertEqual(self.late.headers.top.height, 5)
        self.peer("honest")
        self.world.run(5_000)
        self.assertEqual(self.late.chain.tip, LONG.tip)
        self.assertFalse(self.late.sync.active)
        self.assertIsNone(self.late.chain.fork_height)

    def test_two_histories_without_a_checkpoint_halt(self) -> None:
        """Nothing but a checkpoint can decide: the proof is kept, no block is taken."""
        honest = self.peer("honest")
        honest.rewrite = only(Bodies, lambda peer, message: None)
        self.world.run(1_000)
        self.peer("forger", FORGED)
        self.world.run(10_000)
        self.assertEqual(len(self.late.seen(ForkFound)), 1)
        self.assertEqual(self.late.chain.tip_height, 0)
        self.assertFalse(self.late.sync.active)

    # history that cannot be followed

    def test_certified_block_against_the_rules(self) -> None:
        """Nobody is charged: the members signed it. The operator is told, and not too often."""
        chain = long_chain(3)
        honest = self.peer("honest", chain)
        first = chain.block(1)
        assert first is not None
        block = reseal(first, seed=bytes(32))
        item = CertifiedHeader(block.header, NET.finalize(block), None)

        def change(peer: bytes, message: Wire) -> Wire | None:
            assert isinstance(message, Headers)
            first = message.items[0].header.height == 1
            return self.with_items(message, [item]) if first else None

        honest.rewrite = only(Headers, change)
        self.world.run(20_000)
        self.assertEqual(
            [(s.height, s.rule) for s in self.late.seen(HistoryRefused)],  # type: ignore[attr-defined]
            [(1, "bad-seed")],
        )
        self.assertEqual(self.late.changes, [True])
        self.assertEqual(self.late.blamed, [])
        self.assertEqual(self.late.chain.tip_height, 0)

    def test_fork_at_our_tip_seen_from_the_announcement(self) -> None:
        ours = NET.make(self.late.chain, member=1)
        self.late.chain.commit(ours, NET.finalize(ours.block))
        self.late.deliver(NewTip())
        other = long_chain(1)
        self.peer("other", other)
        self.world.run(1_000)
        self.assertEqual(len(self.late.seen(ForkFound)), 1)
        self.assertEqual(self.late.chain.fork_height, 1)
        self.assertEqual(self.late.chain.tip_hash, ours.block.hash)

    def test_fork_below_longer_history(self) -> None:
        ours = NET.make(self.late.chain, member=1)
        self.late.chain.commit(ours, NET.finalize(ours.block))
        self.late.deliver(NewTip())
        self.peer("other")
        self.world.run(1_000)
        self.assertEqual(len(self.late.seen(ForkFound)), 1)
        asked: list[Wire] = []

        def count(peer: bytes, message: Wire) -> None:
            asked.append(message)

        self.late.rewrite = lambda peer, message: (
            count(peer, message) if isinstance(message, GetHeaders | GetBodies) else message
        )
        self.world.run(60_000)
        self.assertEqual(asked, [], "a forked chain takes no more blocks")
        self.assertEqual(len(self.late.seen(ForkFound)), 1)
        self.assertEqual(self.late.seen(BlockSynced), [])
        self.assertEqual(self.late.seen(HistoryRefused), [])
        self.assertFalse(self.late.sync.active)
        self.assertFalse(self.late.sync._header_fetch.busy)

    def test_one_probe_at_a_time(self) -> None:
        NET.grow(self.late.chain, *[Contents()] * 2)
        silent = self.peer("silent", NET.chain())
        asked: list[Wire] = []

        def count(peer: bytes, message: Wire) -> None:
            asked.append(message)

        self.late.rewrite = only(GetHeaders, count)
        for height in (1, 2, 1):
            self.late.deliver(Received(silent.name, TipAnnounce(height, bytes(32), 1)))
        self.assertEqual(len(asked), 1)

    def test_claimed_fork_without_proof(self) -> None:
        NET.grow(self.late.chain, *[Contents()] * 2)
        liar = self.peer("liar", self.late.chain)
        liar.rewrite = only(TipAnnounce, lambda peer, message: TipAnnounce(1, bytes(32), 1))
        self.world.run(100)
        liar.deliver(TimerFired(("announce",)))
        self.world.run(1_000)
        self.assertIsNone(self.late.chain.fork_height)
        self.assertEqual(self.late.blamed, [(liar.name, 10, "announced a block hash in vain")])
        forged = self.peer("forger", self.late.chain)
        forged.rewrite = only(Headers, self.forge)
        self.late.deliver(Received(forged.name, TipAnnounce(1, bytes(32), 1)))
        self.world.run(1_000)
        self.assertEqual(self.late.blamed[1:][0][:2], (forged.name, 50))
        self.assertIsNone(self.late.chain.fork_height)

    def forge(self, peer: bytes, message: Wire) -> Wire:
        return self.with_first(message, timestamp_ms=1)


class ServeTests(SynchronousTestCase):
    """What is given out."""

    def headers(self, first: int, count: int) -> list[int]:
        page = serve.headers_page(LONG, GetHeaders(9, first, count))
        self.assertEqual(page.request, 9)
        for item in page.items:
            self.assertEqual(item.header.hash, item.certificate.block_hash)
            self.assertIsNone(item.members, "the set has not changed")
        return [item.header.height for item in page.items]

    def bodies(self, first: int, count: int) -> list[bytes]:
        page = serve.bodies_page(PAYING, GetBodies(9, first, count, True))
        self.assertEqual(page.request, 9)
        for item in page.items:
            wtxids = [entry.wtxid for entry in item.body.entries]
            self.assertEqual([tx.wtxid for tx in item.transactions], wtxids)
        return [item.body.root for item in page.items]

    def test_headers(self) -> None:
        self.assertEqual(self.headers(1, 3), [1, 2, 3])
        self.assertEqual(self.headers(11, 100), [11, 12])
        self.assertEqual(self.headers(13, 1), [])
        self.assertEqual(self.headers(2**64 - 1, 100), [])
        self.assertEqual(self.headers(0, 5), [], "genesis is no block")

    def test_bodies(self) -> None:
        roots = [header.body_root for h in range(1, 6) if (header := PAYING.header(h)) is not None]
        self.assertEqual(self.bodies(1, 3), roots[:3])
        self.assertEqual(self.bodies(4, 100), roots[3:])
        self.assertEqual(self.bodies(6, 1), [])
        self.assertEqual(self.bodies(2**64 - 1, 100), [])
        self.assertEqual(self.bodies(0, 5), [])
        page = serve.bodies_page(PAYING, GetBodies(9, 1, 2, False))
        self.assertEqual([item.transactions for item in page.items], [(), ()])


class BookTests(SynchronousTestCase):
    """The small books that the machine keeps."""

    def test_late_requests_are_bounded(self) -> None:
        requests = Requests()

        def message(number: int) -> GetHeaders:
            return GetHeaders(number, 1, 1)

        opened = [
            requests.new(b"p", Purpose.HEADERS, 1, 1, 0, message) for _ in range(KEPT_LATE + 2)
        ]
        for request in opened:
            self.assertEqual(requests.late(request.number), request)
        self.assertIsNone(requests.answered(b"p", opened[0].number, Purpose.HEADERS))
        self.assertIsNone(requests.answered(b"p", opened[1].number, Purpose.HEADERS))
        self.assertEqual(requests.answered(b"p", opened[2].number, Purpose.HEADERS), opened[2])
        self.assertIsNone(requests.answered(b"p", opened[2].number, Purpose.HEADERS))

    def test_failures_in_a_row(self) -> None:
        peers = Peers()
        peers.add(b"p")
        self.assertEqual([peers.failed(b"p") for _ in range(2)], [False, False])
        peers.answered(b"p", 10)
        self.assertEqual([peers.failed(b"p") for _ in range(3)], [False, False, True])

    def test_ranking(self) -> None:
        peers = Peers()
        for name, announced in ((b"a", 5), (b"b", 7), (b"c", 7), (b"d", 9), (b"e", 3)):
            peers.add(name)
            peers.announced(name, announced, 1)
        peers.answered(b"a", 90)
        peers.failed(b"d")
        peers.forget(b"b", 1_000)
        self.assertEqual(peers.ranked(4, 1_000), (b"c", b"a", b"d"))
        self.assertEqual(peers.ranked(8, 1_000), (b"d",))
        self.assertEqual(peers.ranked(10, 1_000), ())
        peers.remove(b"d")
        self.assertEqual(peers.ranked(7, 1_000), (b"c",))
        peers.announced(b"c", 6, 1)
        self.assertEqual(peers.ranked(7, 1_000), ())
        self.assertEqual(peers.ranked(6, 1_000), (b"c",))


HEADERS = serve.headers_page(LONG, GetHeaders(1, 1, 4)).items
BODIES = serve.bodies_page(LONG, GetBodies(1, 1, 4, True)).items
PEERS = [bytes([number]) * 32 for number in range(3)]
number = st.integers(0, 9)
height = st.one_of(st.integers(0, 14), st.just(2**64 - 1))
some = st.integers(0, 4)
message = st.one_of(
    st.builds(
        TipAnnounce,
        height,
        st.sampled_from([bytes(32), LONG.tip.hash, NET.genesis.hash]),
        st.sampled_from([0, 1, 5]),
    ),
    st.builds(GetHeaders, number, height, st.integers(1, 100)),
    st.builds(GetBodies, number, height, st.integers(1, 100), st.booleans()),
    st.builds(Headers, number, st.lists(st.sampled_from(HEADERS), max_size=4).map(tuple)),
    st.builds(Headers, number, some.map(lambda count: HEADERS[:count])),
    st.builds(Bodies, number, st.lists(st.sampled_from(BODIES), max_size=4).map(tuple)),
    st.builds(Bodies, number, some.map(lambda count: BODIES[:count])),
)
event = st.one_of(
    st.builds(Received, st.sampled_from(PEERS), message),
    st.builds(Received, st.sampled_from(PEERS), message),
    st.sampled_from(
        [
            NewTip(),
            HeadersStored(),
            BodiesFetched((bytes(32),)),
            *[
                TimerFired(name)
                for name in (
                    ("announce",),
                    ("near",),
                    ("next",),
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
            self.assertLess(len(late.sync._line.requests._open), 8)
        honest = world.desk("honest", LONG)
        world.link(late, honest)
        world.run(120_000)
        self.assertEqual(late.chain.tip, LONG.tip)
        self.assertFalse(late.sync.active)
