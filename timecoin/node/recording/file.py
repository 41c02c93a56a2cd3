"""The file of a recording: a line that names its format, then blocks, each after its length.

The first block is the :class:`Header`, the others are turns. A block is written whole, so a node
that is killed leaves whole turns; what is left of one that was not is no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TypeVar

from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.node.recording.items import Header, Turn

MAGIC = b"timecoin recording 1\n"
LENGTH_BYTES = 4
MAX_BLOCK_BYTES = 64 << 20
"""More than a turn ever holds: frames, and batches of a block, have some ten megabytes."""

W = TypeVar("W", bound=Wire)


class RecordingError(Exception):
    """Bytes that are no recording; one line for people."""


def block(value: Wire) -> bytes:
    """The block of ``value``."""
    encoded = encode(value)
    return len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded


class RecordingReader:
    """Reads a recording from ``file``, one turn at a time; :class:`RecordingError`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.cut_off = False
        """Whether the file ends within a block."""
        magic = file.read(len(MAGIC))
        if magic != MAGIC:
            known = magic.startswith(MAGIC.partition(b" 1")[0])
            raise RecordingError("a recording of another version" if known else "no recording")
        header = self._next(Header)
        if header is None:
            raise RecordingError("the recording has no header")
        self.header: Header = header

    def turns(self) -> Iterator[Turn]:
        """All whole turns."""
        while (turn := self._next(Turn)) is not None:
            yield turn

    def _next(self, kind: type[W]) -> W | None:
        length = self._file.read(LENGTH_BYTES)
        size = int.from_bytes(length, "big")
        if len(length) == LENGTH_BYTES and size > MAX_BLOCK_BYTES:
            raise RecordingError(f"a block of {size} bytes")
        data = self._file.read(size) if len(length) == LENGTH_BYTES else b""
        if len(length) < LENGTH_BYTES or len(data) < size:
            self.cut_off = bool(length)
            return None
        try:
            return decode(data, kind, MAX_BLOCK_BYTES)
        except CodecError as error:
            raise RecordingError(str(error)) from error
