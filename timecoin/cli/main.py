"""``timecoin-cli``: tools around a node. Exit status 0 is success, 1 an error, 2 a usage error."""

from __future__ import annotations

import click

from timecoin import __version__
from timecoin.cli.demo.command import demo
from timecoin.cli.devnet.command import devnet
from timecoin.cli.genesis import genesis
from timecoin.cli.sim import sim


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="timecoin-cli")
def main() -> None:
    """Tools around a TIME Coin node."""


main.add_command(demo)
main.add_command(devnet)
main.add_command(genesis)
main.add_command(sim)
