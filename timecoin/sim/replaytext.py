"""Items of a recording as people read them."""

from __future__ import annotations

from timecoin.codec import CodecError, decode
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
    return describe(expected), describe(came)


def _message(kind: int, payload: bytes) -> str:
    known = MESSAGES.get(kind)
    if known is None:
        return f"kind {kind}, {len(payload)} bytes"
    try:
        message = decode(payload, known.type, known.max_bytes)
    except CodecError:
        return f"malformed {known.type.__name__}, {len(payload)} bytes"
    return _cut(repr(message))


def _written(rows: tuple[Row, ...], sync: bool) -> str:
    texts = (f"{table} {key.hex()} {_value(value)}" for table, key, value in rows)
    return f"Written{' and synced' if sync else ''}: " + _cut(", ".join(texts))


def _value(value: object) -> str:
    return _short(value) if isinstance(value, bytes) else repr(value)


def _short(value: bytes) -> str:
    text = value[:SHORT_BYTES].hex()
    return text if len(value) <= SHORT_BYTES else f"{text}... ({len(value)} bytes)"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + "..."
