"""Frames on a byte stream (PROTOCOL 7).

::

    u32 length | u8 kind | u8 flags | payload

``length`` is little-endian and counts what follows it: kind, flags and payload. Flag 1 says that
the payload is a zstd frame; only some kinds may set it. A frame with another flag is refused, as
its payload could not be read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from timecoin.p2p.compression import CompressionError, compress, decompress
from timecoin.p2p.messages import ADDRESSES, MAX_ADDRESSES_BYTES, MAX_SESSION_PAYLOAD_BYTES
from timecoin.p2p.ports import FIRST_UPPER_KIND
from timecoin.params import MAX_FRAME_BYTES

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<IBB")
FLAG_ZSTD = 1
_COUNTED_HEADER_BYTES = _HEADER.size - _LENGTH.size
MAX_PAYLOAD_BYTES = MAX_FRAME_BYTES - _COUNTED_HEADER_BYTES
"""``length`` is at most ``MAX_FRAME_BYTES``."""


class FrameError(ValueError):
    """The stream is no sequence of frames; it cannot be read any further."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: its kind and its undecoded bytes."""

    kind: int
    payload: bytes


def encode_frame(kind: int, payload: bytes, compressed: bool = False) -> bytes:
    """The bytes of one frame; ``ValueError`` if the kind or the payload's size is out of range.

    ``compressed``: if that makes it smaller.
    """
    if not 0 <= kind <= 255:
        raise ValueError(f"frame kind {kind} is not in 0..255")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"payload of {len(payload)} bytes exceeds {MAX_PAYLOAD_BYTES}")
    packed = compress(payload) if compressed else None
    if packed is None:
        return _HEADER.pack(_COUNTED_HEADER_BYTES + len(payload), kind, 0) + payload
    return _HEADER.pack(_COUNTED_HEADER_BYTES + len(packed), kind, FLAG_ZSTD) + packed


class FrameBuffer:
    """Cuts a stream that arrives in arbitrary pieces into frames.

    Append what arrived, then call :meth:`next` until it returns None: so the buffer never holds
    more than one incomplete frame and the latest piece. A length beyond the limit is refused as
    soon as its four bytes are there, before anything of the frame is kept.
    """

    def __init__(self, compressible: Mapping[int, int]) -> None:
        """``compressible``: the kinds that may be compressed, and how large each may become."""
        self._compressible = compressible
        self._buffer = bytearray()
        self._max_payload_bytes = MAX_SESSION_PAYLOAD_BYTES

    def allow_large(self) -> None:
        """From now on accept frames of the layers above up to the protocol's limit."""
        self._max_payload_bytes = MAX_PAYLOAD_BYTES

    def __len__(self) -> int:
        return len(self._buffer)

    def clear(self) -> None:
        """Forget what has not been cut off yet."""
        self._buffer.clear()

    def append(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole frame, None if more bytes are needed, or :class:`FrameError`."""
        buffer = self._buffer
        if len(buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(buffer)
        size = length - _COUNTED_HEADER_BYTES
        if size < 0:
            raise FrameError(f"frame length {length} is shorter than its own header")
        if size > self._max_payload_bytes:
            raise FrameError(f"frame payload of {size} bytes exceeds {self._max_payload_bytes}")
        if len(buffer) < _HEADER.size:
            return None
        _, kind, flags = _HEADER.unpack_from(buffer)
        if flags & ~FLAG_ZSTD:
            raise FrameError(f"frame of kind {kind} has unknown flags {flags:#04x}")
        if flags and kind not in self._compressible:
            raise FrameError(f"frame of kind {kind} may not be compressed")
        if kind < FIRST_UPPER_KIND and size > _session_bound(kind):
            raise FrameError(f"session frame of {size} bytes exceeds {_session_bound(kind)}")
        end = _HEADER.size + size
        if len(buffer) < end:
            return None
        payload = bytes(buffer[_HEADER.size : end])
        del buffer[:end]
        if not flags:
            return Frame(kind, payload)
        try:
            return Frame(kind, decompress(payload, self._compressible[kind]))
        except CompressionError as error:
            raise FrameError(str(error)) from error


def _session_bound(kind: int) -> int:
    return MAX_ADDRESSES_BYTES if kind == ADDRESSES else MAX_SESSION_PAYLOAD_BYTES
