"""Everything that follows from the blocks is rebuilt as it was; what is damaged is cut off."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Net
from timecoin.store import keys
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import StoreError
from timecoin.store.keys import TABLES, height_key
from timecoin.store.memory import MemoryEngine
from timecoin.store.reindex import is_interrupted, reindex

NET = Net()
BLOCKS = 8
REBUILT = (
    keys.UTXO,
    keys.UNDO,
    keys.TXINDEX,
    keys.HEIGHTS,
    keys.ADDRESS_UNSPENT,
    keys.ADDRESS_HISTORY,
)


def grown() -> MemoryEngine:
    """A store whose every block archives a payment and the payment of its output."""
    engine = MemoryEngine()
    chain = NET.chain(engine)
    for height in range(BLOCKS):
        tx = NET.pay([NET.coins(chain, height % 4)[0]], (height + 1) % 4, change=1_000_000)
        NET.grow(chain, NET.archive(tx, anchor=height))
    return engine


def rows(engine: MemoryEngine) -> dict[str, list[tuple[bytes, bytes]]]:
    """All rows of a store."""
    return {table: list(engine.scan(table)) for table in TABLES}


class ReindexTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = grown()
        self.before = rows(self.engine)
        self.told: list[tuple[int, int]] = []

    def rebuild(self, address_index: bool = True) -> int:
        return reindex(
            self.engine, NET.genesis, address_index, lambda *done: self.told.append(done)
        )

    def test_as_it_was(self) -> None:
        self.assertEqual(self.rebuild(), BLOCKS)
        self.assertEqual(rows(self.engine), self.before)
        self.assertEqual(self.told, [(height, BLOCKS) for height in range(1, BLOCKS + 1)])

    def test_lost_indexes_come_back(self) -> None:
        for table in REBUILT:
            self.engine.write([(table, key, None) for key, _ in self.before[table]], sync=True)
        self.rebuild()
        self.assertEqual(rows(self.engine), self.before)

    def test_a_stolen_coin_comes_back(self) -> None:
        point, _ = self.before[keys.UTXO][0]
        self.engine.write([(keys.UTXO, point, None), (keys.META, keys.META_SUPPLY, b"0")], True)
        self.rebuild()
        self.assertEqual(rows(self.engine), self.before)

    def test_without_the_index_of_addresses(self) -> None:
        self.rebuild(address_index=False)
        after = rows(self.engine)
        self.assertEqual(after[keys.ADDRESS_HISTORY], [])
        self.assertEqual(after[keys.UTXO], self.before[keys.UTXO])
        store = EngineChainStore(self.engine)  # wanted again
        self.assertTrue(store.indexes_addresses)
        self.assertEqual(rows(self.engine), self.before)

    def test_an_empty_store(self) -> None:
        self.assertEqual(reindex(MemoryEngine(), NET.genesis, True, lambda *done: None), 0)

    def test_an_interrupted_rebuild_begins_anew(self) -> None:
        def crash(height: int, tip: int) -> None:
            if height == 5:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            reindex(self.engine, NET.genesis, True, crash)
        self.engine.crash(keep=3)
        self.assertTrue(is_interrupted(self.engine))
        self.rebuild()
        self.assertFalse(is_interrupted(self.engine))
        self.assertEqual(rows(self.engine), self.before)

    def test_pruned_stores_are_refused(self) -> None:
        EngineChainStore(self.engine).forget_bodies(1, 2)
        before = rows(self.engine)
        with self.assertRaises(StoreError):
            self.rebuild()
        self.assertEqual(rows(self.engine), before)

    def damaged(self, damage: Callable[[], None], height: int) -> None:
        """The chain is cut below ``height`` and goes on from there."""
        damage()
        lines: list[str] = []
        observer = lambda event: lines.append(str(event.get("log_format")))  # noqa: E731
        globalLogPublisher.addObserver(observer)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, observer)  # type: ignore[arg-type]
        self.assertEqual(self.rebuild(), height - 1)
        self.flushLoggedErrors()
        self.assertTrue(any("is damaged" in line for line in lines))
        chain, whole = NET.chain(self.engine), NET.chain(grown())
        self.assertEqual(chain.tip_hash, whole.block_hash(height - 1))
        for number in range(height, BLOCKS + 1):
            block, certificate = whole.block(number), whole.certificate(number)
            assert block is not None and certificate is not None
            chain.commit(chain.check(block, whole.transaction), certificate)
        self.assertEqual(list(chain.utxos()), list(whole.utxos()))
        self.assertEqual((chain.lthash, chain.supply), (whole.lthash, whole.supply))

    def test_a_body_that_is_gone(self) -> None:
        self.damaged(
            lambda: self.engine.write([(keys.BODIES, height_key(4), None)], sync=True), height=4
        )

    def test_a_transaction_that_is_gone(self) -> None:
        block = NET.chain(self.engine).block(6)
        assert block is not None
        wtxid = block.body.entries[0].wtxid
        self.damaged(lambda: self.engine.write([(keys.TX, wtxid, None)], sync=True), height=6)

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_any_flipped_bit_is_found(self, data: st.DataObject) -> None:
        engine = grown_copy(self.before)
        table = data.draw(st.sampled_from([keys.HEADERS, keys.BODIES, keys.TX]))
        key, value = data.draw(st.sampled_from(self.before[table]))
        bit = data.draw(st.integers(0, 8 * len(value) - 1))
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        engine.write([(table, key, bytes(flipped))], sync=True)
        reached = reindex(engine, NET.genesis, True, lambda *done: None)
        self.flushLoggedErrors()
        reward = table == keys.TX and reached == BLOCKS
        self.assertTrue(reached < BLOCKS or reward)
        if reward:  # its block holds it too
            self.assertEqual(rows(engine), self.before)


def grown_copy(content: dict[str, list[tuple[bytes, bytes]]]) -> MemoryEngine:
    """A store with the rows of another."""
    engine = MemoryEngine()
    engine.write([(table, *row) for table, found in content.items() for row in found], sync=True)
    return engine
