"""``timecoin-cli devnet``: start, look at and stop a local network."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import click

from timecoin.cli.devnet import founding, processes
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import DevnetError, NodeRecord, read_records
from timecoin.cli.devnet.staking import TIERS, register
from timecoin.cli.parameters import Seconds
from timecoin.client.blocking import RpcCallError, RpcUnreachable

DEFAULT_BASE_PORT = 24300
LAST_BASE_PORT = 65_535 - founding.RPC_PORT_OFFSET - founding.MAX_NODES
DIRECTORY = click.Path(path_type=Path, file_okay=False)
WATCH_S = 1.0


@click.group()
def devnet() -> None:
    """A local network of real nodes on 127.0.0.1."""


@devnet.command()
@click.option(
    "--nodes", "count", type=click.IntRange(1, founding.MAX_NODES), default=3, show_default=True
)
@click.option(
    "--dir",
    "directory",
    type=DIRECTORY,
    help="A new or empty directory. Without it, a temporary one that goes with the network.",
)
@click.option(
    "--base-port",
    type=click.IntRange(1, LAST_BASE_PORT),
    default=DEFAULT_BASE_PORT,
    show_default=True,
    help="P: node i listens for peers on P+i and for RPC on P+100+i.",
)
@click.option("--slot", "slot_ms", type=Seconds(), default="10", show_default=True)
@click.option("--tls", is_flag=True, help="RPC over HTTPS; nodes.json names the certificates.")
@click.option("--record", is_flag=True, help="Each node records itself: timecoin-cli replay.")
@click.option("--detach", is_flag=True, help="Return once the network is up.")
def start(
    count: int,
    directory: Path | None,
    base_port: int,
    slot_ms: int,
    tls: bool,
    record: bool,
    detach: bool,
) -> None:
    """Start a network; without --detach, keep it until Ctrl-C."""
    if detach and directory is None:
        raise click.UsageError("--detach needs --dir")
    processes.stop_by_signals()
    temporary = Path(tempfile.mkdtemp(prefix="timecoin-devnet-")) if directory is None else None
    chosen = directory or temporary
    assert chosen is not None
    try:
        network = Devnet.start(chosen, count, base_port, slot_ms, click.echo, tls, record)
    except DevnetError as error:
        raise click.ClickException(str(error)) from error
    for line in describe(network.nodes):
        click.echo(line)
    if detach:
        return
    try:
        all_ended = _watch(network)
    finally:
        _report_stopped(network.stop())
    if all_ended:
        raise click.ClickException(f"every node has ended; logs in {chosen}")
    if temporary is not None:
        shutil.rmtree(temporary)


@devnet.command()
@click.option("--dir", "directory", type=DIRECTORY, required=True)
@click.option(
    "--stake",
    "tier",
    type=click.Choice(tuple(TIERS)),
    help="Give it the collateral of a tier, and register it as a masternode.",
)
def add(directory: Path, tier: str | None) -> None:
    """Start one node more in a running network; with --stake it becomes a masternode."""
    try:
        network = Devnet.open(directory)
        node = network.add()
        for line in describe([node]):
            click.echo(line)
        if tier is not None:
            click.echo(f"staked {tier} at {register(network.nodes[0], node, tier)}")
    except DevnetError as error:
        raise click.ClickException(str(error)) from error


@devnet.command()
@click.option("--dir", "directory", type=DIRECTORY, required=True)
def status(directory: Path) -> None:
    """Show every node; exit status 1 unless all of them answer."""
    nodes = _records(directory)
    answering = 0
    for node in nodes:
        text = _state(node)
        answering += text is not None
        running = processes.is_running(node)
        click.echo(
            f"{node.name}  {node.rpc_url}  pid {node.pid if running else 'none'}  "
            f"{text or ('does not answer' if running else 'not running')}"
        )
    if answering < len(nodes):
        raise click.ClickException(f"{len(nodes) - answering} of {len(nodes)} do not answer")


@devnet.command()
@click.option("--dir", "directory", type=DIRECTORY, required=True)
def stop(directory: Path) -> None:
    """Stop every node, by force after 10 s."""
    _report_stopped(processes.stop(_records(directory)))


def describe(nodes: list[NodeRecord]) -> list[str]:
    """What a user needs to call the nodes."""
    return [
        line
        for node in nodes
        for line in (
            f"{node.name}  {node.rpc_url}  user {node.rpc_user}  password {node.rpc_password}",
            f"    data {node.datadir}  log {node.log_path}  pid {node.pid}",
        )
    ]


def _watch(network: Devnet) -> bool:
    """Wait for Ctrl-C; whether it never came, since every node had ended."""
    told: set[str] = set()
    try:
        click.echo("Ctrl-C stops all nodes")  # whoever reads it may press at once
        while len(told) < len(network.nodes):
            time.sleep(WATCH_S)
            network.reread()
            for node in network.ended():
                if node.name not in told:
                    told.add(node.name)
                    click.echo(f"{node.name} has ended, see {node.log_path}", err=True)
    except KeyboardInterrupt:
        return False
    return True


def _records(directory: Path) -> list[NodeRecord]:
    try:
        return read_records(directory)
    except DevnetError as error:
        raise click.ClickException(str(error)) from error


def _report_stopped(killed: list[NodeRecord]) -> None:
    for node in killed:
        click.echo(f"{node.name} did not end in time and was killed, see {node.log_path}", err=True)
    click.echo("stopped")


def _state(node: NodeRecord) -> str | None:
    client = node.client(timeout_s=5.0)
    try:
        chain = client.call("getblockchaininfo")
        peers = len(client.call("getpeerinfo"))
    except (RpcUnreachable, RpcCallError):
        return None
    finally:
        client.close()
    return f"height {chain['blocks']}  tip {chain['bestblockhash'][:16]}  peers {peers}"
