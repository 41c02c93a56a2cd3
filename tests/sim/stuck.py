"""Two spends of one coin of which neither gets a quorum, and a certificate that few have seen.

Three members are honest. The fourth is faulty: it takes the first spend in, two of the others vote
for it, so it holds a certificate; the third votes for the second spend. The faulty member keeps its
own votes and proposals back: nobody else can make a certificate, and blocks have to resolve it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from timecoin.finality.events import Status
from timecoin.finality.messages import Certified, Finalized
from timecoin.ledger.transaction import Transaction
from timecoin.node.catalog import KIND_OF
from timecoin.sim.behaviour import Faulty
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.byzantine import Byzantine
from timecoin.sim.invariants import Invariants
from timecoin.sim.network import Frame, LinkQuality
from timecoin.sim.world import SimNode, World, WorldSettings

COLLECTOR = 3
MERCHANT = 4
SLOT_S = 4
PATIENCE_S = 8
"""A vote that is late is asked for again."""
WITHIN_BLOCKS = 6
"""A contested output is spent within so many blocks (PROTOCOL 5)."""
SILENT = ("withhold-votes", "withhold-proposals")
CERTIFICATES = (KIND_OF[Certified], KIND_OF[Finalized])


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a seed's pairs: how many each side won, and the most blocks that one took."""

    certified_won: int
    other_won: int
    blocks: int


class Confiding:
    """The faulty member shows its certificates to one peer, and what it withholds to nobody."""

    def __init__(self, faults: Byzantine, confidant: bytes) -> None:
        self._faults = faults
        self._confidant = confidant

    def incoming(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Heard as it comes."""
        self._faults.incoming(peer, kind, payload)

    def outgoing(self, peer: bytes, kind: int, payload: bytes) -> list[Frame]:
        """Without certificates, but for the confidant."""
        return [
            frame
            for frame in self._faults.outgoing(peer, kind, payload)
            if peer == self._confidant or frame.kind not in CERTIFICATES
        ]


class StuckPairs:
    """One world with ``pairs`` stuck double spends."""

    def __init__(self, seed: int, pairs: int, merchant: bool) -> None:
        rng = self._rng = Random(f"{seed}/stuck")
        quality = LinkQuality(latency_ms=rng.randint(2, 80), jitter_ms=rng.randint(1, 40))
        count = MERCHANT + 1 if merchant else MERCHANT
        settings = WorldSettings(
            nodes=count, validators=MERCHANT, slot_ms=SLOT_S * 1000, quality=quality, users=pairs
        )
        self.world = World(seed, settings)
        self._collector = self.world.nodes[COLLECTOR]
        key = self._collector.voting_key.public
        self._invariants = Invariants(self.world, frozenset({key}))
        self._count = pairs
        self._pairs: list[tuple[int, Transaction, Transaction]] = []

    def faults(self, *names: str) -> Byzantine:
        """Of the collector."""
        node, world = self._collector, self.world
        faulty = Faulty(
            key=node.voting_key,
            chain_id=world.genesis.chain_id,
            slot_ms=world.settings.slot_ms,
            rng=world.rng("faults"),
            others=[other.voting_key.public for other in world.nodes if other is not node],
            in_second_half=lambda peer: peer < node.node_id,
        )
        return Byzantine(faulty, (*SILENT, *names))

    def ambush(self) -> Settled:
        """The collector shows its certificates once somebody proposes to resolve against them."""
        tampers = self.world.network.tampers
        tampers[self._collector.node_id] = self.faults("ambush-certificates")
        self._begin()
        return self._settle()

    def offline_merchant(self) -> Settled:
        """A merchant sees the certificates, goes offline and comes back at some time."""
        world = self.world
        merchant = world.nodes[MERCHANT]
        tamper = Confiding(self.faults(), merchant.node_id)
        world.network.tampers[self._collector.node_id] = tamper
        self._begin()
        for _ in range(PATIENCE_S):
            if self._holds_all(merchant):
                break
            world.run(1)
        else:
            raise AssertionError("the merchant does not get its certificates")
        self._link(merchant, False)
        away_s = self._rng.uniform(0, (WITHIN_BLOCKS + 3) * SLOT_S)
        world.run(away_s)
        self._link(merchant, True)
        return self._settle()

    def _holds_all(self, node: SimNode) -> bool:
        """Whether ``node`` holds the certificates of all first spends, and calls none final."""
        found = [node.running.finality.status(first.txid) for _, first, _ in self._pairs]
        return all(item is not None and item.status is Status.CERTIFIED for item in found)

    def _link(self, node: SimNode, up: bool) -> None:
        for other in self.world.nodes:
            if other is not node:
                network = self.world.network
                (network.heal if up else network.cut)(node.node_id, other.node_id)

    def _begin(self) -> None:
        world, rng = self.world, self._rng
        world.start()
        world.run(SLOT_S + 1)
        for _ in range(self._count):
            pair = world.users.double_spend()
            assert pair is not None
            honest = rng.sample(range(COLLECTOR), COLLECTOR)
            height = world.nodes[honest[0]].running.chain.tip_height
            for number in (COLLECTOR, *honest[:2]):
                world.submit(number, pair[0])
            world.submit(honest[2], pair[1])
            self._pairs.append((height, *pair))
        world.run(2)

    def _settle(self) -> Settled:
        """Time for six blocks and what a restless round costs; then each pair has one winner."""
        self.world.run((WITHIN_BLOCKS + 4) * SLOT_S)
        self._invariants.check_end()
        won: Counter[int] = Counter()
        blocks = 0
        for height, *pair in self._pairs:
            places = {
                tuple(node.running.chain.archived(tx.txid) for tx in pair)
                for node in self.world.nodes
                if node is not self._collector
            }
            if len(places) != 1:
                raise InvariantBroken(f"one side wins: nodes say {places}")
            (place,) = places
            taken = [at - height for at in place if at is not None]
            if len(taken) != 1 or taken[0] > WITHIN_BLOCKS:
                raise InvariantBroken(f"one side wins within six blocks: {place}, from {height}")
            blocks = max(blocks, taken[0])
            won[place.index(None)] += 1
        return Settled(certified_won=won[1], other_won=won[0], blocks=blocks)
