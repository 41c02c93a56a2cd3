"""Starting from a set of unspent outputs: honest peers, liars, stalls and crashes."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Net
from tests.sync.desk import Desk, Rewrite, World
from timecoin.chain import pastset
from timecoin.chain.commit import Chain
from timecoin.chain.loading import Loader
from timecoin.codec import Wire
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.utxo import Utxo, utxo_element
from timecoin.store.loadstore import EngineLoadStore
from timecoin.store.memory import MemoryEngine
from timecoin.sync import coins as sync_coins
from timecoin.sync import serve
from timecoin.sync.messages import Coins, GetBodies

NET = Net(owners=12)


def grown(blocks: int, chain: Chain | None = None) -> Chain:
    """A chain whose every block archives a payment."""
    chain = chain or NET.chain()
    for _ in range(blocks):
        height = chain.tip_height
        coin = NET.coins(chain, height % 12)[0]
        NET.grow(chain, NET.archive(NET.pay([coin], (height + 5) % 12), anchor=height))
    return chain


CHAIN = grown(14)


class CoinsTests(SynchronousTestCase):
    """A fresh node that wants to start from a set; every fourth height is served."""

    def setUp(self) -> None:
        for module in (pastset, sync_coins):
            self.patch(module, "SERVED_EVERY", 4)
        self.patch(sync_coins, "SHORT_CHAIN", 8)
        for module in (serve, sync_coins):
            self.patch(module, "MAX_COINS", 5)
        self.world = World(NET)
        self.engine = MemoryEngine()
        self.late = self.world.desk("late", load_into=self.engine)
        self.asked: list[GetBodies] = []

        def note(peer: bytes, message: Wire) -> Wire:
            if isinstance(message, GetBodies):
                self.asked.append(message)
            return message

        self.late.rewrite = note

    def peer(self, name: str, chain: Chain = CHAIN) -> Desk:
        desk = self.world.desk(name, chain)
        self.world.link(self.late, desk)
        return desk

    def loaded(self, chain: Chain = CHAIN, height: int = 12) -> None:
        """The node is at the tip, and has only the blocks after ``height``."""
        late = self.late.chain
        self.assertEqual(late.tip, chain.tip)
        self.assertEqual((late.lthash, late.supply), (chain.lthash, chain.supply))
        self.assertEqual(list(late.utxos()), list(chain.utxos()))
        self.assertEqual(late.first_body, height + 1)
        self.assertEqual(late.block_hash(3), chain.block_hash(3), "all headers are here")
        self.assertEqual(min(request.first for request in self.asked), height + 1)
        self.assertFalse(self.late.sync.active)

    def test_load_and_follow(self) -> None:
        self.peer("honest")
        self.world.run(5_000)
        self.loaded()
        self.assertEqual(self.late.blamed, [])
        self.assertIsNone(self.late.loader and self.late.loader.state)

    def test_the_tip_moves_on_meanwhile(self) -> None:
        chain = grown(12)
        honest = self.peer("honest", chain)
        grew = False

        def grow(peer: bytes, message: Wire) -> Wire:
            nonlocal grew
            if not grew:
                grew = True
                grown(2, chain)
            return message

        honest.rewrite = lambda peer, m: grow(peer, m) if isinstance(m, Coins) else m
        self.world.run(30_000)
        self.loaded(chain)

    def test_short_chains_are_fetched_whole(self) -> None:
        chain = grown(6)
        self.peer("honest", chain)
        self.world.run(5_000)
        self.assertEqual(self.late.chain.tip, chain.tip)
        self.assertEqual(self.late.chain.first_body, 1)

    def bent(self, change: Rewrite) -> None:
        """A liar is charged; an honest peer brings the true set."""
        liar = self.peer("liar")
        liar.rewrite = lambda peer, m: change(peer, m) if isinstance(m, Coins) else m
        self.world.run(4_000)
        self.assertEqual([b[:2] for b in self.late.blamed], [(liar.name, 50)])
        self.assertEqual(self.late.chain.tip_height, 0)
        self.peer("honest")
        self.world.run(10_000)
        self.loaded()

    def test_a_richer_output(self) -> None:
        def change(peer: bytes, message: Wire) -> Wire:
            assert isinstance(message, Coins)
            point, utxo = message.items[0]
            richer = Utxo(utxo.value + 1, utxo.script, utxo.height, utxo.coinbase)
            return msgspec.structs.replace(message, items=((point, richer), *message.items[1:]))

        self.bent(change)

    def test_outputs_left_out(self) -> None:
        self.bent(lambda peer, m: msgspec.structs.replace(m, items=m.items[:2], last=True))  # type: ignore[attr-defined]

    def test_outputs_twice(self) -> None:
        self.bent(lambda peer, m: msgspec.structs.replace(m, items=(m.items[0],) * 5))  # type: ignore[attr-defined]

    def test_a_page_that_is_neither_full_nor_last(self) -> None:
        self.bent(lambda peer, m: msgspec.structs.replace(m, items=m.items[:2], last=False))  # type: ignore[attr-defined]

    def test_a_peer_that_stalls_is_replaced(self) -> None:
        pages = 0
        staller = self.peer("staller")

        def stall(peer: bytes, message: Wire) -> Wire | None:
            nonlocal pages
            pages += isinstance(message, Coins)
            return None if pages > 1 and isinstance(message, Coins) else message

        staller.rewrite = stall
        self.peer("honest")
        self.world.run(15_000)
        self.loaded()
        self.assertEqual(self.late.blamed, [])

    def test_peers_that_do_not_give_the_set_are_not_charged(self) -> None:
        refuser = self.peer("refuser")
        refuser.rewrite = lambda peer, m: Coins(m.request, (), False) if isinstance(m, Coins) else m
        self.world.run(5_000)
        self.assertEqual((self.late.blamed, self.late.chain.tip_height), ([], 0))
        self.peer("honest")
        self.world.run(5_000)
        self.loaded()

    def test_a_crash_at_every_page(self) -> None:
        """Whatever was written, the next life goes on and ends with the same set."""
        self.peer("honest")
        last = -1
        for life in range(40):
            for _ in range(400):
                self.world.run(5)
                state = self.late.loader and self.late.loader.state
                reached = state.outputs if state else self.late.chain.tip_height * 1_000
                if reached > last:
                    break
            last = reached
            self.world.end(self.late)
            if life % 2:
                self.engine.crash()
            if self.late.chain.tip == CHAIN.tip:
                break
            self.late = self.world.desk(f"late {life}", load_into=self.engine)
            self.late.rewrite = lambda peer, m: m
            self.peer(f"honest {life}")
        self.assertGreater(life, 3)
        self.assertEqual(self.late.chain.tip, CHAIN.tip)
        self.assertEqual(list(self.late.chain.utxos()), list(CHAIN.utxos()))
        self.assertEqual(self.late.chain.lthash, CHAIN.lthash)

    def test_an_interrupted_load_is_cancelled_when_not_wanted(self) -> None:
        honest = self.peer("honest")
        honest.rewrite = lambda peer, m: None if isinstance(m, Coins) and m.last else m
        self.world.run(1_000)
        self.assertGreater(len(list(self.late.chain.utxos())), 5)
        self.world.cut(self.late, honest)
        plain = self.world.desk("plain", NET.chain(self.engine))
        Loader(NET.genesis, plain.chain, plain.headers, EngineLoadStore(self.engine), wanted=False)
        self.assertEqual(list(plain.chain.utxos()), list(NET.chain().utxos()))
        honest.rewrite = lambda peer, m: m
        self.world.link(plain, honest)
        self.world.run(5_000)
        self.assertEqual(plain.chain.tip, CHAIN.tip)
        self.assertEqual(plain.chain.first_body, 1)


class PastSetTests(SynchronousTestCase):
    """The set of an earlier block, read from the one of today."""

    def setUp(self) -> None:
        self.patch(pastset, "SERVED_EVERY", 1)

    def test_every_height_by_pages(self) -> None:
        past = pastset.PastSet(CHAIN)
        for height in range(1, 15):
            found, after = [], b""
            while page := past.page(height, CHAIN.tip_height, after, 3):
                found += page
                after = page[-1][0]
            header = CHAIN.header(height)
            assert header is not None
            lthash = LtHash().add_many(utxo_element(*coin) for coin in found)
            self.assertEqual(lthash.digest(), header.utxo_root)

    def test_a_difference_grows_with_the_chain(self) -> None:
        chain = grown(3)
        past = pastset.PastSet(chain)
        before = past.page(2, chain.tip_height, b"", 100)
        grown(3, chain)
        self.assertEqual(past.page(2, chain.tip_height, b"", 100), before)

    def test_what_is_not_served(self) -> None:
        past = pastset.PastSet(CHAIN)
        self.assertIsNone(past.page(0, 14, b"", 10))
        self.assertIsNone(past.page(15, 14, b"", 10))
        self.patch(pastset, "SERVED_DEPTH", 3)
        self.assertIsNone(past.page(10, 14, b"", 10))
        self.assertIsNotNone(past.page(11, 14, b"", 10))
        self.patch(pastset, "SERVED_EVERY", 4)
        self.assertIsNone(past.page(11, 14, b"", 10))
