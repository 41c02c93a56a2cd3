"""The blocks behind a fast start come afterwards: in the end the store is that of one who has
fetched everything, whatever happened on the way."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Contents, Net
from tests.sync.desk import Desk, Rewrite, World
from timecoin.chain import history as chain_history
from timecoin.chain import pastset
from timecoin.chain.commit import Chain
from timecoin.codec import Wire
from timecoin.machine import NewTip, Received, TimerFired
from timecoin.mempool.exchange import BodiesWanted
from timecoin.store import keys
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import StoreError
from timecoin.store.memory import MemoryEngine
from timecoin.store.reindex import reindex
from timecoin.sync import behind, serve
from timecoin.sync import coins as sync_coins
from timecoin.sync.events import HistorySynced
from timecoin.sync.messages import Bodies, GetBodies, TipAnnounce

NET = Net(owners=6)
BLOCKS, SET_HEIGHT = 14, 12
WHOLE = MemoryEngine()


def grown(blocks: int, engine: MemoryEngine) -> Chain:
    """A chain whose every block archives a payment with change."""
    chain = NET.chain(engine)
    for height in range(blocks):
        coin = max(NET.coins(chain, height % 6), key=lambda found: found[1].value)
        tx = NET.pay([coin], (height + 1) % 6, change=1_000_000)
        NET.grow(chain, NET.archive(tx, anchor=height))
    return chain


CHAIN = grown(BLOCKS, WHOLE)


def rows(engine: MemoryEngine) -> dict[str, dict[bytes, bytes]]:
    """All rows but the note of how far headers were ahead."""
    found = {table: dict(engine.scan(table)) for table in keys.TABLES}
    found[keys.META].pop(keys.META_HEADERS, None)
    return found


class HistoryCase(SynchronousTestCase):
    """A node that starts from the set of block 12 of 14."""

    def setUp(self) -> None:
        for module in (pastset, sync_coins):
            self.patch(module, "SERVED_EVERY", 4)
        self.patch(sync_coins, "SHORT_CHAIN", 8)
        self.patch(behind, "MAX_OLD_BLOCKS", 4)
        self.patch(chain_history, "TURN_BLOCKS", 3)
        self.world = World(NET)
        self.engine = MemoryEngine()
        self.asked: list[tuple[bytes, GetBodies]] = []
        self.late = self.start("late")

    def start(self, name: str) -> Desk:
        desk = self.world.desk(name, load_into=self.engine, old_blocks=True)

        def note(peer: bytes, message: Wire) -> Wire:
            if isinstance(message, GetBodies):
                self.asked.append((peer, message))
            return message

        desk.rewrite = note
        return desk

    def peer(self, name: str, chain: Chain = CHAIN, change: Rewrite | None = None) -> Desk:
        """A peer; ``change`` is done to the bodies that it gives of blocks below the set."""
        desk = self.world.desk(name, chain)
        if change is not None:
            below = change

            def old_ones(peer: bytes, message: Wire) -> Wire | None:
                old = isinstance(message, Bodies) and self.late.chain.tip_height >= SET_HEIGHT + 2
                return below(peer, message) if old else message

            desk.rewrite = old_ones
        self.world.link(self.late, desk)
        return desk

    def until(self, first_body: int, undo_up_to: int = 0) -> None:
        """Stop in the middle: bodies from ``first_body`` on, undo data up to so far."""
        history = self.late.history
        assert history is not None
        while not history.lacks_undo or history.first_body > first_body:
            self.world.run(5)
        while history.lacks_undo and history.lacks_undo[0] <= undo_up_to:
            self.world.run(5)
        self.assertFalse(history.whole)

    def whole(self) -> None:
        """Nothing tells this node's store from one that has fetched all blocks."""
        self.assertEqual(rows(self.engine), rows(WHOLE))
        assert self.late.history is not None
        self.assertTrue(self.late.history.whole)


