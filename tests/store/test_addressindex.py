"""The index of addresses over a life: switched off and on, built anew, cut while it is built."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.chain import addressmodel
from tests.chain.net import TIME, Net
from timecoin.chain.commit import Chain
from timecoin.store import addressindex, keys
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import Row, StoreError
from timecoin.store.memory import MemoryEngine
from timecoin.store.schema import claim_store

NET = Net()


class PowerCutError(Exception):
    """The machine died before a write."""


class CuttingEngine(MemoryEngine):
    """Dies at the write that ``fuse`` counts down to."""

    fuse = 0

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        self.fuse -= 1
        if self.fuse == 0:
            raise PowerCutError
        super().write(rows, sync)


class AddressIndexTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = CuttingEngine()

    def open(self, address_index: bool = True) -> Chain:
        claim_store(self.engine, NET.genesis.hash)
        store = EngineChainStore(self.engine, address_index)
        return Chain(NET.genesis, store, NET.verify)

    def grow(self, chain: Chain, blocks: int = 1) -> None:
        for _ in range(blocks):
            owner, coin = next(
                (owner, coins[0])
                for owner in range(NET.owners)
                if (coins := NET.coins(chain, owner))
            )
            payment = NET.pay([coin], owner + 1, change=coin[1].value // 2)
            NET.grow(chain, NET.archive(payment, anchor=chain.tip_height))

    def check(self, chain: Chain) -> None:
        expected = addressmodel.expected(chain)
        self.assertEqual(addressmodel.shown(chain, expected), expected)
        rows = [len(list(self.engine.scan(table))) for table in (UNSPENT, HISTORY)]
        found = [sum(len(part[n]) for part in expected.values()) for n in (0, 1)]
        self.assertEqual(rows, found)

    def test_reopened(self) -> None:
        self.grow(self.open(), 2)
        self.engine.crash()
        chain = self.open()
        self.check(chain)
        self.grow(chain)
        self.check(chain)

    def test_off_from_the_start_and_on_later(self) -> None:
        chain = self.open(address_index=False)
        self.grow(chain, 2)
        self.assertEqual(list(self.engine.scan(UNSPENT)), [])
        chain = self.open()
        self.check(chain)
        self.grow(chain)
        self.check(chain)

    def test_off_for_a_while(self) -> None:
        """What happened meanwhile is in the index that is built when it is on again."""
        self.grow(self.open(), 2)
        self.grow(self.open(address_index=False), 2)
        self.check(self.open())

    def test_cut_while_it_is_built(self) -> None:
        self.patch(addressindex, "_BATCH_ROWS", 3)
        self.grow(self.open(address_index=False), 2)
        for fuse in range(1, 100):
            self.engine.write([(keys.META, keys.META_ADDRESS_INDEX, None)], sync=True)
            self.engine.fuse = fuse
            try:
                self.open()
            except PowerCutError:
                self.engine.crash(keep=fuse // 2)
                self.check(self.open())
            else:
                break
        else:
            self.fail("the fuse was never long enough")
        self.assertGreater(fuse, 5)

    def test_a_damaged_store_is_said_so(self) -> None:
        chain = self.open(address_index=False)
        self.grow(chain)
        wtxid, _ = next(self.engine.scan(keys.TX))
        self.engine.write([(keys.TX, wtxid, None)], sync=True)
        self.assertRaises(StoreError, self.open)

    def test_amounts_follow(self) -> None:
        """The sums by address are the supply."""
        chain = self.open()
        self.grow(chain, 3)
        views = addressmodel.views(chain)
        total = sum(
            utxo.value
            for owner in addressmodel.expected(chain)
            for _, utxo in views.coins(owner).coins
        )
        self.assertEqual(total, chain.supply)
        self.assertGreater(total, TIME)


UNSPENT = keys.ADDRESS_UNSPENT
HISTORY = keys.ADDRESS_HISTORY
