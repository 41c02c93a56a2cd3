"""Many seeds of a profile, in several processes; and one failing seed cut down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import click

from timecoin.sim.campaign import Outcome, run_plan, shrink
from timecoin.sim.profiles import Plan, make_plan


class SeedRange(click.ParamType[range]):
    """``FIRST..LAST`` as a range."""

    name = "first..last"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> range:
        """The seeds from FIRST to LAST, both included."""
        first, dots, last = str(value).partition("..")
        if not dots or not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
            self.fail(f"{value!r} is not FIRST..LAST", param, ctx)
        return range(int(first), int(last) + 1)


@dataclass(frozen=True, slots=True)
class Campaign:
    """What all seeds of a campaign have in common."""

    profile: str
    nodes: int | None
    minutes: int
    payments: int
    slot_ms: int

    def plan(self, seed: int) -> Plan:
        """The run of one seed."""
        plan = make_plan(self.profile, seed, self.nodes, self.minutes, self.payments)
        return replace(plan, settings=replace(plan.settings, slot_ms=self.slot_ms))

    def command(self, seed: int, dropped: tuple[int, ...] = ()) -> str:
        """What runs one seed again."""
        nodes = "" if self.nodes is None else f" --nodes {self.nodes}"
        drop = f" --drop {','.join(map(str, dropped))}" if dropped else ""
        return (
            f"timecoin-cli sim --profile {self.profile} --seed {seed}{nodes} --minutes "
            f"{self.minutes} --payments {self.payments} --slot {self.slot_ms / 1000:g}{drop}"
        )


Progress = Callable[[int, int, int], None]
"""Hears of (virtual second, height, final payments) while a single seed runs."""


def run_campaign(
    campaign: Campaign,
    seeds: range,
    jobs: int,
    drop: str,
    trace_path: Path | None,
    progress: Progress,
) -> None:
    """Run all ``seeds`` and print a summary; ``ClickException`` when a promise was broken."""
    dropped = _indexes(drop)
    if (dropped or trace_path) and len(seeds) > 1:
        raise click.UsageError("--drop and --trace are for one --seed")
    failed: list[Outcome] = []
    done: list[Outcome] = []
    with ExitStack() as stack:
        if len(seeds) == 1:
            outcomes: Iterator[Outcome] = iter(
                [_run_here(campaign, seeds[0], dropped, trace_path, progress)]
            )
        else:
            pool = stack.enter_context(ProcessPoolExecutor(jobs))
            outcomes = pool.map(_run_seed, (campaign,) * len(seeds), seeds)
        for outcome in outcomes:
            done.append(outcome)
            if outcome.broken is None:
                click.echo(
                    f"seed {outcome.seed}: height {outcome.height}, {outcome.final} final, "
                    f"p50/p95/p99 {'/'.join(map(str, outcome.latency_ms))} ms, "
                    f"well after {outcome.healed_slots} slots, digest {outcome.digest[:16]}"
                )
            else:
                failed.append(outcome)
                click.echo(f"seed {outcome.seed}: BROKEN: {outcome.broken}")
                click.echo(f"  again: {campaign.command(outcome.seed, dropped)}")
    blocks = sum(outcome.height for outcome in done)
    final = sum(outcome.final for outcome in done)
    click.echo(
        f"{campaign.profile}: {len(done)} seeds, {blocks} blocks, {final} payments final, "
        f"{len(failed)} broken"
    )
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(done)} seeds broke a promise")


def run_shrink(campaign: Campaign, seed: int) -> None:
    """Cut the faults of a failing seed down, and print what is left and how to run it."""

    def progress(left: int, runs: int) -> None:
        click.echo(f"{left} faults left after {runs} runs", err=True)

    try:
        plan = shrink(campaign.plan(seed), progress)
    except ValueError as error:
        raise click.ClickException(f"seed {seed}: {error}") from error
    for fault in plan.faults:
        click.echo(str(fault))
    for number, names in plan.behaviours:
        click.echo(f"node {number} is faulty: {', '.join(names)}")
    click.echo(campaign.command(seed, plan.dropped))


def _run_seed(campaign: Campaign, seed: int) -> Outcome:
    return run_plan(campaign.plan(seed))


def _run_here(
    campaign: Campaign,
    seed: int,
    dropped: tuple[int, ...],
    trace_path: Path | None,
    progress: Progress,
) -> Outcome:
    plan = campaign.plan(seed)
    if dropped and max(dropped) >= len(plan.faults):
        raise click.UsageError(f"seed {seed} has {len(plan.faults)} faults")
    if dropped:
        plan = plan.without(dropped)
    with ExitStack() as stack:
        write: Callable[[str], None] | None = None
        if trace_path is not None:
            try:
                trace = stack.enter_context(trace_path.open("w", encoding="utf-8"))
            except OSError as error:
                reason = f"cannot write {trace_path}: {error.strerror}"
                raise click.ClickException(reason) from error

            def write(line: str) -> None:
                trace.write(line + "\n")

        return run_plan(plan, write, progress)


def _indexes(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise click.UsageError("--drop: numbers of faults, such as 0,3,4")
    return tuple(sorted({int(part) for part in parts}))