class HistoryTests(HistoryCase):
    """What comes, in which order, and from whom."""

    def test_down_to_the_first_block(self) -> None:
        self.peer("honest")
        self.world.run(5_000)
        self.whole()
        self.assertEqual(self.late.blamed, [])
        old = [asked.first for _, asked in self.asked if asked.first <= SET_HEIGHT]
        self.assertEqual(old, [9, 5, 1], "the newest first")
        above = [asked.first for _, asked in self.asked if asked.first > SET_HEIGHT]
        self.assertEqual(self.asked[: len(above)], [x for x in self.asked if x[1].first > 12])

    def test_the_first_body_is_announced(self) -> None:
        honest = self.peer("honest", change=lambda peer, m: None)
        self.world.run(5_000)
        self.assertEqual(self.late.chain.first_body, SET_HEIGHT + 1)
        known = honest.sync._line.peers.get(self.late.name)
        assert known is not None
        self.assertEqual(known.first_body, SET_HEIGHT + 1)
        honest.rewrite = lambda peer, m: m
        self.world.run(30_000)
        self.whole()
        self.assertEqual(known.first_body, 1)

    def test_another_node_can_start_from_it(self) -> None:
        self.peer("honest")
        self.world.run(5_000)
        fresh = self.world.desk("fresh")
        self.world.link(fresh, self.late)
        self.world.run(5_000)
        self.assertEqual(fresh.chain.tip, CHAIN.tip)

    def without_index(self, first_body: int, undo_up_to: int) -> None:
        """The index of addresses is off, and wanted later, in the middle of it."""
        store = EngineChainStore(self.engine, address_index=False)
        chain = Chain(NET.genesis, store, NET.verify)
        self.late = self.world.desk("plain", chain, None, self.engine, True)
        self.peer("honest")
        self.until(first_body, undo_up_to)
        self.assertFalse(rows(self.engine)[keys.ADDRESS_HISTORY].keys())
        self.world.end(self.late)
        self.late = self.start("with index")
        self.peer("honest again")
        self.world.run(5_000)
        self.whole()

    def test_without_the_index_of_addresses_while_bodies_come(self) -> None:
        self.without_index(5, 0)

    def test_without_the_index_of_addresses_while_undo_is_found(self) -> None:
        self.without_index(1, 6)

    def test_it_waits_while_the_node_catches_up(self) -> None:
        engine = MemoryEngine()
        chain = grown(BLOCKS, engine)
        honest = self.peer("honest", chain, lambda peer, m: None)
        self.world.run(2_000)
        NET.grow(chain, *[Contents()] * 3)
        newer = {block.body.root for h in (15, 16, 17) if (block := chain.block(h)) is not None}

        def only_old(peer: bytes, message: Wire) -> Wire | None:
            new = isinstance(message, Bodies) and message.items[0].body.root in newer
            return None if new else message

        honest.deliver(NewTip())
        while not self.late.sync.active:
            self.world.run(5)
        honest.rewrite = only_old
        self.asked.clear()
        self.world.run(20_000)
        self.assertTrue(self.late.sync.active)
        self.assertEqual([asked.first for _, asked in self.asked if asked.first <= BLOCKS], [])
        honest.rewrite = lambda peer, m: m
        self.world.run(90_000)
        self.assertEqual(rows(self.engine), rows(engine))

    def test_pages_cut_short_by_their_size(self) -> None:
        self.patch(serve, "PAGE_BYTES", 4_000)
        self.peer("honest")
        self.world.run(20_000)
        self.whole()
        self.assertEqual(self.late.blamed, [])

    def test_transactions_that_do_not_come_along(self) -> None:
        self.patch(serve, "BODY_BYTES_MAX", 1)
        self.peer("honest")
        self.world.run(20_000)
        self.whole()
        self.assertGreater(len(self.late.seen(BodiesWanted)), 3)

    def test_transactions_that_nobody_gives_are_asked_for_again(self) -> None:
        honest = self.peer("honest", change=lambda peer, m: None)
        self.world.run(3_000)
        self.patch(serve, "BODY_BYTES_MAX", 1)
        honest.serves_bodies = False
        honest.rewrite = lambda peer, m: m
        self.world.run(40_000)
        self.assertEqual(self.late.chain.first_body, SET_HEIGHT + 1)
        self.assertEqual(self.late.blamed, [])
        honest.serves_bodies = True
        self.world.run(20_000)
        self.whole()

    def test_who_has_pruned_is_not_asked(self) -> None:
        engine = MemoryEngine()
        chain = grown(BLOCKS, engine)
        EngineChainStore(engine).forget_bodies(1, 9)
        pruned = self.peer("pruned", chain)
        self.world.run(20_000)
        self.assertEqual(self.late.chain.first_body, 10, "as far as it goes")
        self.assertEqual(self.late.blamed, [])
        self.peer("whole")
        self.world.run(5_000)
        self.whole()
        self.assertTrue(all(asked.first >= 10 for peer, asked in self.asked if peer == pruned.name))

    def test_who_prunes_meanwhile_is_not_charged(self) -> None:
        pruned = self.peer("pruned", change=lambda peer, m: Bodies(m.request, ()))  # type: ignore[attr-defined]
        self.world.run(5_000)
        self.assertEqual(self.late.blamed, [])
        self.peer("whole")
        self.world.run(5_000)
        self.whole()
        self.assertEqual(pruned.blamed, [])

    def test_undo_data_of_full_blocks_takes_more_turns(self) -> None:
        self.peer("honest")
        self.until(1)
        assert self.late.history is not None
        self.patch(chain_history, "TURN_TRANSACTIONS", 2)
        left = [self.late.history.lacks_undo]
        while left[-1]:
            self.late.history.index()
            left.append(self.late.history.lacks_undo)
        self.assertEqual([len(heights) for heights in left[-3:]], [4, 2, 0])
        self.whole()

    def test_blocks_are_connected_meanwhile(self) -> None:
        engine = MemoryEngine()
        chain = grown(BLOCKS, engine)
        honest = self.peer("honest", chain)
        self.until(first_body=5)
        tx = NET.pay([NET.coins(chain, 0)[0]], 1)
        NET.grow(chain, NET.archive(tx, anchor=BLOCKS))
        honest.deliver(NewTip())
        self.world.run(10_000)
        self.assertEqual(self.late.chain.tip_height, BLOCKS + 1)
        self.assertEqual(rows(self.engine), rows(engine))


