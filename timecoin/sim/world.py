"""A world: validators, links, users and a clock, all decided by one seed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from timecoin import params
from timecoin.consensus.seat import Identity
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.vrf import vrf_public
from timecoin.finality.events import StatusChanged
from timecoin.ledger.genesis import Allocation, Genesis, GenesisValidator, genesis_utxos
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import COLLATERAL_UNITS, Tier
from timecoin.mempool.entry import Admission
from timecoin.node.build import build_node
from timecoin.node.node import Node, NodeSettings
from timecoin.node.runtime import Runtime
from timecoin.node.wiring import observe
from timecoin.sim.clock import SimClock, SkewedClock
from timecoin.sim.disk import DiskFull, SimDisk
from timecoin.sim.network import LinkQuality, SimNetwork, SimPort
from timecoin.sim.shared import Shared
from timecoin.sim.topology import random_regular
from timecoin.sim.trace import Trace
from timecoin.sim.workload import USER_COINS_UNITS, Users

START_SECONDS = 1_800_000_000
WEIGHT = 100
NEW_OBJECTS = 1_000_000
"""While time passes Python looks for cycles after so many: there are few, in a world of objects."""
STAKING_UNITS = COLLATERAL_UNITS[Tier.GOLD] + params.UNITS_PER_TIME
"""What the owner of each masternode has from the start: enough for any tier, and fees."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What a run looks like, beside its seed."""

    nodes: int = 3
    validators: int | None = None
    """How many of the nodes are members of the active set; None for all."""
    network: params.Network = params.Network.DEVNET
    """Whose timing the world has; slots are ``slot_ms`` long all the same."""
    degree: int | None = None
    """Links of each node in a random graph; None links everybody with everybody."""
    masternodes: int = 0
    """How many of the nodes that are no validators have a voting key, and coins to stake."""
    expiry_height: int = 2**32
    """When the validators' weights of the genesis expire."""
    base_reward: int = params.UNITS_PER_TIME
    slot_ms: int = 10_000
    users: int = 50
    quality: LinkQuality = field(default_factory=LinkQuality)
    sync_ms: int = 1
    """Virtual time that a durable write takes."""


class SimNode:
    """One node of the world: its keys, its disk, and while it runs its process."""

    def __init__(self, world: World, number: int, votes: bool, stakes: bool = False) -> None:
        """``votes``: whether it is a validator; ``stakes``: whether it may become a masternode."""
        rng = world.rng(f"keys/{number}")
        self.number = number
        self.node_id = rng.randbytes(32)
        self.voting_key = SigningKey(rng.randbytes(32))
        self.vrf_seed = rng.randbytes(32)
        self.payout_key = SigningKey(rng.randbytes(32))
        self.owner_key = SigningKey(rng.randbytes(32))
        self.votes = votes
        self.has_voting_key = votes or stakes
        self.engine = SimDisk(world.shared.same)
        self.lives = 0
        self.build = build_node
        """Builds its process; another of the same kind may put it on tape."""
        self.skew_ms = 0
        """How far its clock is ahead; counts from the next start on."""
        self.node: Node | None = None
        self._port: SimPort | None = None
        self._world = world

    @property
    def running(self) -> Node:
        """The node's process; ``RuntimeError`` while it is down."""
        if self.node is None:
            raise RuntimeError(f"node {self.number} is down")
        return self.node

    @property
    def payout_hash(self) -> bytes:
        """Where its rewards go."""
        return hash160(self.payout_key.public)

    def validator(self) -> GenesisValidator:
        """The node's line in the genesis file."""
        return GenesisValidator(
            pubkey=self.voting_key.public,
            vrf_pubkey=vrf_public(self.vrf_seed),
            weight=WEIGHT,
            payout_hash=self.payout_hash,
            expiry_height=self._world.settings.expiry_height,
        )

    def start(self) -> None:
        """Start the process on what the disk holds; its links come up."""
        world = self._world
        life = self.lives
        self.lives += 1
        proved = self.voting_key.public if self.has_voting_key else None
        port = world.network.attach(self.node_id, proved, self.skew_ms)

        def offload(work: Callable[[], None], done: Callable[[], None]) -> None:
            def finish() -> None:
                if self._port is port:
                    work()
                    done()

            world.clock.callLater(world.settings.sync_ms / 1000, finish)

        runtime = Runtime(
            clock=SkewedClock(world.clock, self.skew_ms),
            rng=lambda purpose: world.rng(f"{self.number}/{life}/{purpose}"),
            network=port,
            engine=self.engine,
            offload=offload,
            verified=world.shared.verified,
            on_crash=lambda error: world.crashed(self, error),
            decode=world.shared.decode,
            draw=world.shared.draw,
        )
        self._port = port
        identity = Identity(self.voting_key, self.vrf_seed) if self.has_voting_key else None
        self.node = self.build(
            NodeSettings(world.genesis, identity=identity),
            runtime,
        )
        world.watch(self)
        self.node.start()
        port.start()
        world.trace.note(world.clock.seconds(), "start", self.number)

    def kill(self, keep: int = 0) -> None:
        """End the process at once; of what was not synced the first ``keep`` batches are left."""
        self._world.trace.note(self._world.clock.seconds(), "kill", self.number)
        if self._port is not None:
            self._port.stop()
            self._port = None
        if self.node is not None:
            self.node.stop()
            self.node = None
        self.engine.crash(keep)


