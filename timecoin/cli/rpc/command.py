"""One RPC method as a command: its parameters by position, and each by ``--name`` as well."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

import click

from timecoin.cli.output.screen import Screen
from timecoin.cli.rpc.session import Session
from timecoin.cli.rpc.texts import ValueText, is_secret, read_input
from timecoin.rpc.method import Method
from timecoin.rpc.schema import Parameter
from timecoin.rpc.valuetypes import Boolean

WAITS = {
    "waittransactionfinality": "waiting until it is final",
    "sendtoaddress": "paying",
    "rescanblockchain": "searching the chain",
    "gettxoutsetinfo": "walking the unspent outputs",
}
"""What the node takes its time for."""
TIMEOUT_MARGIN_S = 30.0
"""A node that waits so long itself gets this much longer to answer."""
_BY_POSITION = "positional_"
_SHOW = "show_"


class MethodCommand(click.Command):
    """Calls ``method`` with what the command line says."""

    def __init__(self, method: Method) -> None:
        self._method = method
        parameters = method.signature.parameters
        by_position = [parameter for parameter in parameters if not parameter.named_only]
        super().__init__(
            method.name,
            params=[
                *(_argument(parameter) for parameter in by_position),
                *(_option(parameter, method.signature.aliases) for parameter in parameters),
                *output_options(),
            ],
            help=inspect.cleandoc(method.doc),
        )

    def invoke(self, ctx: click.Context) -> None:
        """Send the call and show its result."""
        session = ctx.ensure_object(Session)
        apply_output(session, ctx.params)
        params = self._params(ctx)
        timeout = params.get("timeout")
        timeout_s = timeout + TIMEOUT_MARGIN_S if isinstance(timeout, int) else 0.0
        name = self._method.name
        with contextlib.closing(session), waiting(session.screen, name):
            result = session.call(name, params, timeout_s)
        session.screen.show(result)

    def _params(self, ctx: click.Context) -> Mapping[str, object]:
        found: dict[str, object] = {}
        for parameter in self._method.signature.parameters:
            named = ctx.params.get(parameter.name)
            placed = ctx.params.get(_BY_POSITION + parameter.name)
            if named is not None and placed is not None:
                raise click.UsageError(f"{parameter.name} is given twice", ctx)
            value = placed if named is None else named
            if value is None and parameter.required and is_secret(parameter):
                value = read_input(parameter)
            if value is not None:
                found[parameter.name] = value
            elif parameter.required:
                raise click.UsageError(f"Missing argument '{parameter.name.upper()}'.", ctx)
        return found


def waiting(screen: Screen, method: str) -> contextlib.AbstractContextManager[None]:
    """Shows on a terminal that ``method`` takes its time, if it does."""
    return screen.waiting(WAITS[method]) if method in WAITS else contextlib.nullcontext()


def output_options() -> list[click.Parameter]:
    """``--json``, ``--table`` and ``--raw``, which may stand after the command's name, too."""
    return [
        click.Option(
            ["--json/--table", f"{_SHOW}json"],
            default=None,
            help="JSON or tables [tables on a terminal].",
        ),
        click.Option(
            ["--raw", f"{_SHOW}raw"], is_flag=True, help="A text without quotation marks."
        ),
    ]


def apply_output(session: Session, params: Mapping[str, Any]) -> None:
    """Have ``session`` show results as these options say."""
    if params[f"{_SHOW}json"] is not None:
        session.tables = not params[f"{_SHOW}json"]
    session.raw = session.raw or params[f"{_SHOW}raw"]


def _argument(parameter: Parameter) -> click.Argument:
    return click.Argument(
        [_BY_POSITION + parameter.name],
        required=False,  # each may be given by name instead
        type=ValueText(parameter),
        metavar=parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]",
    )


def _option(parameter: Parameter, aliases: Mapping[str, str]) -> click.Option:
    names = [parameter.name, *(alias for alias, name in aliases.items() if name == parameter.name)]
    spelled = [f"--{name.replace('_', '-')}" for name in names]
    text = _description(parameter)
    if isinstance(parameter.type, Boolean):
        first, *others = spelled
        return click.Option(
            [f"{first}/--no-{first[2:]}", *others, parameter.name], default=None, help=text
        )
    return click.Option([*spelled, parameter.name], type=ValueText(parameter), help=text)


def _description(parameter: Parameter) -> str:
    text = parameter.description.partition(": ")[2]
    if is_secret(parameter):
        text += "; asked for if missing"
    return text
