"""Bugs to be planted into the node code, and where the simulator finds each.

A find is a run that is sound without the bug and names the broken promise with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from unittest import mock

from tests.sim import bugs
from tests.sim.overrun import Overrun
from tests.sim.stuck import StuckPairs
from timecoin.cli.campaign import Campaign
from timecoin.codec import decode
from timecoin.consensus.messages import BlockVote
from timecoin.finality.archive import Contents
from timecoin.finality.messages import Answer
from timecoin.mempool.policy import PoolLimits
from timecoin.node.catalog import KIND_OF, MESSAGES
from timecoin.params import UNITS_PER_TIME
from timecoin.quorum.statement import NIL
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.campaign import run_plan
from timecoin.sim.faults import Fault, Partition
from timecoin.sim.invariants import Invariants
from timecoin.sim.profiles import Plan, make_plan
from timecoin.sim.stakes import Owners
from timecoin.sim.world import SimNode, World, WorldSettings

SEEDS = range(1, 25)
"""Where chance decides whether a bug shows, so many seeds are tried at most."""

Bug = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Profiled:
    """A seed of a profile: what ``timecoin-cli sim`` runs."""

    profile: str
    seed: int
    nodes: int = 4
    minutes: int = 1
    payments: int = 10

    def __str__(self) -> str:
        campaign = Campaign(self.profile, self.nodes, self.minutes, self.payments, 10_000)
        return campaign.command(self.seed)

    def breaks(self) -> Iterator[str]:
        """The broken promise; nothing when all held."""
        campaign = Campaign(self.profile, self.nodes, self.minutes, self.payments, 10_000)
        yield from _if_any(run_plan(campaign.plan(self.seed)).broken)


@dataclass(frozen=True, slots=True)
class Searched:
    """The first seeds of a profile."""

    profile: str

    def __str__(self) -> str:
        command = str(Profiled(self.profile, SEEDS[0]))
        return command.replace(f"--seed {SEEDS[0]}", f"--seeds {SEEDS[0]}..{SEEDS[-1]}")

    def breaks(self) -> Iterator[str]:
        """What each seed breaks in turn."""
        return chain.from_iterable(Profiled(self.profile, seed).breaks() for seed in SEEDS)


@dataclass(frozen=True, slots=True)
class Directed:
    """A run made for the bug."""

    name: str
    play: Callable[[], str | None]

    def __str__(self) -> str:
        return self.name

    def breaks(self) -> Iterator[str]:
        """The broken promise; nothing when all held."""
        yield from _if_any(self.play())


@dataclass(frozen=True, slots=True)
class Seeded:
    """A run made for the bug, in which chance decides, whatever a seed means."""

    name: str
    play: Callable[[int], str | None]

    def __str__(self) -> str:
        return self.name

    def breaks(self) -> Iterator[str]:
        """What each seed breaks in turn."""
        return chain.from_iterable(_if_any(self.play(seed)) for seed in SEEDS)


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug."""

    rule: str
    """What is left out, in words; as the table of docs/simulator.rst says it."""
    bug: Bug
    find: Profiled | Searched | Directed | Seeded
    promise: str
    """The promise that is broken then: the beginning of what a run says."""


def _if_any(broken: str | None) -> tuple[str, ...]:
    return () if broken is None else (broken,)


# runs made for one bug


def _plan(faulty: dict[int, tuple[str, ...]], faults: tuple[Fault, ...], seed: int = 1) -> Plan:
    settings = WorldSettings(nodes=4)
    return Plan(seed, settings, 1, faults, tuple(faulty.items()), 10, 50)


def broken_in(play: Callable[[], object]) -> str | None:
    """The promise that ``play`` breaks; None for none."""
    try:
        play()
    except InvariantBroken as error:
        return str(error)
    return None


def growing_set(seed: int) -> str | None:
    """Four members of equal weight; a fifth joins with ten times the weight of each."""
    world = World(seed, WorldSettings(nodes=5, validators=4, masternodes=1))
    Invariants(world)
    owners = Owners(world)
    world.start()
    world.run(10)
    owners.register(world.nodes[4], 100_000 * UNITS_PER_TIME, world.nodes[0])
    return broken_in(lambda: world.run(70))


