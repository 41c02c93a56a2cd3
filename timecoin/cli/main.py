"""``timecoin-cli``: calls a node, and tools around one.

Exit status: 0 success, 1 an error (of the node or of a tool), 2 a usage error, 3 no connection.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import click

from timecoin import __version__
from timecoin.cli.completion import completion
from timecoin.cli.demo.command import demo
from timecoin.cli.devnet.command import devnet
from timecoin.cli.doctor.command import doctor
from timecoin.cli.genesis import NETWORKS, genesis
from timecoin.cli.keys import keys
from timecoin.cli.pay import pay
from timecoin.cli.proof import proof
from timecoin.cli.replay import replay
from timecoin.cli.rpc.command import MethodCommand, apply_output, output_options
from timecoin.cli.rpc.connection import PASSWORD_VARIABLE, Given
from timecoin.cli.rpc.published import find_method, published_methods
from timecoin.cli.rpc.session import DEFAULT_TIMEOUT_S, Session
from timecoin.cli.sim import sim
from timecoin.cli.soak.command import soak
from timecoin.cli.wallet import wallet
from timecoin.cli.watch.command import watch

CLOSE = 0.75
"""How alike a name must be to be meant."""


class Commands(click.Group):
    """The tools, and every RPC method under its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names: tools first, then methods."""
        methods = (name for named in published_methods().values() for name in named)
        return [*super().list_commands(ctx), *sorted(methods)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``; of a method the case does not matter."""
        tool = super().get_command(ctx, cmd_name)
        if tool is not None:
            return tool
        method = find_method(cmd_name)
        return None if method is None else MethodCommand(method)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` begin with; of an unknown one tell those like it."""
        known = self.list_commands(ctx)
        if self.get_command(ctx, args[0]) is None:
            near = ", ".join(difflib.get_close_matches(args[0], known, cutoff=CLOSE))
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A section for the tools and one for each group of methods."""
        sections = {"Tools": super().list_commands(ctx)}
        for group, named in published_methods().items():
            sections[f"{group.capitalize()} methods"] = sorted(named)
        for title, names in sections.items():
            width = formatter.width - max(map(len, names)) - 6
            commands = ((name, self.get_command(ctx, name)) for name in names)
            rows = [
                (name, command.get_short_help_str(width))
                for name, command in commands
                if command is not None
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="timecoin-cli")
@click.option("--network", type=NETWORKS, envvar="TIMECOIN_NETWORK", help="[mainnet]")
@click.option(
    "--datadir",
    envvar="TIMECOIN_DATADIR",
    help="Data directory of the node [~/.timecoin/NETWORK].",
)
@click.option(
    "--config",
    envvar="TIMECOIN_CONFIG",
    help="Configuration of the node [DATADIR/timecoin.conf; that of the machine's service if "
    "nothing is named and you have no node of your own].",
)
@click.option(
    "--rpc-url",
    envvar="TIMECOIN_RPC_URL",
    help="Where the node answers [as it is configured].",
)
@click.option(
    "--rpc-user",
    envvar="TIMECOIN_RPC_USER",
    help=f"Login [as configured, else the cookie]. Its password: {PASSWORD_VARIABLE}, the "
    "configuration, or asked for.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="TIMECOIN_TLS_CERT",
    help="PEM certificate to trust [DATADIR/rpc.cert if the node made one].",
)
@click.option(
    "--rpc-wait/--no-rpc-wait",
    "-rpcwait",
    "rpc_wait",
    help="Wait until the node has started and is not catching up.",
)
@click.option(
    "--rpc-wait-timeout", type=click.FloatRange(0), metavar="SECONDS", help="But no longer."
)
@click.option(
    "--rpc-timeout",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long an answer may take.",
)
@click.pass_context
def main(
    ctx: click.Context,
    /,
    network: str | None,
    datadir: str | None,
    config: str | None,
    rpc_url: str | None,
    rpc_user: str | None,
    tls_cert: Path | None,
    rpc_wait: bool,
    rpc_wait_timeout: float | None,
    rpc_timeout: float,
    **output: bool | None,
) -> None:
    """Call a TIME Coin node, and tools around one.

    METHOD --help tells the parameters of an RPC method. Each is given by position, or by its
    name as an option; - reads a value from standard input. Results are tables on a terminal and
    JSON elsewhere. Exit status: 0 success, 1 an error, 2 wrong usage, 3 no connection.
    """
    given = Given(
        network,
        datadir,
        config,
        rpc_url,
        rpc_user,
        os.environ.get(PASSWORD_VARIABLE) or None,
        tls_cert,
    )
    ctx.obj = session = Session(
        given,
        wait=rpc_wait or rpc_wait_timeout is not None,
        wait_timeout_s=rpc_wait_timeout,
        timeout_s=rpc_timeout,
    )
    apply_output(session, output)


main.params += output_options()
TOOLS = (
    completion,
    demo,
    devnet,
    doctor,
    genesis,
    keys,
    pay,
    proof,
    replay,
    sim,
    soak,
    wallet,
    watch,
)
for tool in TOOLS:
    main.add_command(tool)
