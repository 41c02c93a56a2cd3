"""Consensus bytes: msgpack in its shortest form, bounded and canonical (PROTOCOL 3).

Structures are ``msgspec.Struct`` types declared with ``array_like=True`` and
``forbid_unknown_fields=True``; use the base :class:`Wire`. A decoder bounds the size, decodes,
re-encodes and compares: bytes that are not the one encoding of a value are refused.
"""

from __future__ import annotations

from typing import Annotated, Protocol, TypeVar

import msgspec

U8 = Annotated[int, msgspec.Meta(ge=0, le=2**8 - 1)]
U32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
# msgpack itself ends at 2**64 - 1, and msgspec's own bounds are signed: 64 bits need no upper one.
U64 = Annotated[int, msgspec.Meta(ge=0)]
Bytes8 = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
Bytes12 = Annotated[bytes, msgspec.Meta(min_length=12, max_length=12)]
Bytes20 = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Bytes80 = Annotated[bytes, msgspec.Meta(min_length=80, max_length=80)]

T = TypeVar("T")


class CodecError(ValueError):
    """Bytes that are not the canonical encoding of the expected type."""


class Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True, dict=True):
    """Base of every structure that is hashed, signed, stored or sent.

    Immutable; ``dict=True`` is for subclasses that cache what they derive (``cached_property``).
    """


class Decode(Protocol):
    """:func:`decode`, or a memo of it."""

    def __call__(self, data: bytes, kind: type[T], max_bytes: int, /) -> T:
        """The value; :class:`CodecError` if there is none."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[object, msgspec.msgpack.Decoder[object]] = {}


def encode(value: object) -> bytes:
    """The canonical bytes of ``value``."""
    return _ENCODER.encode(value)


def decode(data: bytes, kind: type[T], max_bytes: int) -> T:
    """The value of type ``kind`` that ``data`` encodes; :class:`CodecError` says why not."""
    if len(data) > max_bytes:
        raise CodecError(f"{len(data)} bytes exceed the limit of {max_bytes}")
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.msgpack.Decoder(kind)
    try:
        value = decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CodecError(f"not a {getattr(kind, '__name__', kind)}: {error}") from error
    if _ENCODER.encode(value) != data:
        raise CodecError(f"not the shortest form of a {getattr(kind, '__name__', kind)}")
    return value  # type: ignore[return-value]
