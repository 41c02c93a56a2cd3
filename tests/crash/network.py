"""Three validators on RocksDB in one process, on the simulator's clock, under payments.

The process is killed, which ends all three at once, each in the midst of what it did. After the
last life: what anybody called final is archived everywhere, nobody has signed two things in all
those lives, and each store is, row by row, that of a node which took the same blocks undisturbed.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.crash.disk import CrashingDisk, Trap
from tests.crash.judge import Judge
from tests.crash.witness import Witness, last_time
from tests.live.journals import double_signatures, read_node
from timecoin.chain.commit import Chain
from timecoin.crypto.keys import verify
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.transaction import Transaction
from timecoin.node.preflight import STORE_DIRECTORY
from timecoin.sim.world import START_SECONDS, World, WorldSettings
from timecoin.store import keys
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import Engine
from timecoin.store.memory import MemoryEngine
from timecoin.store.rocks import RocksEngine
from timecoin.store.schema import claim_store

NODES = 3
SLOT_MS = 2_000
PAYMENTS = 6
"""Payments of a life, beside one double spend."""
STEPS, STEP_S = 40, 0.25
RESTART_S = 0.05
"""Virtual time within which a node reads what the last life left, and writes about it."""
SETTLE_S = 20.0
MAX_LIVES = 60
WITNESS = "witness"
OF_HISTORY = tuple(
    name
    for name in keys.TABLES
    if name not in (*keys.JOURNAL, keys.WALLET, keys.HEARTBEATS, keys.ADDRESS_BOOK, keys.FORKS)
)


class Network:
    """A :class:`tests.crash.campaign.Scenario`."""

    stores: tuple[str, ...] = tuple(f"{number}/{STORE_DIRECTORY}" for number in range(NODES))

    def __init__(self, seed: int, lies: bool = False) -> None:
        """``lies``: whether the disks do not sync, which must come out."""
        self._seed = seed
        self._disk = type("Disk", (CrashingDisk,), {"lies": lies})

    def prepare(self, directory: Path) -> None:
        """Nothing: the first life begins with the genesis."""

    def live(self, directory: Path, life: int, trap: Trap) -> None:
        """Ten seconds with payments by all nodes."""
        world, witness = self._open(directory, life, trap)
        for _ in range(life * (PAYMENTS + 1)):
            world.users.payment()  # coins of earlier lives
        world.start()
        world.run(RESTART_S)
        trap.started()
        chance = Random(f"{self._seed}/{life}")
        moments = sorted(chance.randrange(STEPS) for _ in range(PAYMENTS))
        conflict = chance.randrange(STEPS)
        for step in range(STEPS):
            witness.time(world.now_ms())
            for _ in range(moments.count(step)):
                self._pay(world, witness, chance.randrange(NODES), world.users.payment())
            if step == conflict:
                for number, tx in enumerate(world.users.double_spend() or ()):
                    self._pay(world, witness, number, tx)
            world.run(STEP_S)

    def check(self, directory: Path) -> None:
        """A last life, and everything that all of them have said."""
        trap = Trap(None, directory / "told")
        world, _ = self._open(directory, MAX_LIVES, trap)
        judge = Judge(world)
        world.start()
        world.run(SETTLE_S)
        judge.replay(directory / WITNESS)
        final = set(world.final_txids())
        told = len(world.submitted)
        assert len(final) >= told // 3, f"only {len(final)} of {told} payments became final"
        for node in world.nodes:
            chain = node.running.chain
            lost = [txid.hex() for txid in final if chain.archived(txid) is None]
            assert not lost, f"node {node.number} lost {lost}"
            assert chain.tip == world.nodes[0].running.chain.tip, "heights differ"
            for table in ("evidence", "emergencies"):
                assert not list(node.engine.scan(table)), f"{table} at node {node.number}"
        for node in world.nodes:
            node.kill()
            node.engine.close()
        self._compare_stores(directory, world)

    def _compare_stores(self, directory: Path, world: World) -> None:
        read = [
            read_node(directory / str(node.number), node.voting_key.public) for node in world.nodes
        ]
        found = double_signatures(read, world.genesis)
        assert not found, found
        for name in self.stores:
            engine = RocksEngine(directory / name)
            expected = uncrashed(world.genesis, EngineChainStore(engine))
            for table in OF_HISTORY:
                assert rows(engine, table) == rows(expected, table), f"{table} of {name}"
            engine.close()

    def _open(self, directory: Path, life: int, trap: Trap) -> tuple[World, Witness]:
        """The world as the last life left it, before its nodes start."""
        users = (MAX_LIVES + 1) * (PAYMENTS + 1)
        world = World(self._seed, WorldSettings(nodes=NODES, users=users, slot_ms=SLOT_MS))
        log = directory / WITNESS
        down_s = Random(f"{self._seed}/{life}/down").uniform(0.1, 3 * SLOT_MS / 1000)
        world.clock.run_until(last_time(log, START_SECONDS * 1000) / 1000 + down_s)
        witness = Witness(log)
        witness.attend(world)
        for node, name in zip(world.nodes, self.stores, strict=True):
            node.lives = life
            node.engine = self._disk(directory / name, trap)
        return world, witness

    def _pay(self, world: World, witness: Witness, number: int, tx: Transaction | None) -> None:
        assert tx is not None, "the users are out of coins"
        witness.payment(tx)
        world.submit(number, tx)


def uncrashed(genesis: Genesis, store: EngineChainStore) -> MemoryEngine:
    """The store of a node that has taken the blocks of ``store`` one by one, with all checks."""
    engine = MemoryEngine()
    claim_store(engine, genesis.hash)
    chain = Chain(genesis, EngineChainStore(engine), verify)
    height, _ = store.tip() or (0, b"")
    for number in range(1, height + 1):
        block, certificate = store.block(number), store.certificate(number)
        assert block is not None and certificate is not None
        chain.commit(chain.check(block, store.transaction), certificate)
    return engine


def rows(engine: Engine, table: str) -> list[tuple[bytes, bytes]]:
    """All of a table, without how far headers were fetched ahead of blocks."""
    return [row for row in engine.scan(table) if row[0] != keys.META_HEADERS]
