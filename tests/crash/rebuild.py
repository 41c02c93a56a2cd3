"""A store that is being rebuilt, and one that is being filled with a set of unspent outputs."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.chain.net import Net
from tests.crash.disk import CrashingDisk, Trap, forget_syncs
from tests.crash.network import OF_HISTORY, rows
from tests.sync.desk import World
from timecoin.chain import pastset
from timecoin.chain.commit import Chain
from timecoin.store import keys
from timecoin.store.engine import Engine
from timecoin.store.memory import MemoryEngine
from timecoin.store.reindex import is_interrupted, reindex
from timecoin.store.rocks import RocksEngine
from timecoin.sync import coins as sync_coins
from timecoin.sync import serve

NET = Net(owners=12)
STORE = "store"
BLOCKS = 14
SERVED_EVERY = 4
PAGE = 5
"""Coins in one answer, so that there are several."""


def grown(engine: Engine) -> Chain:
    """A chain whose every block archives a payment."""
    chain = NET.chain(engine)
    for height in range(BLOCKS):
        coin = NET.coins(chain, height % 12)[0]
        NET.grow(chain, NET.archive(NET.pay([coin], (height + 5) % 12), anchor=height))
    return chain


class Rebuilt:
    """A :class:`tests.crash.campaign.Scenario`: ``--reindex``, ended again and again."""

    stores: tuple[str, ...] = (STORE,)

    def prepare(self, directory: Path) -> None:
        """A store with some blocks."""
        engine = RocksEngine(directory / STORE)
        grown(engine)
        engine.close()

    def live(self, directory: Path, life: int, trap: Trap) -> None:
        """Rebuild, as a node does that is asked to, or finds that it has not finished."""
        disk = CrashingDisk(directory / STORE, trap)
        reindex(disk, NET.genesis, True, lambda height, tip: trap.passes("rebuild.told"))

    def check(self, directory: Path) -> None:
        """Once more without a crash if the last was one: every row is what it was."""
        engine = RocksEngine(directory / STORE)
        if is_interrupted(engine):
            reindex(engine, NET.genesis, True, lambda height, tip: None)
        expected = MemoryEngine()
        grown(expected)
        for table in OF_HISTORY:
            assert rows(engine, table) == rows(expected, table), table
        engine.close()


class Loaded:
    """A :class:`tests.crash.campaign.Scenario`: a fast start, ended again and again."""

    stores: tuple[str, ...] = (STORE,)

    def __init__(self) -> None:
        # In this process and its forks only: small sets are served and loaded in several pages.
        for module in (pastset, sync_coins):
            vars(module)["SERVED_EVERY"] = SERVED_EVERY
        for module in (serve, sync_coins):
            vars(module)["MAX_COINS"] = PAGE
        sync_coins.SHORT_CHAIN = SERVED_EVERY
        self._source = grown(MemoryEngine())

    def prepare(self, directory: Path) -> None:
        """Nothing: it begins with an empty store."""

    def live(self, directory: Path, life: int, trap: Trap) -> None:
        """Load until it follows the chain; after one that did, begin anew."""
        done = directory / "done"
        if done.exists():
            shutil.rmtree(directory / STORE)
            forget_syncs(directory / STORE)
            done.unlink()
        self._load(CrashingDisk(directory / STORE, trap))
        done.touch()

    def check(self, directory: Path) -> None:
        """It is at the tip with the same set, and began with that of the served block."""
        engine = RocksEngine(directory / STORE)
        chain = self._load(engine)
        source = self._source
        assert chain.tip == source.tip, (chain.tip, source.tip)
        assert (chain.lthash, chain.supply) == (source.lthash, source.supply)
        assert list(chain.utxos()) == list(source.utxos())
        assert chain.first_body == BLOCKS // SERVED_EVERY * SERVED_EVERY + 1
        assert engine.get(keys.META, keys.META_LOADING) is None
        engine.close()

    def _load(self, engine: Engine) -> Chain:
        world = World(NET)
        late = world.desk("late", load_into=engine)
        world.link(late, world.desk("peer", self._source))
        world.run(60_000)
        return late.chain
