"""A simulated network whose owners stake, leave, fail and return in every few slots."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from timecoin.chain.commit import BlockConnected
from timecoin.consensus.sortition import eligible
from timecoin.ledger.rewards import block_reward
from timecoin.ledger.transaction import Outpoint
from timecoin.masternodes.active_set import ActiveSet, Tier
from timecoin.node.wiring import observe
from timecoin.params import UNITS_PER_TIME
from timecoin.quorum.certificate import check_precommit_certificate
from timecoin.quorum.snapshots import block_snapshots
from timecoin.sim.corruption import corrupt
from timecoin.sim.invariants import Invariants
from timecoin.sim.stakes import Owners
from timecoin.sim.world import SimNode, World, WorldSettings

FOUNDERS = 3
STAKES = (1_000, 1_000, 10_000, 1_000, 10_000)
"""What masternodes stake, in turn."""
GOLD_PLACES = (7, 11, 13, 19, 25)
"""So many that none of them holds a third."""
FREE_PLACES = (5, 15)
OPERATORS = 100
"""If there are more masternodes, some have one operator, and are paid to one address."""
REGISTERING_SLOTS = 25
"""So long it takes until all have registered, if two a slot are not enough."""
OUTAGE_EVERY, OUTAGE_SLOTS, DOWN_DIVISOR = 8, 3, 4
"""Who was away longer than the time to live needs some blocks to get in again."""
FAULTS = (
    "withhold-votes",
    "withhold-proposals",
    "delay",
    "target-candidates",
    "withhold-certificates",
    "invalid-signatures",
)
"""What faulty members do, in turn; those that sign twice are jailed (``test_equivocators``)."""


class MixedTiersRun:
    """Founders and masternodes of all tiers; each slot something happens to one of them."""

    def __init__(
        self, seed: int, settings: WorldSettings, expiry_height: int, faulty: bool = False
    ) -> None:
        """``expiry_height``: when the founders' weights end; ``faulty``: members go bad."""
        self.world = World(
            seed,
            replace(
                settings,
                validators=FOUNDERS,
                masternodes=settings.nodes - FOUNDERS,
                users=100,
                expiry_height=expiry_height,
            ),
        )
        self.seed = seed
        self._slot_s = settings.slot_ms / 1_000
        self.rng = self.world.rng("mixed tiers")
        self.masternodes = self.world.nodes[FOUNDERS:]
        for place, node in enumerate(self.masternodes[OPERATORS:], OPERATORS):
            node.payout_key = self.masternodes[place % OPERATORS].payout_key
        self.faults: dict[int, str] = dict(self._faults()) if faulty else {}
        """What each node does that goes bad once all have joined."""
        self.honest = [node for node in self.world.nodes if node.number not in self.faults]
        bad = [node for node in self.world.nodes if node.number in self.faults]
        keys = frozenset(node.voting_key.public for node in bad)
        self.invariants = Invariants(self.world, keys)
        self.owners = Owners(self.world)
        self.world.start()
        self.points: dict[int, Outpoint | None] = {}
        """The stake of each that has registered; None of a Free one."""
        self.txids: list[bytes] = []
        self.left: dict[int, None] = {}
        self.events: Counter[str] = Counter()
        self.produced: Counter[str] = Counter()
        self.expected: dict[str, float] = {}
        self.sizes: list[int] = []
        self.tiers: dict[int, None] = {}
        self.largest_outage = self.largest_faulty = 0
        """Per mille of the weight."""
        self.checked = 0
        self._slots = 0
        self._per_slot = max(2, len(self.masternodes) // REGISTERING_SLOTS)
        self._supply = self.seer.running.views.audit().total_units
        observe(self.seer.running, BlockConnected, self._check)
        self.world.run(self._slot_s)

    @property
    def seer(self) -> SimNode:
        """A node that is never taken down: the last founder, which stays on as a follower."""
        return self.world.nodes[FOUNDERS - 1]

    @property
    def active(self) -> ActiveSet:
        return self.owners.active(self.seer)

    @property
    def height(self) -> int:
        return self.seer.running.chain.tip_height

    def figures(self) -> str:
        """For messages."""
        shown = {tier: round(due, 1) for tier, due in self.expected.items()}
        return (
            f"seed {self.seed}: height {self.height}, {dict(self.events)}, "
            f"{len(self.txids)} payments, at most {max(self.sizes)} members, "
            f"{self.largest_outage} per mille down, "
            f"{self.largest_faulty} faulty, produced {dict(self.produced)}, due {shown}, "
            f"chi-squared {self.chi_squared()}"
        )

    def step(self, outages: bool, faults: bool) -> None:
        """One slot; ``faults``: who is to go bad does once all have joined."""
        self._register()
        if self.height % 3 == 0:
            self._leave_or_return()
        if outages:
            self._outage()
        if faults and not self.world.network.tampers and self._all_joined():
            self._corrupt()
        up = [node for node in self.honest if node.node is not None]
        for _ in range(2):
            tx = self.world.users.payment()
            if tx is not None and self.world.submit(self.rng.choice(up).number, tx):
                self.txids.append(tx.txid)
        self.world.run(self._slot_s)

    def settle(self) -> None:
        """The faulty are gone, everybody else is up again, and things come to rest."""
        for node in self.world.nodes:
            if node.number in self.faults:
                node.kill()
            elif node.node is None:
                node.start()
        self.world.run(6 * self._slot_s)
        self.invariants.check_end()

    # what owners do

    def _stake_of(self, node: SimNode) -> int:
        """In TIME; 0 of who joins for free."""
        place = node.number - FOUNDERS
        if place in FREE_PLACES:
            return 0
        return 100_000 if place in GOLD_PLACES else STAKES[place % len(STAKES)]

    def _register(self) -> None:
        """The next masternodes register, until all have."""
        waiting = [node for node in self.masternodes if node.number not in self.points]
        for node in waiting[: self._per_slot]:
            units = self._stake_of(node) * UNITS_PER_TIME
            self.points[node.number] = (
                self.owners.register(node, units, self.seer) if units else None
            )
            self._choose(node)
            self.events["stakes" if units else "free"] += 1

    def _choose(self, node: SimNode) -> None:
        point = self.points[node.number]
        if point is None:
            self.owners.join_free(node)
        else:
            self.owners.choose(node, point)

    def _leave_or_return(self) -> None:
        if self.left and self.rng.randrange(2):
            number = self.rng.choice(list(self.left))
            node = self.world.nodes[number]
            if node.node is not None:
                del self.left[number]
                self._choose(node)
                self.events["returns"] += 1
            return
        members = [node for node in self.masternodes if self._may_leave(node)]
        if len(members) > 1:
            node = self.rng.choice(members)
            self.owners.leave(node, self.seer)
            self.left[node.number] = None
            self.events["leaves"] += 1

    def _may_leave(self, node: SimNode) -> bool:
        """Not the heavy ones, which would take the quorum with them, nor if too few honest stay."""
        active = self.active
        member = active.by_pubkey.get(node.voting_key.public)
        if member is None or node.number in self.left or node.number in self.faults:
            return False
        total = active.total_weight
        faulty = sum(self._stake_weight(active, number) for number in self.faults)
        expiring = sum(each.weight for each in active.members if each.tier == Tier.GENESIS)
        return 20 * member.weight <= total and 3 * faulty < total - expiring - member.weight

    def _stake_weight(self, active: ActiveSet, number: int) -> int:
        return active.weights.get(self.world.nodes[number].voting_key.public, 0)

    # what goes wrong

    def _outage(self) -> None:
        """A fifth of the weight is down for three slots of eight: one of the heavy, and others."""
        self._slots += 1
        if self._slots % OUTAGE_EVERY == OUTAGE_SLOTS:
            for node in self.world.nodes:
                if node.node is None:
                    node.start()
        if self._slots % OUTAGE_EVERY:
            return
        active = self.active
        weight, down, most = 0, 0, len(self.world.nodes) // DOWN_DIVISOR
        nodes = [node for node in self.world.nodes if node is not self.seer]
        self.rng.shuffle(nodes)
        nodes.sort(key=lambda node: self._stake_weight(active, node.number) < 1_000)
        for node in nodes:
            own = self._stake_weight(active, node.number)
            if own and down < most and 5 * (weight + own) <= active.total_weight:
                weight += own
                down += 1
                node.kill()
                self.events["outages"] += 1
        self.largest_outage = max(self.largest_outage, 1_000 * weight // active.total_weight)

    def _faults(self) -> list[tuple[int, str]]:
        """Who will have just under a third of what will be staked: heavy ones first."""
        total = sum(self._weight(node) for node in self.masternodes)
        numbers: list[int] = []
        faulty = 0
        order = sorted(self.masternodes, key=lambda node: (-self._weight(node), node.number))
        for node in order:
            weight = self._weight(node)
            # Room for a few Bronze ones that are out.
            if weight and 3 * (faulty + weight) < total - 50:
                faulty += weight
                numbers.append(node.number)
        return [(number, FAULTS[place % len(FAULTS)]) for place, number in enumerate(numbers)]

    def _weight(self, node: SimNode) -> int:
        return self._stake_of(node) // 100

    def _all_joined(self) -> bool:
        members = self.active.weights
        return all(
            node.voting_key.public in members or node.number in self.left
            for node in self.masternodes
            if self._stake_of(node)
        )

    def _corrupt(self) -> None:
        for number, name in self.faults.items():
            corrupt(self.world, self.world.nodes[number], name)
            self.events["corrupted"] += 1

    # what must hold

    def _check(self, signal: BlockConnected) -> None:
        """Certificate, avs_root and reward of a block; its producer against the weights."""
        chain, height = self.seer.running.chain, signal.block.height
        snapshots = block_snapshots(chain, height)
        before, after = chain.active_set(height - 1), chain.active_set(height)
        assert snapshots is not None and before is not None and after is not None
        check_precommit_certificate(
            signal.certificate,
            snapshots,
            self.world.genesis.chain_id,
            self.world.shared.verified.check,
        )
        assert signal.block.header.avs_root == after.root
        issued = block_reward(self.world.genesis.base_reward, len(before.staked))
        total = self.seer.running.views.audit().total_units
        assert total - self._supply == issued, f"{total - self._supply} units, not {issued}"
        self._supply = total
        self.checked += 1
        self.sizes.append(len(after.members))
        self.tiers.update(dict.fromkeys(member.tier for member in after.members))
        weights = [self._stake_weight(after, number) for number in self.faults]
        if self.world.network.tampers:
            share = 1_000 * sum(weights) // after.total_weight
            self.largest_faulty = max(self.largest_faulty, share)
        self._count_producer(before, signal)

    def _count_producer(self, before: ActiveSet, signal: BlockConnected) -> None:
        """Among those who are up and honest, whose turn it was goes by weight."""
        up = {node.voting_key.public for node in self.honest if node.node is not None}
        producer = before.by_pubkey[signal.block.header.producer]
        if producer.pubkey not in up:
            return
        members = [m for m in eligible(before, signal.block.height) if m.pubkey in up]
        total = sum(member.weight for member in members)
        for member in members:
            name = Tier(member.tier).name
            self.expected[name] = self.expected.get(name, 0.0) + member.weight / total
        self.produced[Tier(producer.tier).name] += 1

    def chi_squared(self) -> tuple[float, int]:
        """The statistic over tiers that were due 5 blocks or more, and its degrees of freedom."""
        due = {tier: value for tier, value in self.expected.items() if value >= 5}
        found = sum((self.produced[tier] - value) ** 2 / value for tier, value in due.items())
        return found, len(due) - 1
