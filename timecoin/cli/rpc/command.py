"""One RPC method as a command: its parameters by position, and each by ``--name`` as well."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

import click

from timecoin.cli.rpc.progress import progress
from timecoin.cli.rpc.session import Session
from timecoin.cli.rpc.texts import ValueText, is_secret
from timecoin.rpc.method import Method
from timecoin.rpc.schema import Parameter
from timecoin.rpc.valuetypes import Boolean

ASKED_TWICE = {("encryptwallet", "passphrase"), ("walletpassphrasechange", "newpassphrase")}
"""New passphrases: one mistyped would be lost."""
TIMEOUT_MARGIN_S = 30.0
"""A node that waits so long itself gets this much longer to answer."""
_BY_POSITION = "positional_"
_SHOW = "show_"


class MethodCommand(click.Command):
    """Calls ``method`` with what the command line says."""

    def __init__(self, method: Method) -> None:
        self._method = method
        parameters = method.signature.parameters
        self._types = {
            parameter.name: ValueText(parameter, (method.name, parameter.name) in ASKED_TWICE)
            for parameter in parameters
        }
        by_position = [parameter for parameter in parameters if not parameter.named_only]
        super().__init__(
            method.name,
            params=[
                *map(self._argument, by_position),
                *map(self._option, parameters),
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
        with contextlib.closing(session), progress(session, name):
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
                value = self._types[parameter.name].read_input()
            if value is not None:
                found[parameter.name] = value
            elif parameter.required:
                raise click.UsageError(f"Missing argument '{parameter.name.upper()}'.", ctx)
        return found

    def _argument(self, parameter: Parameter) -> click.Argument:
        name = parameter.name.upper()
        return click.Argument(
            [_BY_POSITION + parameter.name],
            required=False,  # each may be given by name instead
            type=self._types[parameter.name],
            metavar=name if parameter.required else f"[{name}]",
        )

    def _option(self, parameter: Parameter) -> click.Option:
        aliases = self._method.signature.aliases.items()
        names = [parameter.name, *(alias for alias, name in aliases if name == parameter.name)]
        spelled = [f"--{name.replace('_', '-')}" for name in names]
        text = _description(parameter)
        if isinstance(parameter.type, Boolean):
            first, *others = spelled
            return click.Option(
                [f"{first}/--no-{first[2:]}", *others, parameter.name], default=None, help=text
            )
        wanted = self._types[parameter.name]
        return click.Option([*spelled, parameter.name], type=wanted, help=text)


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


def _description(parameter: Parameter) -> str:
    text = parameter.description.partition(": ")[2]
    if is_secret(parameter):
        text += "; asked for if missing"
    return text