def censor() -> None:
    """A member leaves out of its blocks all that was paid."""
    world = World(1, WorldSettings(nodes=4))
    Invariants(world)

    def corrupt(node: SimNode) -> None:
        if node.number == 1:
            nothing = mock.Mock(return_value=Contents((), (), ()))
            node.running.finality.contents = nothing  # type: ignore[method-assign]

    world.on_start(corrupt)
    world.start()
    for _ in range(60):
        payment = world.users.payment()
        if payment is not None:
            world.submit(0, payment)
        world.run(2)


def two_double_voters() -> None:
    """Half of the weight votes for everything, so certificates of both sides exist."""
    overrun = Overrun(1, "vote-for-everything")
    Invariants(overrun.world, overrun.keys)
    overrun.spend_twice(10)


def flood() -> None:
    """A node that is cut off gets twice the payments that its pool may hold."""
    world = World(1, WorldSettings(nodes=4, users=60))
    Invariants(world)
    node = world.nodes[3]
    build, limits = node.build, PoolLimits(max_pending=30)
    node.build = lambda settings, runtime: build(replace(settings, pool=limits), runtime)
    world.start()
    for other in world.nodes[:3]:
        world.network.cut(node.node_id, other.node_id)
    world.run(1)
    while (payment := world.users.payment()) is not None:
        world.submit(3, payment)
    world.run(5)


def forged_history(seed: int) -> str | None:
    """Who was cut off catches up, and hears first a member that has made up its history."""
    away = Partition(5_000, 30_000, ((0,), (1, 2, 3)))
    longer = Partition(5_000, 40_000, ((0,), (2, 3)))
    return run_plan(_plan({1: ("forge-history",)}, (away, longer), seed)).broken


def locks_of_rounds(seed: int) -> str | None:
    """A bad minute of ``chaos`` in which a member prepares other things towards each half."""
    plan = make_plan("chaos", seed, 4, 1, 4)
    return run_plan(replace(plan, behaviours=((3, ("equivocate-votes",)),))).broken


def crash_after_vote() -> None:
    """A process ends when its vote has left, and is asked about the other spend by two members."""
    world = World(1, WorldSettings(nodes=4))
    Invariants(world)
    victim, first, *rest = world.nodes
    hasty = [node.node_id for node in rest]

    def restart() -> None:
        victim.kill()
        world.network.cut(victim.node_id, first.node_id)
        for other in hasty:
            world.network.heal(victim.node_id, other)
        victim.start()

    def look(sender: bytes, receiver: bytes, kind: int, payload: bytes) -> None:
        if victim.lives == 1 and sender == victim.node_id and kind == KIND_OF[Answer]:
            if decode(payload, Answer, MESSAGES[kind].max_bytes).vote is not None:
                world.clock.callLater(0, restart)

    world.network.taps.append(look)
    world.start()
    world.run(12)
    for other in hasty:
        world.network.cut(victim.node_id, other)
    pair = world.users.double_spend()
    assert pair is not None
    for node in rest:
        world.submit(node.number, pair[1])
    world.submit(first.number, pair[0])
    world.run(30)


def crash_after_prepare() -> None:
    """A process ends when its prepare has left, and begins again cut off from the proposal."""
    world = World(1, WorldSettings(nodes=4))
    Invariants(world)
    victim = world.nodes[0]
    others = [node.node_id for node in world.nodes[1:]]

    def restart() -> None:
        for other in others:
            world.network.cut(victim.node_id, other)
        victim.kill()
        victim.start()
        world.clock.callLater(5, heal)

    def heal() -> None:
        for other in others:
            world.network.heal(victim.node_id, other)

    def look(sender: bytes, receiver: bytes, kind: int, payload: bytes) -> None:
        if victim.lives == 1 and sender == victim.node_id and kind == KIND_OF[BlockVote]:
            vote = decode(payload, BlockVote, MESSAGES[kind].max_bytes)
            if vote.block_hash != NIL and receiver == others[-1]:
                world.clock.callLater(0, restart)

    world.network.taps.append(look)
    world.start()
    world.run(40)


def stuck_pairs(seed: int, merchant: bool) -> str | None:
    """Stuck double spends, and certificates that one merchant or nobody has seen."""
    run = StuckPairs(seed, 3, merchant)
    return broken_in(run.offline_merchant if merchant else run.ambush)


