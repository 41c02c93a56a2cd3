"""Amounts as people write them: decimal TIME, exact to the unit; no float anywhere."""

from __future__ import annotations

import re

from timecoin.params import MAX_AMOUNT_UNITS, UNITS_PER_TIME

DECIMALS = 8

_AMOUNT = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,8}))?")


def parse_time(text: str) -> int:
    """The units in ``text``, such as ``12`` or ``0.00000001`` TIME.

    ``ValueError`` for anything but digits with at most 8 decimals, and above the largest amount.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount in TIME with at most {DECIMALS} decimals: {text[:40]!r}")
    whole, fraction = match.groups(default="")
    units = int(whole) * UNITS_PER_TIME + int(fraction.ljust(DECIMALS, "0"))
    if units > MAX_AMOUNT_UNITS:
        raise ValueError(f"amount {text} is above {format_time(MAX_AMOUNT_UNITS)} TIME")
    return units


def format_time(units: int) -> str:
    """``units`` as TIME with all 8 decimals; :func:`parse_time` reads it back (if not negative)."""
    whole, fraction = divmod(abs(units), UNITS_PER_TIME)
    return f"{'-' if units < 0 else ''}{whole}.{fraction:08d}"
