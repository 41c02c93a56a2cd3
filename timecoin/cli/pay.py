"""``timecoin-cli pay``: pays what a payment link asks for."""

from __future__ import annotations

import contextlib
import sys

import click

from timecoin.cli.parameters import Amount
from timecoin.cli.rpc.command import apply_output, output_options
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.crypto.address import AddressError
from timecoin.ledger.amount import format_time
from timecoin.rpc.jsonvalues import amount_json
from timecoin.wallet.uri import PaymentUri, UriError, parse_payment_uri

WAIT_S = 300


@click.command()
@click.argument("uri")
@click.option(
    "--amount", "given_units", type=Amount(), help="How much, if the link leaves it open."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is final [yes].")
@pass_session
def pay(
    session: Session,
    /,
    uri: str,
    given_units: int | None,
    yes: bool,
    wait: bool,
    **output: bool | None,
) -> None:
    """Pay a link: timecoin:ADDRESS?amount=1.5&label=Shop&memo=order%207.

    It shows what will be paid to whom and asks before it pays, from the node's wallet.
    """
    apply_output(session, output)
    try:
        asked = parse_payment_uri(session.connection.config.network, uri)
    except (UriError, AddressError) as error:
        raise click.UsageError(str(error)) from error
    units = _amount(asked, given_units)
    screen = session.screen
    for line in describe(asked, units):
        screen.note(line)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here: say --yes")
        click.confirm("Pay?", abort=True, err=True)
    params = {
        "address": asked.address,
        "amount": format_time(units),
        "comment": asked.memo,
        "comment_to": asked.label,
    }
    with contextlib.closing(session):
        txid = session.call("sendtoaddress", params)
        result = {"txid": txid, "address": asked.address, "amount": amount_json(units)}
        if wait:
            with screen.waiting(f"waiting until {txid} is final"):
                waited = {"txid": txid, "timeout": WAIT_S}
                state = session.call("waittransactionfinality", waited)
            result |= {"status": state["status"], "wait_time_ms": state["wait_time_ms"]}
    screen.show(result)


pay.params += output_options()


def describe(asked: PaymentUri, units: int) -> list[str]:
    """What the user is asked to agree to; the texts are the payee's own."""
    lines = [f"amount   {format_time(units)} TIME", f"to       {asked.address}"]
    if asked.label:
        lines.append(f"who says {asked.label}")
    if asked.memo:
        lines.append(f"for      {asked.memo}")
    return lines


def _amount(asked: PaymentUri, given_units: int | None) -> int:
    if asked.amount_units is None:
        if not given_units:
            raise click.UsageError("the link leaves the amount open: give --amount")
        return given_units
    if given_units is not None and given_units != asked.amount_units:
        raise click.UsageError(
            f"the link asks for {format_time(asked.amount_units)} TIME, "
            f"--amount says {format_time(given_units)}"
        )
    return asked.amount_units