_AMBUSH = Seeded(
    "stuck pairs whose certificates appear when a block resolves against them",
    lambda seed: stuck_pairs(seed, merchant=False),
)
_RETURNING = Seeded(
    "stuck pairs, and a merchant that comes back with certificates",
    lambda seed: stuck_pairs(seed, merchant=True),
)
_CRASH_VOTE = Directed("a process ends when its vote has left", lambda: broken_in(crash_after_vote))
_CRASH = Directed(
    "a process ends when its prepare has left", lambda: broken_in(crash_after_prepare)
)

PLANTED = (
    Planted("a quorum is one half", bugs.half_is_a_quorum, Profiled("lan", 1), "certificate"),
    Planted(
        "a quorum in the newest snapshot alone",
        bugs.newest_snapshot_alone,
        Seeded("a member joins with most of the weight", growing_set),
        "precommit certificate",
    ),
    Planted("each vote counts twice", bugs.a_vote_counts_twice, Profiled("lan", 2), "certificate"),
    Planted(
        "a vote despite a lock on another spend",
        bugs.votes_despite_locks,
        Profiled("lan", 1),
        "never two votes",
    ),
    Planted(
        "votes and locks leave before they are on disk",
        bugs.locks_not_durable,
        _CRASH_VOTE,
        "never two votes",
    ),
    Planted(
        "votes and locks forgotten at a restart",
        bugs.locks_forgotten_at_restart,
        _CRASH_VOTE,
        "never two votes",
    ),
    Planted("locks die with a block", bugs.locks_die_with_a_block, Searched("chaos"), "never two"),
    Planted(
        "final by the certificate alone",
        bugs.final_without_receipts,
        Profiled("lan", 1),
        "receipts",
    ),
    Planted(
        "receipts for two conflicting spends",
        bugs.two_receipts,
        Directed("half of the weight votes for everything", lambda: broken_in(two_double_voters)),
        "never two receipts",
    ),
    Planted(
        "a receipt against a resolution one has prepared",
        bugs.receipts_after_a_resolution,
        _AMBUSH,
        "resolutions bind",
    ),
    Planted(
        "a resolution against a stored certificate and one's receipt",
        bugs.resolves_against_certificates,
        _RETURNING,
        "receipts bind",
    ),
    Planted(
        "blocks may leave out what is certified",
        bugs.certified_left_out,
        Directed("a member leaves payments out of its blocks", lambda: broken_in(censor)),
        "final is archived",
    ),
    Planted(
        "block votes forgotten at a restart",
        bugs.signer_forgets,
        _CRASH,
        "never two votes",
    ),
    Planted(
        "block votes leave before they are on disk",
        bugs.block_votes_not_durable,
        _CRASH,
        "never two votes",
    ),
    Planted(
        "a precommit without a prepare quorum",
        bugs.precommits_at_once,
        Profiled("wan", 1),
        "precommits follow prepares",
    ),
    Planted(
        "locks across rounds ignored",
        bugs.locks_of_rounds_ignored,
        Seeded("``chaos`` with a member that tells each half another vote", locks_of_rounds),
        "locks hold",
    ),
    Planted(
        "headers and blocks without certificate",
        bugs.headers_without_certificate,
        Seeded("who catches up hears a made-up history first", forged_history),
        "agreement",
    ),
    Planted(
        "the seed does not follow from the VRF",
        bugs.seed_does_not_follow,
        Profiled("wan", 1),
        "lottery",
    ),
    Planted("a reward off by one unit", bugs.reward_off_by_one, Profiled("lan", 1), "rewards sum"),
    Planted("fees are paid out twice", bugs.fees_paid_twice, Profiled("lan", 1), "rewards sum"),
    Planted(
        "a pool without bound",
        bugs.pool_without_bound,
        Directed("twice the payments that a pool may hold", lambda: broken_in(flood)),
        "memory",
    ),
    Planted("spent outputs stay", bugs.spent_outputs_stay, Profiled("lan", 1), "supply"),
)


def table() -> str:
    """The bugs as docs/simulator.rst shows them."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 34 46 20",
        "",
        "   * - bug",
        "     - found by",
        "     - promise",
    ]
    for bug in PLANTED:
        find = f"``{bug.find}``" if isinstance(bug.find, Profiled | Searched) else str(bug.find)
        lines += [f"   * - {bug.rule}", f"     - {find}", f"     - {bug.promise}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
