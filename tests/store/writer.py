"""Writes numbered batches over two tables until it is killed; prints each number once synced.

Run as ``python -m tests.store.writer DIRECTORY FIRST``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from timecoin.store.rocks import RocksEngine

TABLES = ("one", "two")


def main() -> None:
    """Never returns by itself."""
    engine = RocksEngine(Path(sys.argv[1]), TABLES)
    number = int(sys.argv[2])
    while True:
        value = number.to_bytes(8, "big")
        rows = [(table, b"%d" % row, value * 64) for table in TABLES for row in range(20)]
        engine.write([*rows, ("one", b"last", value)], sync=True)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    main()
