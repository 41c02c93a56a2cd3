"""JSON text and amounts, exactly: no number passes through a float.

``loads`` reads numbers with a fraction or an exponent as :class:`decimal.Decimal`; ``dumps`` writes
a ``Decimal`` as a plain number. RFC 8259 leaves duplicate names and NaN to the implementation:
both are refused here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii

from timecoin.params import MAX_AMOUNT_UNITS, UNITS_PER_TIME
from timecoin.rpc.errors import TYPE_ERROR, RpcError

AMOUNT_DECIMALS = 8
MAX_NUMBER_DIGITS = 64
"""Bound of the digits of a number, written plainly: a short exponent must not make a long text."""


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate name in an object")
    return members


_DECODER = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique_names
)


def loads(text: bytes) -> object:
    """The value of a UTF-8 JSON text; ``ValueError`` says why it is none.

    Nesting as deep as the interpreter's stack allows is the bound: deeper is an error as well.
    """
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except InvalidOperation as error:
        raise ValueError("a number with an exponent beyond any use") from error


def plain_number(value: Decimal) -> str:
    """``value`` without an exponent; ``ValueError`` when not finite or above 64 digits."""
    if not value.is_finite():
        raise ValueError(f"{value} is not JSON")
    _, digits, exponent = value.as_tuple()
    if len(digits) > MAX_NUMBER_DIGITS or abs(int(exponent)) > MAX_NUMBER_DIGITS:
        raise ValueError(f"a number of more than {MAX_NUMBER_DIGITS} digits")
    return format(value, "f")


def _write(value: object, out: Callable[[str], None]) -> None:
    kind = type(value)
    if kind is str:
        out(encode_basestring_ascii(value))  # type: ignore[arg-type]
    elif value is None:
        out("null")
    elif value is True:
        out("true")
    elif value is False:
        out("false")
    elif isinstance(value, dict):
        separator = "{"
        for name, member in value.items():
            if not isinstance(name, str):
                raise TypeError(f"{type(name).__name__} as a name in an object")
            out(separator)
            out(encode_basestring_ascii(name))
            out(":")
            _write(member, out)
            separator = ","
        out("}" if value else "{}")
    elif isinstance(value, list | tuple):
        separator = "["
        for item in value:
            out(separator)
            _write(item, out)
            separator = ","
        out("]" if value else "[]")
    elif isinstance(value, int):
        out(int.__repr__(value))
    elif isinstance(value, Decimal):
        out(plain_number(value))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not JSON")
        out(float.__repr__(value))
    elif isinstance(value, str):
        out(encode_basestring_ascii(value))
    else:
        raise TypeError(f"{kind.__name__} is not a JSON value")


def dumps(value: object) -> bytes:
    """Compact ASCII JSON; ``TypeError`` or ``ValueError`` for what JSON cannot say.

    The standard encoder writes no ``Decimal``, and is no faster than this.
    """
    parts: list[str] = []
    _write(value, parts.append)
    return "".join(parts).encode("ascii")


def _exact_units(value: Decimal) -> int | None:
    """``value`` in units, or None if that is no integer or absurdly large."""
    if not value.is_finite():
        return None
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits))
    significant = text.rstrip("0")
    if not significant.lstrip("0"):
        return 0
    shift = int(exponent) + len(text) - len(significant) + AMOUNT_DECIMALS
    if shift < 0 or len(significant) + shift > MAX_NUMBER_DIGITS:
        return None
    units: int = int(significant) * 10**shift
    return -units if sign else units


def _is_number_text(text: str) -> bool:
    """Whether ``text`` is a number by JSON's grammar (``Decimal`` alone also takes `` 1_0``)."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, InvalidOperation):  # also an exponent that no Decimal has
        return False
    return text == text.strip() and isinstance(value, int | Decimal) and not isinstance(value, bool)


def parse_amount(value: object) -> int:
    """Units of a JSON amount in TIME: a number, or a string that holds one.

    As Bitcoin Core's ``AmountFromValue``: RPC error -3 for another type, for more than 8 decimals
    and for what lies outside 0 .. ``MAX_AMOUNT_UNITS``.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise RpcError(TYPE_ERROR, "Amount is not a number or string")
    if isinstance(value, str) and not (len(value) <= MAX_NUMBER_DIGITS and _is_number_text(value)):
        raise RpcError(TYPE_ERROR, "Invalid amount")
    units = value * UNITS_PER_TIME if isinstance(value, int) else _exact_units(Decimal(value))
    if units is None:
        raise RpcError(TYPE_ERROR, "Invalid amount")
    if not 0 <= units <= MAX_AMOUNT_UNITS:
        raise RpcError(TYPE_ERROR, "Amount out of range")
    return units


def amount_json(units: int) -> Decimal:
    """``units`` as a number of TIME, exact and without trailing zeros: 30000000 is ``0.3``."""
    whole, fraction = divmod(abs(units), UNITS_PER_TIME)
    text = f"{whole}.{fraction:0{AMOUNT_DECIMALS}d}".rstrip("0").rstrip(".")
    return Decimal(f"-{text}" if units < 0 else text)
