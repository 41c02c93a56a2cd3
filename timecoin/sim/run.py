"""One simulated run: start, pay, settle, check, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from timecoin.sim.invariants import Invariants
from timecoin.sim.traffic import Traffic
from timecoin.sim.world import World, WorldSettings

SETTLE_SLOTS = 4
"""Slots after the last payment in which everything has to come to rest."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run showed; times are virtual milliseconds."""

    heights: tuple[int, ...]
    payments: int
    final: int
    archived: int
    latency_ms: tuple[int, int, int]
    """p50, p95, p99 from acceptance to final at the node that accepted."""
    frames: int
    messages_per_payment: int
    messages_per_block: int
    bytes: int
    blocks_checked: int
    finals_checked: int
    digest: str


def percentile(ordered: list[int], per_cent: int) -> int:
    """The value at ``per_cent`` of a sorted list; 0 of an empty one."""
    return ordered[(len(ordered) - 1) * per_cent // 100] if ordered else 0


def percentiles(ordered: list[int]) -> tuple[int, int, int]:
    """p50, p95 and p99 of a sorted list."""
    return percentile(ordered, 50), percentile(ordered, 95), percentile(ordered, 99)


def simulate(
    seed: int,
    settings: WorldSettings,
    minutes: int,
    payments: int,
    progress: Callable[[int, int, int], None],
    write_trace: Callable[[str], None] | None = None,
) -> Report:
    """Run one world for ``minutes`` of virtual time with ``payments`` spread over them.

    ``progress`` hears of (virtual second, height, final payments). Raises ``InvariantBroken``,
    or whatever a machine raised, at the first fault.
    """
    world = World(seed, settings, write_trace)
    invariants = Invariants(world)
    traffic = Traffic(world)
    world.start()
    settle_s = SETTLE_SLOTS * settings.slot_ms // 1000
    end_ms = world.now_ms() + minutes * 60_000
    paying_s = max(1, minutes * 60 - settle_s - settings.slot_ms // 1000)
    rng = world.rng("payments")
    moments = sorted(rng.randrange(paying_s * 1000) for _ in range(payments))
    start_ms = world.now_ms() + settings.slot_ms // 2

    def pay() -> None:
        tx = world.users.payment()
        if tx is None:
            world.clock.callLater(1, pay)
            return
        number = rng.randrange(settings.nodes)
        if not world.submit(number, tx):
            raise AssertionError(f"payment {tx.txid.hex()} was refused")

    for moment in moments:
        world.clock.callLater((start_ms + moment - world.now_ms()) / 1000, pay)
    while world.now_ms() < end_ms:
        world.run(min(60.0, (end_ms - world.now_ms()) / 1000))
        elapsed = minutes * 60 - (end_ms - world.now_ms()) // 1000
        progress(elapsed, world.nodes[0].running.chain.tip_height, len(world.final_txids()))
    invariants.check_end()
    return _report(world, invariants, traffic, payments)


def _report(world: World, invariants: Invariants, traffic: Traffic, payments: int) -> Report:
    final = world.final_txids()
    chain = world.nodes[0].running.chain
    return Report(
        heights=tuple(node.running.chain.tip_height for node in world.nodes),
        payments=payments,
        final=len(final),
        archived=sum(chain.archived(txid) is not None for txid in final),
        latency_ms=percentiles(world.latencies_ms()),
        frames=traffic.frames,
        messages_per_payment=traffic.of_payments // max(1, payments),
        messages_per_block=traffic.of_blocks // max(1, chain.tip_height),
        bytes=traffic.bytes,
        blocks_checked=invariants.blocks_checked,
        finals_checked=invariants.finals_checked,
        digest=world.trace.digest(),
    )
