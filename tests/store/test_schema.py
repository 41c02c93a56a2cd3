"""A store of an earlier layout is brought to this one, once, and also after a crash on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.chain import addressmodel
from tests.chain.net import Net
from timecoin.chain.commit import Chain
from timecoin.codec import encode
from timecoin.store import keys, schema
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import Engine, Row
from timecoin.store.memory import MemoryEngine
from timecoin.store.rocks import RocksEngine
from timecoin.store.schema import MIGRATIONS, SCHEMA_VERSION, WrongGenesis, claim_store

NET = Net()
FIRST_LAYOUT = (
    *("headers", "block_bodies", "block_certificates", "heights", "undo", "forks", "utxo", "tx"),
    *("txindex", "avs", "meta", "wallet", "locks", "votes", "pool", "certificates", "receipts"),
    *("finals", "bans", "emergencies", "consensus", "bodies", "peers"),
)
OLDEST: Row = (keys.META, keys.META_SCHEMA, (1).to_bytes(4, "big"))


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


class TableTests(SynchronousTestCase):
    def test_every_later_table_has_its_layout(self) -> None:
        """A new table goes into ``keys.ADDED``, and gets a layout and a migration of its own."""
        self.assertEqual(sorted(keys.TABLES), sorted({*FIRST_LAYOUT, *keys.ADDED}))
        self.assertEqual(max(keys.ADDED.values()) <= SCHEMA_VERSION, True)

    def test_every_earlier_layout_has_a_migration(self) -> None:
        self.assertEqual(sorted(MIGRATIONS), list(range(1, SCHEMA_VERSION)))


class OldStoreTests(SynchronousTestCase):
    def test_the_first_layout_on_disk(self) -> None:
        """Blocks of a store that had no index of addresses; the index is there afterwards."""
        directory = Path(self.mktemp())
        engine = RocksEngine(directory, FIRST_LAYOUT)
        claim_store(engine, NET.genesis.hash)
        engine.write([OLDEST], sync=True)
        chain = Chain(NET.genesis, EngineChainStore(engine, address_index=False), NET.verify)
        coin = NET.coins(chain, 0)[0]
        NET.grow(chain, NET.archive(NET.pay([coin], 1), anchor=0))
        tip = chain.tip
        engine.close()
        del chain

        engine = RocksEngine(directory)
        self.addCleanup(engine.close)
        claim_store(engine, NET.genesis.hash)
        chain = Chain(NET.genesis, EngineChainStore(engine), NET.verify)
        self.assertEqual(chain.tip, tip)
        expected = addressmodel.expected(chain)
        self.assertEqual(addressmodel.shown(chain, expected), expected)
        mark = engine.get(keys.META, keys.META_SCHEMA)
        self.assertEqual(mark, SCHEMA_VERSION.to_bytes(4, "big"))


class SnapshotTests(SynchronousTestCase):
    """Up to layout 4 members had no stake, and nobody departed."""

    def test_snapshots_get_their_new_fields(self) -> None:
        engine = MemoryEngine()
        chain = NET.chain(engine)
        active = chain.active_set(0)
        assert active is not None
        earlier = encode((tuple(msgspec.structs.astuple(m)[:7] for m in active.members),))
        mark: Row = (keys.META, keys.META_SCHEMA, (4).to_bytes(4, "big"))
        for rows in ([mark, (keys.AVS, active.root, earlier)], [mark]):
            engine.write(rows, sync=True)
            claim_store(engine, NET.genesis.hash)
            again = EngineChainStore(engine).active_set(0)
            self.assertEqual(again, active)


class MigrationTests(SynchronousTestCase):
    """Steps of our own: the first copies rows to another key, the second counts them."""

    def setUp(self) -> None:
        self.patch(schema, "SCHEMA_VERSION", 3)
        self.patch(schema, "MIGRATIONS", {1: self._rename, 2: self._count})
        self.done: list[int] = []

    def _rename(self, engine: Engine) -> Iterator[list[Row]]:
        self.done.append(1)
        for key, value in list(engine.scan("peers", b"old")):
            yield [("peers", key, None), ("peers", b"new" + key[3:], value)]

    def _count(self, engine: Engine) -> Iterator[list[Row]]:
        self.done.append(2)
        count = len(list(engine.scan("peers", b"new")))
        yield [("peers", b"count", count.to_bytes(1, "big"))]

    def old_store(self) -> CuttingEngine:
        engine = CuttingEngine()
        engine.write([OLDEST, (keys.META, keys.META_GENESIS, bytes(32))], sync=True)
        engine.write([("peers", b"old%d" % n, b"%d" % n) for n in range(3)], sync=True)
        return engine

    def test_in_order_and_once(self) -> None:
        engine = self.old_store()
        claim_store(engine, bytes(32))
        claim_store(engine, bytes(32))
        self.assertEqual(self.done, [1, 2])
        self.assertEqual(
            dict(engine.scan("peers")),
            {b"new0": b"0", b"new1": b"1", b"new2": b"2", b"count": b"\3"},
        )

    def test_cut_at_every_write(self) -> None:
        whole = self.old_store()
        claim_store(whole, bytes(32))
        cuts = 0
        while True:
            engine = self.old_store()
            engine.fuse = cuts + 1
            try:
                claim_store(engine, bytes(32))
            except PowerCutError:
                cuts += 1
                engine.crash()
                claim_store(engine, bytes(32))
                self.assertEqual(list(engine.scan("peers")), list(whole.scan("peers")))
                continue
            break
        self.assertEqual(cuts, 6)  # three rows, a count and two marks

    def test_the_store_of_another_network_stays_as_it_is(self) -> None:
        engine = self.old_store()
        self.assertRaises(WrongGenesis, claim_store, engine, b"\1" * 32)
        self.assertEqual(self.done, [])
        self.assertEqual(engine.get(*OLDEST[:2]), OLDEST[2])
