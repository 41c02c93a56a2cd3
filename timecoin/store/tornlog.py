"""The end of a write-ahead log after a power cut: what was not yet synced may have become zeros.

RocksDB takes a log that ends in the middle of a record for torn, and one that goes on behind a
wrong checksum for damaged. Zeros in place of the end of a record look like the latter.
"""

from __future__ import annotations

from pathlib import Path

_CHUNK_BYTES = 1 << 20


def newest_log(directory: Path) -> Path | None:
    """The log to which the store in ``directory`` was writing; None if it has none."""
    logs = directory.glob("*.log")
    return max(logs, key=lambda path: int(path.stem), default=None)


def zeros_at_end(log: Path | None) -> int:
    """How many bytes at the end of ``log`` are zero."""
    if log is None:
        return 0
    size = end = log.stat().st_size
    with log.open("rb") as file:
        while end:
            start = max(0, end - _CHUNK_BYTES)
            file.seek(start)
            kept = file.read(end - start).rstrip(b"\0")
            if kept:
                return size - start - len(kept)
            end = start
    return size
