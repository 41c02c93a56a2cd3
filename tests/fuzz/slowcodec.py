"""A second, slow decoder of consensus bytes, written from the rules and not from the fast one.

It shares nothing with :mod:`timecoin.codec` but the declared types: bytes are read here one head at
a time, and whatever is not the shortest form or does not fit its type is refused.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from enum import IntEnum

import msgspec

Tree = int | bool | bytes | str | None | list["Tree"]

UNSIGNED = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
BINARY = {0xC4: 1, 0xC5: 2, 0xC6: 4}
TEXT = {0xD9: 1, 0xDA: 2, 0xDB: 4}
ARRAY = {0xDC: 2, 0xDD: 4}
CONSTANTS: dict[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}
MAX_DEPTH = 100


class NotCanonical(Exception):
    """The bytes are no canonical encoding, or none of the type."""


def slow_decode(data: bytes, kind: object) -> Tree:
    """The value of ``data`` as nested lists; :class:`NotCanonical` if it is not one of ``kind``."""
    tree, end = _read(data, 0, 0)
    if end != len(data):
        raise NotCanonical("bytes behind the value")
    if not _fits(tree, kind):
        raise NotCanonical(f"not a {kind}")
    return tree


def _read(data: bytes, at: int, depth: int) -> tuple[Tree, int]:
    head = _take(data, at, 1)[0]
    at += 1
    if depth > MAX_DEPTH:
        raise NotCanonical("nested too deeply")
    if head <= 0x7F:
        return head, at
    if 0x90 <= head <= 0x9F:
        return _read_items(data, at, head - 0x90, depth)
    if 0xA0 <= head <= 0xBF:
        return _text(_take(data, at, head - 0xA0)), at + head - 0xA0
    if head in CONSTANTS:
        return CONSTANTS[head], at
    for widths, least in ((UNSIGNED, 0x80), (BINARY, 0), (TEXT, 0x20), (ARRAY, 0x10)):
        if head in widths:
            width = widths[head]
            number = int.from_bytes(_take(data, at, width), "big")
            at += width
            narrower = max((other for other in widths.values() if other < width), default=0)
            if number < (1 << 8 * narrower if narrower else least):
                raise NotCanonical("a longer head than needed")
            if widths is UNSIGNED:
                return number, at
            if widths is ARRAY:
                return _read_items(data, at, number, depth)
            content = _take(data, at, number)
            return (content if widths is BINARY else _text(content)), at + number
    raise NotCanonical(f"head {head:#04x}")


def _take(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise NotCanonical("cut off")
    return data[at : at + count]


def _read_items(data: bytes, at: int, count: int, depth: int) -> tuple[Tree, int]:
    items: list[Tree] = []
    for _ in range(count):
        item, at = _read(data, at, depth + 1)
        items.append(item)
    return items, at


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotCanonical("text that is not UTF-8") from error


def _fits(tree: Tree, kind: object) -> bool:
    """Whether ``tree`` is a value of the declared type ``kind``."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _fits(tree, arguments[0]) and all(_in_bounds(tree, meta) for meta in arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return any(_fits(tree, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(tree, list) and _fits_tuple(tree, arguments)
    if kind is type(None):
        return tree is None
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return isinstance(tree, list) and _fits_struct(tree, kind)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return type(tree) is int and tree in {int(member) for member in kind}
    if kind in (int, bool, bytes, str):
        return type(tree) is kind
    raise TypeError(f"the slow decoder does not know {kind!r}")


def _in_bounds(tree: Tree, meta: object) -> bool:
    if not isinstance(meta, msgspec.Meta):
        raise TypeError(f"the slow decoder does not know {meta!r}")
    size = len(tree) if isinstance(tree, bytes | str | list) else 0
    return (
        (meta.ge is None or (isinstance(tree, int) and tree >= meta.ge))
        and (meta.le is None or (isinstance(tree, int) and tree <= meta.le))
        and (meta.min_length is None or size >= meta.min_length)
        and (meta.max_length is None or size <= meta.max_length)
    )


def _fits_tuple(items: list[Tree], arguments: tuple[object, ...]) -> bool:
    if len(arguments) == 2 and arguments[1] is ...:
        return all(_fits(item, arguments[0]) for item in items)
    return len(items) == len(arguments) and all(map(_fits, items, arguments))


def _fits_struct(items: list[Tree], kind: type[msgspec.Struct]) -> bool:
    declared = list(_declared(kind))
    tag = kind.__struct_config__.tag
    if tag is not None:
        if not items or type(items[0]) is not type(tag) or items[0] != tag:
            return False
        items = items[1:]
    return len(items) == len(declared) and all(map(_fits, items, declared))


def _declared(kind: type[msgspec.Struct]) -> Iterator[object]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return (hints[name] for name in kind.__struct_fields__)
