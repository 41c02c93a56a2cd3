"""Command-line texts as values of RPC parameters.

A text becomes the JSON value that is sent, and the server's own type checks it here first: what it
would refuse is a usage error, with the server's words.
"""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

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

    def __init__(self, parameter: Parameter, twice: bool = False) -> None:
        """``twice``: a secret that is asked for is asked for again."""
        self.name = type_name(parameter.type)
        self._parameter = parameter
        self._twice = twice

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The JSON value that ``value`` stands for."""
        if not isinstance(value, str):
            return value
        if value == FROM_INPUT:
            value = self.read_input()
        try:
            return json_value(self._parameter.type, value, self._parameter.name)
        except RpcError as error:
            self.fail(error.message, param, ctx)

    def read_input(self) -> str:
        """The text from standard input; a secret is not shown while it is typed."""
        secret = is_secret(self._parameter)
        if not sys.stdin.isatty():
            text = sys.stdin.readline() if secret else sys.stdin.read()
            return text.rstrip("\r\n") if secret else text.strip()
        asked: str = click.prompt(
            self._parameter.name,
            hide_input=secret,
            confirmation_prompt=secret and self._twice,
            err=True,
        )
        return asked

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The choices that begin so."""
        texts = offered(self._parameter.type)
        return [CompletionItem(text) for text in texts if text.startswith(incomplete)]


def type_name(wanted: ValueType) -> str:
    """What stands for a value of this type in a usage line: ``HASH|HEIGHT``."""
    if isinstance(wanted, Either):
        return "|".join(dict.fromkeys(type_name(choice) for choice in wanted.choices))
    if isinstance(wanted, Text) and wanted.choices:
        return "|".join(offered(wanted))
    if isinstance(wanted, Boolean | Hex | Text | AmountOfTime):
        return wanted.label.upper()
    return "JSON" if " of " in wanted.label or wanted.label == "value" else wanted.label.upper()


def offered(wanted: ValueType) -> list[str]:
    """The texts that a shell may offer: choices, each in one spelling; none for other types."""
    if isinstance(wanted, Boolean):
        return ["true", "false"]
    if isinstance(wanted, Either):
        return [text for choice in wanted.choices for text in offered(choice)]
    if not isinstance(wanted, Text):
        return []
    spelled: dict[str, str] = {}
    for choice in wanted.choices:
        if choice:
            spelled.setdefault(choice.lower(), choice)
    return list(spelled.values())


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


def is_secret(parameter: Parameter) -> bool:
    """Whether the value must not stand on a command line."""
    return isinstance(parameter.type, Text) and parameter.type.label == SECRET_LABEL
