"""Old bodies go, everything that a rule needs stays."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Net
from timecoin.chain import prune
from timecoin.chain.prune import Pruner
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.memory import MemoryEngine

NET = Net()


class PruneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = MemoryEngine()
        self.chain = NET.chain(self.engine)
        self.paid = []
        for height in range(12):
            tx = NET.pay([NET.coins(self.chain, height % 4)[0]], height % 4)
            self.paid.append(tx)
            NET.grow(self.chain, NET.archive(tx, anchor=height))

    def prune(self, keep: int) -> None:
        store = EngineChainStore(self.engine)
        Pruner(store, keep).connected(self.chain.tip_height)

    def test_bodies_go(self) -> None:
        self.prune(5)
        self.assertEqual(self.chain.first_body, 8)
        for height in range(1, 13):
            gone = height < 8
            self.assertEqual(self.chain.block(height) is None, gone)
            self.assertEqual(self.chain.undo(height) is None, gone)
            self.assertEqual(self.chain.transaction(self.paid[height - 1].wtxid) is None, gone)

    def test_the_rest_stays(self) -> None:
        coins = list(self.chain.utxos())
        self.prune(5)
        again = NET.chain(self.engine)
        self.assertEqual(again.tip, self.chain.tip)
        self.assertEqual(list(again.utxos()), coins)
        for height in range(1, 13):
            self.assertEqual(again.archived(self.paid[height - 1].txid), height)
            self.assertIsNotNone(again.header(height))
            self.assertIsNotNone(again.certificate(height))
            self.assertIsNotNone(again.stored_set(height))
        tx = NET.pay([NET.coins(again, 0)[0]], 1)
        NET.grow(again, NET.archive(tx, anchor=12))
        self.assertEqual(again.tip_height, 13)

    def test_few_blocks_lose_nothing(self) -> None:
        self.prune(12)
        self.assertEqual(self.chain.first_body, 1)
        self.assertIsNotNone(self.chain.block(1))

    def test_step_by_step(self) -> None:
        self.patch(prune, "STEP_BLOCKS", 2)
        self.prune(5)
        self.assertEqual(self.chain.first_body, 3)
        self.prune(5)
        self.assertEqual(self.chain.first_body, 5)
