"""Types of parameters: each reads a JSON value into a Python one, or refuses it with a reason.

RPC error -3 stands for a wrong JSON type, -8 for a wrong value of the right one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Protocol, runtime_checkable

from timecoin.params import MAX_AMOUNT_UNITS
from timecoin.rpc.errors import INVALID_PARAMETER, TYPE_ERROR, RpcError
from timecoin.rpc.jsonvalues import MAX_NUMBER_DIGITS, amount_json, parse_amount

MAX_TEXT_CHARS = 100_000
MAX_ARRAY_ITEMS = 100_000
_HEX = re.compile(r"[0-9a-f]*")


JsonSchema = dict[str, object]


def json_type(value: object) -> str:
    """JSON's own name for the type of ``value``."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | Decimal() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


@runtime_checkable
class ValueType(Protocol):
    """One type of parameter: reads a JSON value into a Python one."""

    @property
    def label(self) -> str:
        """What ``help`` and error messages call it."""

    @property
    def schema(self) -> JsonSchema:
        """The same as JSON Schema (draft 7), for ``rpc.discover``."""

    def read(self, value: object, name: str) -> object:
        """The Python value; :class:`RpcError` -3 for a wrong JSON type, -8 for a wrong value."""


class NotOfType(RpcError):
    """-3: the JSON type is wrong (apart from its contents, so that a union tries its next)."""

    def __init__(self, name: str, expected: str, value: object) -> None:
        super().__init__(TYPE_ERROR, f"{name}: expected {expected}, got {json_type(value)}")


