"""``timecoin-cli sim``: many nodes under a virtual clock, decided by one seed."""

from __future__ import annotations

from pathlib import Path

import click

from timecoin.cli.campaign import Campaign, SeedRange, run_campaign, run_shrink
from timecoin.cli.parameters import Seconds
from timecoin.sim.invariants import InvariantBroken
from timecoin.sim.profiles import PROFILES
from timecoin.sim.run import Report, simulate
from timecoin.sim.world import WorldSettings

MAX_NODES = 100
MAX_JOBS = 64
DEFAULT_NODES = 7
PROGRESS_EVERY_S = 300


@click.command()
@click.option(
    "--nodes",
    type=click.IntRange(1, MAX_NODES),
    help=f"Validators.  [default: {DEFAULT_NODES}; with --profile 4 to 7, by the seed]",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--minutes", type=click.IntRange(1, 1_000_000), default=20, show_default=True)
@click.option("--payments", type=click.IntRange(0, 1_000_000), default=200, show_default=True)
@click.option("--slot", "slot_ms", type=Seconds(), default="10", show_default=True)
@click.option(
    "--profile",
    type=click.Choice(sorted(PROFILES)),
    help="Let things go wrong as this profile says, then heal: all has to come right.",
)
@click.option("--seeds", type=SeedRange(), help="FIRST..LAST: one run for each; needs --profile.")
@click.option("--jobs", type=click.IntRange(1, MAX_JOBS), default=1, show_default=True)
@click.option("--shrink", is_flag=True, help="Cut a failing seed's faults down to a few.")
@click.option("--drop", type=str, default="", help="Leave out these faults of the seed: 0,3,4.")
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every event to this file: what the digest is taken over.",
)
def sim(
    nodes: int | None,
    seed: int,
    minutes: int,
    payments: int,
    slot_ms: int,
    profile: str | None,
    seeds: range | None,
    jobs: int,
    shrink: bool,
    drop: str,
    trace_path: Path | None,
) -> None:
    """Run a simulated network and check its invariants; the last line is its digest.

    One seed gives one digest, whatever PYTHONHASHSEED is.
    """
    if profile is None:
        if seeds is not None or shrink or drop:
            raise click.UsageError("--seeds, --shrink and --drop need --profile")
        settings = WorldSettings(nodes=nodes or DEFAULT_NODES, slot_ms=slot_ms)
        _run_one(seed, settings, minutes, payments, trace_path)
        return
    campaign = Campaign(profile, nodes, minutes, payments, slot_ms)
    if shrink:
        run_shrink(campaign, seed)
    else:
        run_campaign(campaign, seeds or range(seed, seed + 1), jobs, drop, trace_path)


def _run_one(
    seed: int, settings: WorldSettings, minutes: int, payments: int, trace_path: Path | None
) -> None:
    try:
        if trace_path is None:
            report = simulate(seed, settings, minutes, payments, show_progress)
        else:
            with trace_path.open("w", encoding="utf-8") as trace:

                def write(line: str) -> None:
                    trace.write(line + "\n")

                report = simulate(seed, settings, minutes, payments, show_progress, write)
    except InvariantBroken as error:
        raise click.ClickException(f"seed {seed}: invariant broken: {error}") from error
    except OSError as error:
        raise click.ClickException(f"cannot write {trace_path}: {error.strerror}") from error
    for line in describe(report):
        click.echo(line)


def show_progress(second: int, height: int, final: int) -> None:
    """A line on stderr every few virtual minutes."""
    if second % PROGRESS_EVERY_S == 0:
        click.echo(f"{second // 60} min: height {height}, {final} payments final", err=True)


def describe(report: Report) -> list[str]:
    """The lines of a report; times are virtual."""
    p50, p95, p99 = report.latency_ms
    low, high = min(report.heights), max(report.heights)
    return [
        f"heights      {', '.join(map(str, report.heights))} (lowest {low}, highest {high})",
        f"payments     {report.payments}, final {report.final}, archived {report.archived}",
        f"finality     p50 {p50} ms, p95 {p95} ms, p99 {p99} ms",
        f"messages     {report.messages} in all, {report.bytes} bytes, "
        f"{report.messages_per_payment} per payment",
        f"invariants   agreement and supply in {report.blocks_checked} blocks, no double spend, "
        f"{report.finals_checked} finals archived or waiting everywhere",
        f"digest {report.digest}",
    ]
