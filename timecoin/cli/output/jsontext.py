"""JSON for programs: indented, and exact (``Decimal`` as it is)."""

from __future__ import annotations

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def json_text(value: object) -> str:
    """The indented JSON of ``value``; amounts keep every digit."""
    return msgspec.json.format(_ENCODER.encode(value), indent=2).decode()


def json_line(value: object) -> str:
    """The same on one line."""
    return _ENCODER.encode(value).decode()
