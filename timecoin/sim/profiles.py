"""What a seed means under a profile: the nodes, the faults, who is faulty and what users do.

Rates are those of a busy bad day in the style of TigerBeetle's VOPR: a phase of faults, in which
nothing unsafe may happen, then a phase without, in which everything has to come right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from timecoin.sim.byzantine import BEHAVIOURS
from timecoin.sim.faults import (
    ClockSkew,
    Crash,
    Fault,
    FullDisk,
    OneWay,
    Partition,
    SlowLinks,
)
from timecoin.sim.network import LinkQuality
from timecoin.sim.world import WorldSettings

MIN_NODES = 4
MAX_NODES = 7
FIRST_FAULT_MS = 5_000
LONGEST_FAULT_MS = 40_000
MAX_KEPT_BATCHES = 4
MINUTES_A_DAY = 1_440
MAX_BEHAVIOURS = 3
"""Faults of one faulty node."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Link quality, and how often in a virtual minute each kind of fault begins, in per cent."""

    latency_ms: tuple[int, int]
    """The usual latency of a run is drawn from this range."""
    loss_per_mille: int
    crashes: int = 0
    partitions: int = 0
    one_ways: int = 0
    slow_links: int = 0
    skews: int = 0
    max_skew_ms: int = 0
    full_disks: int = 0
    restarts_a_day: int = 0
    """How often a day a node ends on the average, beside ``crashes``."""
    long_partitions: int = 0
    """How many partitions there are in all, beside ``partitions``."""
    longest_fault_ms: int = LONGEST_FAULT_MS
    double_spends: int = 10
    """Of a hundred payments, how many are two spends of one coin."""
    byzantine: bool = False


PROFILES: dict[str, Profile] = {
    "lan": Profile((0, 3), 0, crashes=50, full_disks=10),
    "wan": Profile(
        (40, 120), 5, crashes=30, partitions=30, slow_links=30, skews=20, max_skew_ms=2_000
    ),
    "chaos": Profile(
        (5, 80),
        20,
        crashes=250,
        partitions=100,
        one_ways=100,
        slow_links=60,
        skews=60,
        max_skew_ms=9_000,
        full_disks=50,
        double_spends=30,
    ),
    "days": Profile((5, 40), 1, restarts_a_day=1, long_partitions=2, longest_fault_ms=600_000),
    "byzantine": Profile((5, 60), 5, crashes=20, one_ways=30, double_spends=30, byzantine=True),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, all decided: what a failing seed is printed as, and what is cut down."""

    seed: int
    settings: WorldSettings
    minutes: int
    faults: tuple[Fault, ...]
    behaviours: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Faulty nodes by number, with their behaviours."""
    payments: int = 0
    double_spends: int = 0
    """Of so many payments, how many per cent are two spends of one coin."""
    dropped: tuple[int, ...] = field(default=())
    """Which faults of the seed were left out, by their index."""

    @property
    def faulty(self) -> frozenset[int]:
        """Numbers of the faulty nodes."""
        return frozenset(number for number, _ in self.behaviours)

    def without(self, dropped: tuple[int, ...]) -> Plan:
        """The same without the faults whose indexes are ``dropped``."""
        kept = tuple(f for index, f in enumerate(self.faults) if index not in set(dropped))
        return Plan(
            self.seed,
            self.settings,
            self.minutes,
            kept,
            self.behaviours,
            self.payments,
            self.double_spends,
            dropped,
        )


def make_plan(name: str, seed: int, nodes: int | None, minutes: int, payments: int) -> Plan:
    """The run that ``seed`` means under the profile ``name``; ``nodes`` None: the seed decides."""
    profile = PROFILES[name]
    rng = Random(f"{seed}/{name}/plan")
    count = nodes or rng.randint(MIN_NODES, MAX_NODES)
    low, high = profile.latency_ms
    latency_ms = rng.randint(low, high)
    quality = LinkQuality(
        latency_ms=latency_ms,
        jitter_ms=max(1, latency_ms // 2),
        loss_per_mille=profile.loss_per_mille,
        retransmit_ms=200 + 2 * latency_ms,
    )
    behaviours: tuple[tuple[int, tuple[str, ...]], ...] = ()
    if profile.byzantine:
        faulty = rng.sample(range(count), (count - 1) // 3)
        behaviours = tuple(
            (number, tuple(rng.sample(sorted(BEHAVIOURS), rng.randint(1, MAX_BEHAVIOURS))))
            for number in sorted(faulty)
        )
    return Plan(
        seed=seed,
        settings=WorldSettings(nodes=count, quality=quality),
        minutes=minutes,
        faults=_draw_faults(profile, rng, count, minutes),
        behaviours=behaviours,
        payments=payments,
        double_spends=profile.double_spends,
    )


def _draw_faults(profile: Profile, rng: Random, nodes: int, minutes: int) -> tuple[Fault, ...]:
    """Faults of all kinds, by the time at which they begin."""
    end_ms = minutes * 60_000

    def crash(at_ms: int, for_ms: int) -> Fault:
        return Crash(at_ms, for_ms, rng.randrange(nodes), rng.randrange(MAX_KEPT_BATCHES))

    def partition(at_ms: int, for_ms: int) -> Fault:
        order = rng.sample(range(nodes), nodes)
        cut = rng.randrange(1, nodes)
        return Partition(at_ms, for_ms, (tuple(order[:cut]), tuple(order[cut:])))

    def one_way(at_ms: int, for_ms: int) -> Fault:
        sender, receiver = rng.sample(range(nodes), 2)
        return OneWay(at_ms, for_ms, sender, receiver)

    def slow(at_ms: int, for_ms: int) -> Fault:
        return SlowLinks(at_ms, for_ms, rng.randint(2, 8))

    def skew(at_ms: int, for_ms: int) -> Fault:
        most = profile.max_skew_ms
        return ClockSkew(at_ms, for_ms, rng.randrange(nodes), rng.randint(-most, most))

    def full(at_ms: int, for_ms: int) -> Fault:
        return FullDisk(at_ms, for_ms, rng.randrange(nodes))

    kinds: list[tuple[int, Callable[[int, int], Fault]]] = [
        (profile.crashes, crash),
        (profile.partitions, partition),
        (profile.one_ways, one_way),
        (profile.slow_links, slow),
        (profile.skews, skew),
        (profile.full_disks, full),
    ]
    counts: list[tuple[int, Callable[[int, int], Fault]]] = []
    for rate, draw in kinds:
        expected = rate * minutes
        counts.append((expected // 100 + (rng.randrange(100) < expected % 100), draw))
    counts.append((profile.restarts_a_day * nodes * minutes // MINUTES_A_DAY, crash))
    counts.append((profile.long_partitions, partition))
    found: list[Fault] = []
    for count, draw in counts:
        for _ in range(count):
            at_ms = rng.randrange(FIRST_FAULT_MS, max(FIRST_FAULT_MS + 1, end_ms))
            for_ms = 1 + rng.randrange(min(profile.longest_fault_ms, max(1, end_ms - at_ms)))
            found.append(draw(at_ms, for_ms))
    return tuple(sorted(found, key=lambda fault: fault.at_ms))