class BadTests(HistoryCase):
    """Liars, silence, crashes, pruning."""

    def lied_to(self, change: Rewrite) -> None:
        """The liar is charged, nothing of what it says is kept, an honest peer brings the rest."""
        liar = self.peer("liar", change=change)
        self.world.run(2_000)
        self.assertEqual([blame[:2] for blame in self.late.blamed], [(liar.name, 50)])
        self.assertEqual(self.late.chain.first_body, SET_HEIGHT + 1)
        self.peer("honest")
        self.world.run(10_000)
        self.whole()

    def test_bodies_of_other_blocks(self) -> None:
        self.lied_to(lambda peer, m: msgspec.structs.replace(m, items=m.items[::-1]))  # type: ignore[attr-defined]

    def test_a_transaction_of_no_entry(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Bodies)
            strange = NET.pay([NET.coins(CHAIN, 0)[0]], 1)
            item = msgspec.structs.replace(message.items[0], transactions=(strange,))
            return msgspec.structs.replace(message, items=(item, *message.items[1:]))

        self.lied_to(change)

    def test_more_than_asked_for(self) -> None:
        self.lied_to(lambda peer, m: msgspec.structs.replace(m, items=(*m.items, m.items[0])))  # type: ignore[attr-defined]

    def test_silence_is_asked_elsewhere(self) -> None:
        self.peer("silent", change=lambda peer, m: None)
        self.peer("honest")
        self.world.run(30_000)
        self.whole()
        self.assertEqual(self.late.blamed, [])

    def test_answers_that_nobody_asked_for(self) -> None:
        honest = self.peer("honest")
        self.world.run(5_000)
        self.late.deliver(Received(honest.name, Bodies(9_999, ())))
        self.assertEqual([blame[:2] for blame in self.late.blamed], [(honest.name, 5)])

    def test_a_crash_at_every_step(self) -> None:
        """Each life does a little of it; half of them lose what was not synced."""
        self.peer("honest")
        while self.late.chain.tip_height < BLOCKS:
            self.world.run(5)
        self.engine.sync()
        lives = 0
        while lives < 100:
            assert self.late.history is not None
            if self.late.history.whole:
                break
            lives += 1
            before = rows(self.engine)
            while rows(self.engine) == before:
                self.world.run(5)
            self.world.end(self.late)
            if lives % 2:
                self.engine.crash()
            else:
                self.engine.sync()
            self.late = self.start(f"late {lives}")
            self.assertEqual(self.late.chain.tip, CHAIN.tip)
            self.peer(f"honest {lives}")
        self.assertGreater(lives, 6)
        self.whole()

    def test_pruning_in_the_middle_and_not_any_more(self) -> None:
        """What has been pruned is fetched again by who does not prune any more."""
        self.peer("honest")
        self.until(1, undo_up_to=5)
        store = EngineChainStore(self.engine)
        store.forget_bodies(1, 3)
        self.assertEqual(store.lacks_undo(), range(1, SET_HEIGHT + 1))
        store.forget_bodies(4, 13)
        self.assertEqual((store.first_body(), store.first_undo()), (BLOCKS, BLOCKS))
        self.assertEqual(store.lacks_undo(), range(0))
        self.world.end(self.late)
        self.late = self.start("again")
        self.peer("honest again")
        self.world.run(10_000)
        self.whole()

    def test_indexes_rebuilt_in_the_middle(self) -> None:
        """``--reindex``: refused while blocks are lacking, then it finds the undo data too."""
        self.peer("honest")
        self.until(5)
        self.world.end(self.late)
        with self.assertRaises(StoreError):
            reindex(self.engine, NET.genesis, True, lambda *done: None)
        self.late = self.start("again")
        self.peer("honest again")
        self.until(1, undo_up_to=5)
        self.world.end(self.late)
        self.assertEqual(reindex(self.engine, NET.genesis, True, lambda *done: None), BLOCKS)
        self.whole()

    def test_blocks_that_do_not_end_at_the_first_body_are_left_out(self) -> None:
        self.peer("honest", change=lambda peer, m: None)
        self.world.run(3_000)
        source = self.start_whole()
        first = source.seen(HistorySynced)[-1]
        assert isinstance(first, HistorySynced)
        before = rows(self.engine)
        assert self.late.history is not None
        self.late.history.add(first.blocks)
        self.late.history.add(())
        self.assertEqual(rows(self.engine), before)

    def start_whole(self) -> Desk:
        other = self.world.desk("other", load_into=MemoryEngine(), old_blocks=True)
        self.world.link(other, self.world.desk("source", CHAIN))
        self.world.run(10_000)
        return other

    def test_a_store_that_lost_a_block(self) -> None:
        self.peer("honest")
        assert self.late.history is not None
        self.until(1)
        tx = next(iter(dict(self.engine.scan(keys.TX))))
        self.engine.write([(keys.TX, tx, None)], sync=True)
        with self.assertRaises(LookupError):
            while not self.late.history.whole:
                self.late.history.index()

    def test_hearsay_of_bodies(self) -> None:
        """Who says to have old bodies and gives none is asked no more than others are."""
        liar = self.peer("liar", change=lambda peer, m: None)
        self.world.run(3_000)
        self.late.deliver(Received(liar.name, TipAnnounce(2**64 - 1, bytes(32), 1)))
        self.late.deliver(TimerFired(("behind",)))
        self.world.run(60_000)
        self.assertEqual(self.late.chain.tip, CHAIN.tip)
        self.assertFalse(self.late.sync.active)


