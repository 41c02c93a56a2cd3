"""zstd for large pages; what comes out is bounded before it is unpacked (PROTOCOL 7)."""

from __future__ import annotations

import zstandard

LEVEL = 1
MIN_BYTES = 4_096
"""Smaller payloads are sent as they are."""
MAX_WINDOW_BYTES = 1 << 23


class CompressionError(ValueError):
    """Bytes that are not one zstd frame of the size that it names."""


def compress(payload: bytes) -> bytes | None:
    """The payload as one zstd frame that names its size; None if that would not be smaller."""
    if len(payload) < MIN_BYTES:
        return None
    packed = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(payload)
    return packed if len(packed) < len(payload) else None


def decompress(packed: bytes, max_bytes: int) -> bytes:
    """The payload; :class:`CompressionError` unless it names its size, of at most ``max_bytes``.

    The library allocates what the frame names, whatever bound it is given: so the name is read
    first, and nothing is allocated for one that is too large.
    """
    try:
        size = zstandard.get_frame_parameters(packed).content_size
        if size == zstandard.CONTENTSIZE_UNKNOWN:
            raise CompressionError("a compressed payload does not name its size")
        if size > max_bytes:
            raise CompressionError(f"a compressed payload of {size} bytes exceeds {max_bytes}")
        unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        return unpacker.decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CompressionError(f"not a zstd frame: {error}") from error
