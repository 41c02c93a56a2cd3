"""Items of a recording as people read them."""

from __future__ import annotations

import msgspec

from timecoin.codec import CodecError, Wire, decode
from timecoin.node.catalog import MESSAGES
from timecoin.node.recording import items
from timecoin.store.engine import Row

SHORT_BYTES = 8
MAX_CHARS = 600


def describe(item: items.Item) -> str:
    """One line for ``item``."""
    match item:
        case items.Frame(peer, kind, payload) | items.Sent(peer, kind, payload):
            way = "from" if isinstance(item, items.Frame) else "to"
            said = "the same" if payload is None else _message(kind, payload)
            return f"{type(item).__name__} {way} {_short(peer)}: {said}"
        case items.Submit(tx):
            return f"Submit {tx.txid.hex()}"
        case items.Written(rows, sync):
            return _written(rows, sync)
        case items.Stored(rows):
            return f"Stored: {len(rows)} rows"
        case items.Peers(peers):
            return f"Peers: {len(peers)}"
        case items.Seed(purpose, _):
            return f"Seed for {purpose}"
    fields = (f"{name}={_value(getattr(item, name))}" for name in item.__struct_fields__)
    return " ".join([type(item).__name__, *fields])


def describe_two(expected: items.Item, came: items.Item) -> tuple[str, str]:
    """Lines for two items that differ, with what differs."""
    if isinstance(expected, items.Written) and isinstance(came, items.Written):
        both = set(expected.rows) & set(came.rows)
        if len(both) < max(len(expected.rows), len(came.rows)):
            return (
                _written(tuple(row for row in expected.rows if row not in both), expected.sync),
                _written(tuple(row for row in came.rows if row not in both), came.sync),
            )
    if isinstance(expected, items.Sent) and isinstance(came, items.Sent):
        one, other = _decoded(expected.kind, expected.payload), _decoded(came.kind, came.payload)
        if expected.peer == came.peer and one is not None and type(one) is type(other):
            where, first, second = _difference(type(one).__name__, one, other)
            return f"Sent {where} {_whole(first)}", f"Sent {where} {_whole(second)}"
    return describe(expected), describe(came)


def _difference(where: str, one: object, other: object) -> tuple[str, object, object]:
    """Where in a message the first difference is, and the two values."""
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        for name in one.__struct_fields__:
            first, second = getattr(one, name), getattr(other, name)
            if first != second:
                return _difference(f"{where}.{name}", first, second)
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            if first != second:
                return _difference(f"{where}[{index}]", first, second)
    return where, one, other


def _decoded(kind: int, payload: bytes | None) -> Wire | None:
    """The message in a frame; None when it is none."""
    known = MESSAGES.get(kind)
    if known is None or payload is None:
        return None
    try:
        return decode(payload, known.type, known.max_bytes)
    except CodecError:
        return None


def _message(kind: int, payload: bytes) -> str:
    message = _decoded(kind, payload)
    return f"kind {kind}, {len(payload)} bytes" if message is None else _cut(_value(message))


def _written(rows: tuple[Row, ...], sync: bool) -> str:
    texts = (f"{table} {key.hex()} {_value(value)}" for table, key, value in rows)
    return f"Written{' and synced' if sync else ''}: " + _cut(", ".join(texts))


def _value(value: object) -> str:
    if isinstance(value, bytes):
        return _short(value)
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        fields = ", ".join(f"{name}={_value(getattr(value, name))}" for name in names)
        return f"{type(value).__name__}({fields})"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def _whole(value: object) -> str:
    return _cut(value.hex() if isinstance(value, bytes) else _value(value))


def _short(value: bytes) -> str:
    text = value[:SHORT_BYTES].hex()
    return text if len(value) <= SHORT_BYTES else f"{text}... ({len(value)} bytes)"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + "..."
