"""``timecoin-cli demo``: the steps in order, with progress; exit status 1 at the first failure."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.status import Status
from rich.table import Table

from timecoin.cli.demo.closing import one_state
from timecoin.cli.demo.crash import bring_back, kill_one
from timecoin.cli.demo.doublespend import double_spend
from timecoin.cli.demo.membership import stake_one
from timecoin.cli.demo.payments import everything_is_final, fund, make_blocks, pay_everywhere
from timecoin.cli.demo.stage import DemoFailure, Stage
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.processes import stop_by_signals
from timecoin.cli.devnet.record import DevnetError
from timecoin.cli.parameters import Seconds

VALIDATORS = 3
DEFAULT_BASE_PORT = 24600

Step = Callable[[Stage], str]

STEPS: tuple[tuple[str, Step], ...] = (
    ("funding the other wallets", fund),
    ("paying through every node", pay_everywhere),
    ("waiting for blocks", make_blocks),
    ("a fourth node becomes a masternode", stake_one),
    ("killing one validator", kill_one),
    ("bringing it back", bring_back),
    ("spending one coin twice", double_spend),
    ("looking for lost payments", everything_is_final),
    ("comparing the nodes", one_state),
)


@click.command()
@click.option(
    "--base-port", type=click.IntRange(1, 65_000), default=DEFAULT_BASE_PORT, show_default=True
)
@click.option("--slot", "slot_ms", type=Seconds(), default="5", show_default=True)
def demo(base_port: int, slot_ms: int) -> None:
    """Three validators pay, a fourth one stakes and joins, one crashes and recovers, here."""
    stop_by_signals()
    console = Console(highlight=False)
    directory = Path(tempfile.mkdtemp(prefix="timecoin-demo-"))
    started = time.monotonic()
    try:
        _perform(console, directory, base_port, slot_ms)
    except DemoFailure as error:
        console.print(f"[red]failed[/]  {error}")
        raise click.ClickException(f"demo: {error}; log {error.log}") from error
    except DevnetError as error:
        raise click.ClickException(f"demo: {error}; logs in {directory}") from error
    shutil.rmtree(directory)
    console.print(f"all shown in {time.monotonic() - started:.0f} s; nothing is left running")


def _perform(console: Console, directory: Path, base_port: int, slot_ms: int) -> None:
    with console.status("starting three validators") as status:
        network = Devnet.start(directory, VALIDATORS, base_port, slot_ms, status.update)
    try:
        _done(console, f"{VALIDATORS} validators of weight 100 run in {directory}")
        stage = Stage(network, slot_ms, status.update)
        for title, step in STEPS:
            _run(console, status, stage, title, step)
        console.print(_heights(stage))
        stage.close()
    finally:
        killed = network.stop()
    if killed:
        raise DemoFailure(f"{killed[0].name} did not stop in 10 s", killed[0].log_path)
    _done(console, "every node stopped at SIGTERM")


def _run(console: Console, status: Status, stage: Stage, title: str, step: Step) -> None:
    status.update(title)
    with status:
        said = step(stage)
    _done(console, said)


def _done(console: Console, said: str) -> None:
    console.print(f"[green]ok[/]  {said}", soft_wrap=True)


def _heights(stage: Stage) -> Table:
    table = Table("node", "height", "tip", "supply", "peers")
    for actor in stage.actors:
        chain = actor.call("getblockchaininfo")
        table.add_row(
            actor.name,
            str(chain["blocks"]),
            chain["bestblockhash"][:16],
            str(chain["supply"]),
            str(len(actor.call("getpeerinfo"))),
        )
    return table
