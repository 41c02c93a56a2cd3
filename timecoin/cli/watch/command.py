"""``timecoin-cli watch``: what happens, as it happens."""

from __future__ import annotations

from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from timecoin.cli.output.jsontext import json_line
from timecoin.cli.output.sanitize import visible
from timecoin.cli.rpc.command import apply_output, output_options
from timecoin.cli.rpc.failures import CannotConnect
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.cli.watch.client import Notification, Target, WatchFailed
from timecoin.cli.watch.client import watch as follow
from timecoin.cli.watch.lines import Lines


@click.command()
@click.option("--blocks/--no-blocks", default=None, help="Blocks [yes, unless others are chosen].")
@click.option("--finality/--no-finality", default=None, help="Statuses of all transactions [same].")
@click.option("--transactions", is_flag=True, help="Transactions when they are first seen.")
@click.option("--txid", "txids", multiple=True, help="Statuses of this transaction. Repeatable.")
@click.option("--address", "addresses", multiple=True, help="What touches it. Repeatable.")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@pass_session
def watch(
    session: Session,
    /,
    blocks: bool | None,
    finality: bool | None,
    transactions: bool,
    txids: tuple[str, ...],
    addresses: tuple[str, ...],
    count: int | None,
    **output: bool | None,
) -> None:
    """Show blocks and statuses of transactions as the node tells them, until Ctrl-C.

    Where the output is no terminal, each is a line of JSON. A transaction is seen, locally
    accepted, certified, final, archived; the time is since it was told of first.
    """
    apply_output(session, output)
    usual = not (transactions or txids or addresses or blocks or finality)
    topics = [
        *({"topic": "blocks"} for _ in range(usual if blocks is None else blocks)),
        *({"topic": "finality"} for _ in range(usual if finality is None else finality)),
        *({"topic": "transactions"} for _ in range(transactions)),
        *({"topic": "finality", "txid": txid} for txid in txids),
        *({"topic": "address", "address": address} for address in addresses),
    ]
    if not topics:
        raise click.UsageError("nothing to watch")
    user, password = session.connection.login()
    _run(
        Target(session.connection.url, user, password, session.connection.tls_cert),
        topics,
        session,
        count,
    )


watch.params += output_options()


def _run(target: Target, topics: list[dict[str, str]], session: Session, count: int | None) -> None:
    screen, lines, heard = session.screen, Lines(), 0
    failures: list[Exception] = []
    ending = False

    def hear(notification: Notification) -> bool:
        nonlocal heard
        heard += 1
        try:
            if screen.tables:
                line = lines.line(notification["topic"], notification["result"])
                screen.out.print(line, soft_wrap=True)
            else:
                click.echo(json_line(notification))
        except BrokenPipeError as error:  # whoever read it has had enough
            failures.append(error)
            return False
        return heard != count

    def end() -> None:
        nonlocal ending
        ending = True

    async def until_the_end(reactor: Any) -> None:
        reactor.addSystemEventTrigger("before", "shutdown", end)  # Ctrl-C is no failure
        try:
            await follow(reactor, target, topics, hear)
        except WatchFailed as error:
            if not ending:
                failures.append(error)

    try:
        react(lambda reactor: Deferred.fromCoroutine(until_the_end(reactor)))
    except SystemExit as status:
        if status.code:
            raise
    for failure in failures:
        if not isinstance(failure, WatchFailed):
            raise failure
        if failure.refused:
            raise click.ClickException(visible(str(failure)))
        raise CannotConnect(f"cannot watch: {visible(str(failure))}")