class World:
    """Everything of one simulated run."""

    def __init__(
        self, seed: int, settings: WorldSettings, write: Callable[[str], None] | None = None
    ) -> None:
        self.seed = seed
        self.settings = settings
        self.clock = SimClock(START_SECONDS)
        self.trace = Trace(write)
        self.network = SimNetwork(self.clock, self.rng("network"), settings.quality, self.trace)
        self.users = Users(settings.users, self.rng("users"))
        self.shared = Shared()
        voting = settings.nodes if settings.validators is None else settings.validators
        keyed = voting + settings.masternodes
        self.nodes = [
            SimNode(self, number, votes=number < voting, stakes=number < keyed)
            for number in range(settings.nodes)
        ]
        if settings.degree is not None:
            edges = random_regular(settings.nodes, settings.degree, self.rng("topology"))
            self.network.join_only(
                (self.nodes[one].node_id, self.nodes[other].node_id) for one, other in edges
            )
        self.genesis = Genesis(
            version=1,
            network=settings.network,
            time_ms=START_SECONDS * 1000,
            slot_ms=settings.slot_ms,
            base_reward=settings.base_reward,
            validators=tuple(
                sorted((n.validator() for n in self.nodes if n.votes), key=lambda v: v.pubkey)
            ),
            allocations=(
                *(Allocation(user, USER_COINS_UNITS) for user in self.users.hashes),
                *(
                    Allocation(hash160(node.owner_key.public), STAKING_UNITS)
                    for node in self.nodes[voting:keyed]
                ),
            ),
        )
        coins = genesis_utxos(self.genesis)
        self.users.fund(self.genesis.chain_id, coins[: settings.users])
        self.submitted: dict[bytes, Transaction] = {}
        self.accepted_ms: dict[bytes, int] = {}
        self.submitted_at: dict[bytes, int] = {}
        """Which node accepted a transaction."""
        self.final_ms: dict[tuple[int, bytes], int] = {}
        """When each node first called a transaction final."""
        self._watchers: list[Callable[[SimNode], None]] = []
        self._disk_full: list[Callable[[SimNode], None]] = []

    def rng(self, purpose: str) -> Random:
        """A generator of its own for each purpose, all from the seed."""
        return Random(f"{self.seed}/{purpose}")

    def now_ms(self) -> int:
        """Virtual Unix time."""
        return int(self.clock.seconds() * 1000)

    def on_start(self, watcher: Callable[[SimNode], None]) -> None:
        """Call ``watcher`` for every node that is about to start."""
        self._watchers.append(watcher)

    def watch(self, node: SimNode) -> None:
        """Listen to the node's signals: finality times, and whatever the invariants want."""
        number = node.number

        def heard(signal: StatusChanged) -> None:
            if signal.status.finalized:
                self.final_ms.setdefault((number, signal.txid), signal.at_ms)
                self.users.settled(signal.txid)

        observe(node.running, StatusChanged, heard)
        for watcher in self._watchers:
            watcher(node)

    def on_disk_full(self, hearer: Callable[[SimNode], None]) -> None:
        """Call ``hearer`` with each node whose disk was full when it wrote."""
        self._disk_full.append(hearer)

    def crashed(self, node: SimNode, error: Exception) -> None:
        """A machine raised: a bug, which ends the run, unless its disk was full."""
        if not isinstance(error, DiskFull):
            raise error
        for hearer in self._disk_full:
            self.clock.callLater(0, hearer, node)

    def submit(self, number: int, tx: Transaction) -> bool:
        """Hand ``tx`` to a node as its RPC would; whether it was accepted."""
        verdict = self.nodes[number].running.submit(tx)
        accepted = verdict.admission is Admission.ACCEPTED
        self.trace.note(self.clock.seconds(), "submit", number, tx.txid, int(accepted))
        if accepted:
            self.submitted[tx.txid] = tx
            self.accepted_ms.setdefault(tx.txid, self.now_ms())
            self.submitted_at.setdefault(tx.txid, number)
        return accepted

    def start(self) -> None:
        """Start all nodes."""
        for node in self.nodes:
            node.start()

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        usual = gc.get_threshold()
        gc.set_threshold(NEW_OBJECTS, *usual[1:])
        try:
            self.clock.run_until(self.clock.seconds() + seconds)
        finally:
            gc.set_threshold(*usual)

    def final_txids(self) -> tuple[bytes, ...]:
        """Submitted transactions that some node called final, in order of submission."""
        final = {txid for _, txid in self.final_ms}
        return tuple(txid for txid in self.submitted if txid in final)

    def latencies_ms(self) -> list[int]:
        """From acceptance to final at the node that accepted, of all final payments, sorted."""
        return sorted(
            final_ms - self.accepted_ms[txid]
            for txid in self.final_txids()
            if (final_ms := self.final_ms.get((self.submitted_at[txid], txid))) is not None
        )