class NoiseTests(HistoryCase):
    """Peers that answer anything, restarts at any time: no exception, nothing wrong is kept, and in
    the end everything is here."""

    def once(self, rng: random.Random) -> None:
        self.world, self.engine = World(NET), MemoryEngine()
        self.asked = []
        self.late = self.start("late")

        def bend(peer: bytes, message: Wire) -> Wire | None:
            assert isinstance(message, Bodies)
            items = message.items
            kept = rng.randint(0, len(items))
            bare = tuple(msgspec.structs.replace(item, transactions=()) for item in items)
            change = rng.choice([items, items, items[:kept], items[kept:], items[::-1], bare, ()])
            return None if rng.random() < 0.2 else msgspec.structs.replace(message, items=change)

        for number in range(3):
            self.peer(f"strange {number}", change=bend)
        for life in range(rng.randint(1, 3)):
            self.world.run(rng.choice([300, 2_000, 9_000]))
            self.world.end(self.late)
            if rng.random() < 0.5:
                self.engine.crash()
            self.late = self.start(f"late {life}")
            for number in range(3):
                self.peer(f"strange {life} {number}", change=bend)
            store = EngineChainStore(self.engine)
            for height in range(store.first_body(), self.late.chain.tip_height + 1):
                self.assertEqual(store.block(height), CHAIN.block(height))
        self.peer("honest")
        for _ in range(90):
            self.world.run(10_000)
            if self.late.history is not None and self.late.history.whole:
                break
        self.whole()

    @settings(max_examples=30, deadline=None)
    @given(st.randoms(use_true_random=False))
    def test_noise(self, rng: random.Random) -> None:
        self.once(rng)
