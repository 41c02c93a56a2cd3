"""The pages timecoin-cli(1), timecoin.conf(5) and twistd-timecoin(8).

``python -m timecoin.cli.manual.pages DIRECTORY`` writes them; SOURCE_DATE_EPOCH in the environment
is the moment whose date they bear.
"""

from __future__ import annotations

import inspect
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from timecoin.cli.completion import PROGRAM
from timecoin.cli.main import main as program
from timecoin.cli.manual.roff import Page
from timecoin.cli.rpc.connection import SYSTEM_CONFIG
from timecoin.cli.rpc.published import published_methods
from timecoin.node.config import OPTIONS, Option
from timecoin.node.walletfile import PASSPHRASE_VARIABLE

SYSTEM_DATADIR = "/var/lib/timecoin"
FILES = (
    (str(SYSTEM_CONFIG), "Settings of timecoin.service."),
    ("/etc/timecoin/NAME.conf", "Settings of timecoin@NAME.service."),
    (
        "/etc/timecoin/NAME.env",
        f"Environment of the service NAME, for example {PASSPHRASE_VARIABLE}; mode 0600.",
    ),
    (SYSTEM_DATADIR, "A data directory for each network."),
)
STATUSES = (
    ("0", "It was asked to stop (SIGTERM, SIGINT, the RPC method stop), and has stopped."),
    ("1", "It could not start, or it met a fault of its own."),
    ("64", "The command line or the configuration cannot be used."),
)


def pages(made_s: int) -> tuple[Page, ...]:
    """All pages, dated ``made_s`` seconds since 1970."""
    return _cli(made_s), _config(made_s), _daemon(made_s)


def _config(made_s: int) -> Page:
    page = Page("timecoin.conf", 5, "settings of a TIME Coin node", made_s)
    page.section("DESCRIPTION")
    page.paragraph(
        "Lines of the form key=value; empty lines and lines that begin with # mean nothing. A key "
        "that is unknown, given twice or has a value that cannot be used keeps the node from "
        "starting. Options of the command line win over the file.\n\n"
        "The file may hold a password: let nobody but the node read it."
    )
    page.section("KEYS")
    page.paragraph("What stands in brackets is true where a key is not set.")
    page.items((f"{option.name}=", _meaning(option)) for option in OPTIONS)
    page.section("FILES")
    page.items(FILES)
    page.section("EXAMPLE")
    page.paragraph("A validator of the test network, reached by two others:")
    page.example(
        "network=testnet\n"
        f"datadir={SYSTEM_DATADIR}/testnet\n"
        "genesis=/etc/timecoin/genesis.json\n"
        "validator-id=alice\n"
        "peers=192.0.2.1:24100,192.0.2.2:24100"
    )
    _see_also(page, "twistd-timecoin(8)", "timecoin-cli(1)")
    return page


def _daemon(made_s: int) -> Page:
    page = Page("twistd-timecoin", 8, "run a TIME Coin node", made_s)
    page.section("SYNOPSIS")
    page.paragraph("twistd --nodaemon --pidfile= timecoin [--config FILE] [--OPTION VALUE ...]")
    page.section("DESCRIPTION")
    page.paragraph(
        "A node of the TIME Coin network, a plugin of twistd(1). Started by timecoin.service, it "
        "reads /etc/timecoin/timecoin.conf. It is told to stop by SIGTERM, SIGINT or the RPC "
        "method stop, and ends when everything is on disk.\n\n"
        "Under systemd it tells when it is ready, feeds the watchdog from its own loop, and shows "
        "height and number of peers in the status of the service."
    )
    page.section("OPTIONS")
    page.paragraph(
        "Each option but --config, --help and --version is also a key in timecoin.conf(5)."
    )
    page.item("--config FILE", "Configuration file [DATADIR/timecoin.conf].")
    page.items((f"--{option.name} VALUE", _meaning(option)) for option in OPTIONS)
    page.item("--version", "Show the version and exit.")
    page.item("--help", "Show all options and exit.")
    page.section("ENVIRONMENT")
    page.item(
        PASSPHRASE_VARIABLE,
        "The passphrase of the wallet: a new wallet is sealed with it, a sealed one opened. "
        "Without it a sealed wallet starts locked.",
    )
    page.section("EXIT STATUS")
    page.items(STATUSES)
    page.section("FILES")
    page.items(FILES)
    _see_also(page, "timecoin.conf(5)", "timecoin-cli(1)", "systemctl(1)", "journalctl(1)")
    return page


def _cli(made_s: int) -> Page:
    page = Page(PROGRAM, 1, "call a TIME Coin node, and tools around one", made_s)
    context = click.Context(program, info_name=PROGRAM)
    page.section("SYNOPSIS")
    page.paragraph(
        f"{PROGRAM} [OPTIONS] METHOD [ARGUMENTS]\n\n{PROGRAM} [OPTIONS] TOOL [ARGUMENTS]"
    )
    page.section("DESCRIPTION")
    _describe(page, _help_of(program).partition("\n\n")[2])
    page.section("OPTIONS")
    page.items(_options(program, context))
    page.section("TOOLS")
    for path, command, its_context in _tools(program, context):
        page.subsection(" ".join([path, *command.collect_usage_pieces(its_context)]))
        _describe(page, _help_of(command))
        page.items(_options(command, its_context))
    page.section("METHODS")
    page.paragraph("METHOD --help tells more. A * begins parameters that are given by name only.")
    for area, methods in published_methods().items():
        page.subsection(area.capitalize())
        page.items((method.usage, method.doc) for method in methods.values())
    page.section("EXIT STATUS")
    page.items(
        (("0", "Success."), ("1", "An error."), ("2", "Wrong usage."), ("3", "No connection."))
    )
    _see_also(page, "twistd-timecoin(8)", "timecoin.conf(5)")
    return page


def _meaning(option: Option) -> str:
    return option.help + ("; may be given several times" if option.repeated else "")


def _see_also(page: Page, *names: str) -> None:
    page.section("SEE ALSO")
    page.paragraph(", ".join(names))


def _tools(
    group: click.Group, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every tool with the words that call it; of a group its members."""
    for name in sorted(group.commands):
        command = group.commands[name]
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _tools(command, inner)
        else:
            yield inner.command_path.removeprefix(f"{PROGRAM} "), command, inner


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield record


def _help_of(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").partition("\f")[0]


def _describe(page: Page, text: str) -> None:
    r"""What ``--help`` shows as text; \b stands before lines that stay as they are."""
    for part in text.split("\n\n"):
        if part.startswith("\b\n"):
            page.example(part.removeprefix("\b\n"))
        else:
            page.paragraph(part)


def write(directory: Path, made_s: int) -> None:
    """Write all pages into ``directory``, which is made if need be."""
    directory.mkdir(parents=True, exist_ok=True)
    for page in pages(made_s):
        (directory / page.file_name).write_text(page.text, "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()))
