"""``timecoin-cli sim``: many nodes under a virtual clock, decided by one seed."""

from __future__ import annotations

from pathlib import Path

import click

from timecoin.cli.campaign import Campaign, SeedRange, run_campaign, run_shrink
from timecoin.cli.parameters import Seconds
from timecoin.params import Network, network_of
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.profiles import PROFILES
from timecoin.sim.run import Report, simulate
from timecoin.sim.world import WorldSettings

MAX_NODES = 500
MAX_JOBS = 64
DEFAULT_NODES = 7
PROGRESS_EVERY_S = 300


@click.command()
@click.option(
    "--nodes",
    type=click.IntRange(1, MAX_NODES),
    help=f"Nodes of the network.  [default: {DEFAULT_NODES}; with --profile 4 to 7, by the seed]",
)
@click.option(
    "--validators",
    type=click.IntRange(1, MAX_NODES),
    help="How many of them are validators; without it all are.",
)
@click.option(
    "--degree",
    type=click.IntRange(2, MAX_NODES),
    help="Links of each node in a random graph; without it all are linked with all.",
)
@click.option(
    "--network",
    type=click.Choice([network.label for network in Network]),
    default=Network.DEVNET.label,
    show_default=True,
    help="Whose time-outs and heartbeats to use.",
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
    validators: int | None,
    degree: int | None,
    network: str,
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
        settings = _settings(nodes or DEFAULT_NODES, validators, degree, network, slot_ms)
        _run_one(seed, settings, minutes, payments, trace_path)
        return
    if validators is not None or degree is not None:
        raise click.UsageError("--validators and --degree are not for --profile")
    campaign = Campaign(profile, nodes, minutes, payments, slot_ms)
    if shrink:
        run_shrink(campaign, seed)
    else:
        run_campaign(
            campaign, seeds or range(seed, seed + 1), jobs, drop, trace_path, show_progress
        )


def _settings(
    nodes: int, validators: int | None, degree: int | None, network: str, slot_ms: int
) -> WorldSettings:
    if validators is not None and validators > nodes:
        raise click.BadParameter(f"only {nodes} nodes", param_hint="--validators")
    if degree is not None and (degree >= nodes or degree * nodes % 2):
        raise click.BadParameter(
            f"{nodes} nodes cannot have {degree} links each", param_hint="--degree"
        )
    return WorldSettings(
        nodes=nodes,
        validators=validators,
        degree=degree,
        network=network_of(network),
        slot_ms=slot_ms,
    )


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
        f"heights      lowest {low}, highest {high} of {len(report.heights)} nodes",
        f"payments     {report.payments}, final {report.final}, archived {report.archived}",
        f"finality     p50 {p50} ms, p95 {p95} ms, p99 {p99} ms",
        f"messages     {report.messages_per_payment} per payment, "
        f"{report.messages_per_block} per block; "
        f"{report.frames} frames, {report.bytes} bytes in all",
        f"invariants   agreement and supply in {report.blocks_checked} blocks, no double spend, "
        f"{report.finals_checked} finals archived or waiting everywhere",
        f"digest {report.digest}",
    ]
