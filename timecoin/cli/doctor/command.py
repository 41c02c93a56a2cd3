"""``timecoin-cli doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click
from rich.text import Text

from timecoin.cli.doctor.answers import check_answers
from timecoin.cli.doctor.files import check_files
from timecoin.cli.doctor.finding import Finding, State, fail, warn
from timecoin.cli.doctor.machine import (
    check_configured_peers,
    check_free_ports,
    check_machine,
    check_peer_port,
    is_running,
)
from timecoin.cli.doctor.rows import check_store
from timecoin.cli.output.tables import status_style
from timecoin.cli.rpc.command import apply_output, output_options
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.node.preflight import STORE_DIRECTORY

START = "start it: twistd -n timecoin, with the same datadir"


@click.command()
@pass_session
def doctor(session: Session, /, **output: bool | None) -> None:
    """Check configuration, clock, disk, store, ports, peers and the node; say what to do.

    One line for each check: ok, warn or fail. Exit status 1 if any has failed. A node that is not
    running is checked for what its start needs, and every row of its store is read. With --rpc-url
    only what that node answers is looked at.
    """
    apply_output(session, output)
    findings = []
    for finding in examine(session, datetime.now(UTC)):
        findings.append(finding)
        if session.tables is not False:
            session.screen.out.print(line(finding), soft_wrap=True)
    if session.tables is False:
        session.screen.show([finding.json() for finding in findings])
    if any(finding.state is State.FAIL for finding in findings):
        raise click.exceptions.Exit(1)


doctor.params += output_options()


def examine(session: Session, now: datetime) -> Iterator[Finding]:
    """All checks, in the order in which things have to be right."""
    if session.given.rpc_url is not None:
        yield from check_answers(session)
        return
    try:
        config = session.connection.config
    except click.UsageError as error:
        yield fail("config", error.message, "mend that setting")
        yield from check_machine(None, now)
        return
    yield from check_files(config, session.connection.config_path, now)
    yield from check_machine(config, now)
    if is_running(config):
        yield check_peer_port(config)
        yield from check_answers(session)
    else:
        yield check_store(config.datadir / STORE_DIRECTORY)
        yield from check_free_ports(config)
        yield from check_configured_peers(config)
        yield warn("node", "not running", START)


def line(finding: Finding) -> Text:
    """As a person reads it."""
    text = Text().append(f"{finding.state.value:<4}  ", status_style(finding.state.value))
    text.append(f"{finding.check:<8} ", "cyan").append(finding.detail)
    if finding.advice:
        text.append(f" — {finding.advice}", "bold")
    return text
