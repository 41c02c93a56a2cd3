"""``timecoin-cli soak``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from timecoin.cli.devnet import founding, processes
from timecoin.cli.devnet.command import LAST_BASE_PORT
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import DevnetError, read_records
from timecoin.cli.parameters import Seconds
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.cli.soak.findings import Limits
from timecoin.cli.soak.measured import Row, figures, targets
from timecoin.cli.soak.report import CSV_NAME, HTML_NAME, write_csv, write_html
from timecoin.cli.soak.run import Plan, Record, Soak
from timecoin.cli.soak.target import Target, TargetError, targets_of_records, targets_of_urls

FIRST_BASE_PORT = 24_800
BASE_PORT_STEP = 200
IDLE_SHARE = 0.2
IDLE_MOST_S = 300.0
MB = 1e6


@click.command()
@click.option(
    "--nodes",
    "urls",
    metavar="URL,...",
    help="Nodes to watch; user:password@ in each, or --rpc-user.",
)
@click.option(
    "--devnet",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The nodes of a devnet in this directory.",
)
@click.option(
    "--start",
    "count",
    type=click.IntRange(1, founding.MAX_NODES),
    help="Start a devnet of so many nodes, and stop it in the end.",
)
@click.option(
    "--slot",
    "slot_ms",
    type=Seconds(),
    default="5",
    show_default=True,
    help="Of the devnet that is started.",
)
@click.option(
    "--base-port",
    type=click.IntRange(1, LAST_BASE_PORT),
    help="Likewise, as for devnet start [the first that is free].",
)
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="How long.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="The same in minutes [3].")
@click.option(
    "--payments",
    "per_second",
    type=click.FloatRange(0, 1000),
    default=0.0,
    metavar="N",
    help="Payments a second, from the first node's wallet to the last one's [none].",
)
@click.option(
    "--idle",
    "idle_s",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Pay nothing at first [a fifth of the time, at most 300].",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two readings.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default="here",
    help="Where soak.csv and soak.html go.",
)
@click.option(
    "--max-memory",
    type=click.FloatRange(1),
    default=500.0,
    show_default=True,
    metavar="MB",
    help="More is a finding.",
)
@click.option(
    "--memory-slope",
    type=click.FloatRange(0),
    default=50.0,
    show_default=True,
    metavar="MB",
    help="More in an hour, over the later half, is a finding.",
)
@click.option(
    "--final-within",
    type=click.FloatRange(1, 3000),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="A payment that takes longer is a finding.",
)
@pass_session
def soak(
    session: Session,
    /,
    urls: str | None,
    directory: Path | None,
    count: int | None,
    slot_ms: int,
    base_port: int | None,
    hours: float | None,
    minutes: float | None,
    per_second: float,
    idle_s: float | None,
    interval_s: float,
    out: Path,
    max_memory: float,
    memory_slope: float,
    final_within: float,
) -> None:
    """Watch a network for hours and tell what goes wrong.

    Looks at heights, forks, lost payments, finality, growth of memory and CPU, health and errors in
    the log. Writes soak.csv and soak.html. Each finding is one line; exit status 1 if there is
    any. The nodes are --nodes, those of --devnet, or new ones with --start. From other machines the
    nodes' /metrics needs rpcallowip.
    """
    if sum(given is not None for given in (urls, directory, count)) != 1:
        raise click.UsageError("give one of --nodes, --devnet and --start")
    if hours is not None and minutes is not None:
        raise click.UsageError("give --hours or --minutes")
    duration_s = hours * 3600 if hours is not None else (minutes or 3.0) * 60
    if idle_s is None:
        idle_s = min(IDLE_MOST_S, duration_s * IDLE_SHARE)
    limits = Limits(max_memory * MB, memory_slope * MB, final_within)
    plan = Plan(duration_s, interval_s, idle_s, per_second, limits)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    with ExitStack() as stack:
        if count is not None:
            chosen = _start(stack, count, base_port, slot_ms)
        elif directory is not None:
            chosen = _of_devnet(directory)
        else:
            assert urls is not None
            chosen = _of_urls(urls, session)
        processes.stop_by_signals()
        record = Soak(chosen, plan, click.echo).run()
    what = (
        f"{len(chosen)} nodes for {duration_s / 60:.0f} minutes, "
        f"{per_second:g} payments a second after {idle_s:.0f} s"
    )
    _report(record, plan, what, out)
    if record.findings.found:
        raise click.exceptions.Exit(1)


def _free_base_port(count: int) -> int:
    """The first base port whose ports nobody uses."""
    for port in range(FIRST_BASE_PORT, LAST_BASE_PORT, BASE_PORT_STEP):
        try:
            founding.check_free(Path("/nonexistent"), port, count)
        except DevnetError:
            continue
        return port
    raise click.ClickException("no free ports on this machine")


def _start(stack: ExitStack, count: int, base_port: int | None, slot_ms: int) -> list[Target]:
    """A new devnet in a directory that goes with it; stopped when ``stack`` is left."""
    directory = Path(tempfile.mkdtemp(prefix="timecoin-soak-"))
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    processes.stop_by_signals()
    try:
        port = _free_base_port(count) if base_port is None else base_port
        network = Devnet.start(directory / "net", count, port, slot_ms, click.echo)
    except DevnetError as error:
        raise click.ClickException(str(error)) from error
    stack.callback(network.stop)
    return targets_of_records(network.nodes)


def _of_devnet(directory: Path) -> list[Target]:
    try:
        return targets_of_records(read_records(directory))
    except DevnetError as error:
        raise click.ClickException(str(error)) from error


def _of_urls(urls: str, session: Session) -> list[Target]:
    given = session.given
    try:
        return targets_of_urls(urls, given.rpc_user, given.rpc_password, given.tls_cert)
    except TargetError as error:
        raise click.UsageError(str(error)) from error


def _report(record: Record, plan: Plan, what: str, out: Path) -> None:
    """Write both files, print the tables and the findings."""
    idle_s = plan.idle_s if plan.payments_per_s else plan.duration_s
    beside, further = targets(record, idle_s), figures(record)
    try:
        write_csv(record, out / CSV_NAME)
        write_html(record, out / HTML_NAME, what, beside, further)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    click.echo(what)
    for line in _lines([*beside, *further]):
        click.echo(line)
    click.echo(f"report: {out / HTML_NAME}, readings: {out / CSV_NAME}")
    for finding in record.findings.found.values():
        click.echo(f"finding: {finding}")
    click.echo("nothing found" if not record.findings.found else f"{len(record.findings)} findings")


def _lines(rows: Sequence[Row]) -> list[str]:
    width = max(len(row.name) for row in rows)
    marks = {True: "ok", False: "missed", None: ""}
    return [
        f"{row.name:<{width}}  {row.target:<14}  {row.measured:<16}  {marks[row.good]}".rstrip()
        for row in rows
    ]