def _is_unicode(text: str) -> bool:
    """JSON's escapes can name halves of a character, which have no encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bad(name: str, reason: str, code: int = INVALID_PARAMETER) -> RpcError:
    return RpcError(code, f"{name}: {reason}")


@dataclass(frozen=True, slots=True)
class Boolean:
    """``true`` or ``false``."""

    label: str = "boolean"

    @property
    def schema(self) -> JsonSchema:
        return {"title": self.label, "type": "boolean"}

    def read(self, value: object, name: str) -> bool:
        if not isinstance(value, bool):
            raise NotOfType(name, self.label, value)
        return value


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number within bounds, both inclusive."""

    minimum: int = -(2**63)
    maximum: int = 2**63 - 1
    label: str = "integer"

    @property
    def schema(self) -> JsonSchema:
        return {
            "title": self.label,
            "type": "integer",
            "minimum": self.minimum,
            "maximum": self.maximum,
        }

    def read(self, value: object, name: str) -> int:
        if isinstance(value, Decimal):
            raise RpcError(TYPE_ERROR, f"{name}: expected {self.label}, got a fraction")
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotOfType(name, self.label, value)
        if not self.minimum <= value <= self.maximum:
            raise _bad(name, f"out of range {self.minimum} to {self.maximum}")
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """A string of bounded length."""

    max_chars: int = MAX_TEXT_CHARS
    choices: tuple[str, ...] = ()
    label: str = "string"

    @property
    def schema(self) -> JsonSchema:
        shown: JsonSchema = {"title": self.label, "type": "string", "maxLength": self.max_chars}
        return shown | ({"enum": list(self.choices)} if self.choices else {})

    def read(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            raise NotOfType(name, self.label, value)
        if len(value) > self.max_chars:
            raise _bad(name, f"longer than {self.max_chars} characters")
        if not _is_unicode(value):
            raise _bad(name, "a lone surrogate is no text")
        if self.choices and value not in self.choices:
            raise _bad(name, f"must be one of {', '.join(self.choices)}")
        return value


@dataclass(frozen=True, slots=True)
class Hex:
    """Lower-case hexadecimal of ``min_bytes`` to ``max_bytes`` bytes; bad hex raises ``code``."""

    min_bytes: int
    max_bytes: int
    label: str = "hex"
    code: int = INVALID_PARAMETER

    @property
    def schema(self) -> JsonSchema:
        return {
            "title": self.label,
            "type": "string",
            "pattern": "^([0-9a-f]{2})*$",
            "minLength": 2 * self.min_bytes,
            "maxLength": 2 * self.max_bytes,
        }

    def read(self, value: object, name: str) -> bytes:
        if not isinstance(value, str):
            raise NotOfType(name, self.label, value)
        if not 2 * self.min_bytes <= len(value) <= 2 * self.max_bytes:
            wanted = (
                f"{2 * self.min_bytes}"
                if self.min_bytes == self.max_bytes
                else f"{2 * self.min_bytes} to {2 * self.max_bytes}"
            )
            raise _bad(name, f"must be {wanted} hex digits, not {len(value)}", self.code)
        if len(value) % 2 or not _HEX.fullmatch(value):
            raise _bad(name, "must be pairs of lower-case hex digits", self.code)
        return bytes.fromhex(value)


@dataclass(frozen=True, slots=True)
class AmountOfTime:
    """A number of TIME with at most 8 decimals, or a string of one; read as units."""

    label: str = "amount"

    @property
    def schema(self) -> JsonSchema:
        most = amount_json(MAX_AMOUNT_UNITS)
        number: JsonSchema = {"type": "number", "minimum": 0, "maximum": most}
        text: JsonSchema = {"type": "string", "maxLength": MAX_NUMBER_DIGITS}
        return {"title": self.label, "anyOf": [number, text]}

    def read(self, value: object, name: str) -> int:
        try:
            return parse_amount(value)
        except RpcError as error:
            raise RpcError(error.code, f"{name}: {error.message}") from error


@dataclass(frozen=True, slots=True)
class Array:
    """A list of one type of item."""

    item: ValueType
    max_items: int = MAX_ARRAY_ITEMS

    @property
    def label(self) -> str:
        return f"array of {self.item.label}"

    @property
    def schema(self) -> JsonSchema:
        return {
            "title": self.label,
            "type": "array",
            "items": self.item.schema,
            "maxItems": self.max_items,
        }

    def read(self, value: object, name: str) -> list[object]:
        if not isinstance(value, list):
            raise NotOfType(name, self.label, value)
        if len(value) > self.max_items:
            raise _bad(name, f"more than {self.max_items} items")
        return [self.item.read(item, f"{name}[{index}]") for index, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object whose members all have one type."""

    member: ValueType

    @property
    def label(self) -> str:
        return f"object of {self.member.label}"

    @property
    def schema(self) -> JsonSchema:
        return {
            "title": self.label,
            "type": "object",
            "additionalProperties": self.member.schema,
        }

    def read(self, value: object, name: str) -> dict[str, object]:
        if not isinstance(value, dict):
            raise NotOfType(name, self.label, value)
        return {key: self.member.read(member, f"{name}.{key}") for key, member in value.items()}


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value, for the method to look into."""

    label: str = "value"

    @property
    def schema(self) -> JsonSchema:
        return {"title": self.label}

    def read(self, value: object, name: str) -> object:
        return value


@dataclass(frozen=True, slots=True)
class Either:
    """The first of several types whose JSON type fits."""

    choices: tuple[ValueType, ...]

    @property
    def label(self) -> str:
        return " or ".join(choice.label for choice in self.choices)

    @property
    def schema(self) -> JsonSchema:
        return {"title": self.label, "anyOf": [choice.schema for choice in self.choices]}

    def read(self, value: object, name: str) -> object:
        for choice in self.choices:
            try:
                return choice.read(value, name)
            except NotOfType:
                continue
        raise NotOfType(name, self.label, value)


Hash = Annotated[bytes, Hex(32, 32, label="hash")]
"""A transaction, block or other 32-byte hash: 64 lower-case hex digits."""
Height = Annotated[int, Integer(0, 2**63 - 1, label="height")]
Amount = Annotated[int, AmountOfTime()]
AddressText = Annotated[str, Text(max_chars=128, label="address")]
"""The text of an address; what it means is the method's to find out (-5 if nothing)."""
