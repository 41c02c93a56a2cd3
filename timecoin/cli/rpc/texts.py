"""Command-line texts as values of RPC parameters.

A text becomes the JSON value that is sent, and the server's own type checks it here first: what it
would refuse is a usage error, with the server's words.
"""

from __future__ import annotations

import sys

import click

from timecoin.rpc.errors import RpcError
from timecoin.rpc.jsonvalues import loads
from timecoin.rpc.schema import Parameter
from timecoin.rpc.valuetypes import AmountOfTime, Boolean, Either, Hex, Text, ValueType

SECRET_LABEL = "passphrase"
"""Parameters of this type are asked for, so that no list of processes shows them."""
FROM_INPUT = "-"
"""Stands for a value that is read from standard input."""
_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class ValueText(click.ParamType[object]):
    """The text of one RPC parameter; :class:`click.UsageError` for what its type refuses."""

    def __init__(self, parameter: Parameter) -> None:
        self.name = type_name(parameter.type)
        self._parameter = parameter

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The JSON value that ``value`` stands for."""
        if not isinstance(value, str):
            return value
        if value == FROM_INPUT:
            value = read_input(self._parameter)
        try:
            return json_value(self._parameter.type, value, self._parameter.name)
        except RpcError as error:
            self.fail(error.message, param, ctx)


def type_name(wanted: ValueType) -> str:
    """What stands for a value of this type in a usage line: ``HASH|HEIGHT``."""
    if isinstance(wanted, Either):
        return "|".join(type_name(choice) for choice in wanted.choices)
    if isinstance(wanted, Text) and wanted.choices:
        return "|".join(wanted.choices)
    if isinstance(wanted, Boolean | Hex | Text | AmountOfTime):
        return wanted.label.upper()
    return "JSON" if " of " in wanted.label or wanted.label == "value" else wanted.label.upper()


def json_value(wanted: ValueType, text: str, name: str) -> object:
    """``text`` as a JSON value that ``wanted`` takes; :class:`RpcError` if it takes none."""
    if isinstance(wanted, Either):
        return _first_that_fits(wanted, text, name)
    value = _plain(wanted, text, name)
    wanted.read(value, name)
    return value


def _plain(wanted: ValueType, text: str, name: str) -> object:
    if isinstance(wanted, Text | Hex | AmountOfTime):
        return text  # an amount travels as a string: exact
    if isinstance(wanted, Boolean):
        return _SWITCHES.get(text.lower(), text)
    try:
        return loads(text.encode())
    except ValueError:
        return _refuse(wanted, text, name)


def _refuse(wanted: ValueType, text: str, name: str) -> object:
    """Text that is no JSON: the type says what it wants, unless it takes anything."""
    if wanted.label == "value":
        raise RpcError(0, f"{name}: {text[:40]!r} is not JSON")
    return text


def _first_that_fits(wanted: Either, text: str, name: str) -> object:
    """Plain texts come last: they would take everything."""
    refusals = []
    for choice in sorted(wanted.choices, key=lambda choice: isinstance(choice, Text)):
        try:
            return json_value(choice, text, name)
        except RpcError as error:
            refusals.append(error.message)
    raise RpcError(0, f"{name}: expected {wanted.label} ({'; '.join(refusals)})")


def read_input(parameter: Parameter) -> str:
    """The value of ``parameter`` from standard input; a secret is not shown while typed."""
    if not sys.stdin.isatty():
        text = sys.stdin.readline() if is_secret(parameter) else sys.stdin.read()
        return text.rstrip("\r\n") if is_secret(parameter) else text.strip()
    asked: str = click.prompt(parameter.name, hide_input=is_secret(parameter), err=True)
    return asked


def is_secret(parameter: Parameter) -> bool:
    """Whether the value must not stand on a command line."""
    return isinstance(parameter.type, Text) and parameter.type.label == SECRET_LABEL
