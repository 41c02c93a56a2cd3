"""Types of command-line parameters; a text that cannot be read is a usage error (status 2)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from timecoin.ledger.amount import parse_time
from timecoin.node.values import key_name


class Amount(click.ParamType[int]):
    """TIME with at most 8 decimals, as units."""

    name = "TIME"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The units in ``value``."""
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.ParamType[int]):
    """Seconds with at most 3 decimals, as milliseconds from 1 to a day."""

    name = "SECONDS"
    longest_ms = 86_400_000

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The milliseconds in ``value``."""
        if isinstance(value, int):
            return value
        try:
            seconds = Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        if not seconds.is_finite() or not 0 < seconds * 1000 <= self.longest_ms:
            self.fail(f"{value!r} is not between 0.001 and 86400 seconds", param, ctx)
        if seconds * 1000 != int(seconds * 1000):
            self.fail(f"{value!r} has more than 3 decimals", param, ctx)
        return int(seconds * 1000)


class KeyName(click.ParamType[str]):
    """The name of a key file."""

    name = "NAME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """``value`` if it may name a file."""
        try:
            return key_name(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class AllocationText(click.ParamType[tuple[str, int]]):
    """``ADDRESS=AMOUNT``."""

    name = "ADDRESS=AMOUNT"

    def convert(
        self,
        value: str | tuple[str, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, int]:
        """Address (unchecked: its network is another option) and units."""
        if isinstance(value, tuple):
            return value
        address, equals, amount = value.partition("=")
        if not equals:
            self.fail(f"{value!r} is not ADDRESS=AMOUNT", param, ctx)
        try:
            return address, parse_time(amount)
        except ValueError as error:
            self.fail(str(error), param, ctx)
