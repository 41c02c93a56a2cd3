"""The key-value seam: tables of byte rows, written in atomic batches.

Everything that rests on disk goes through :class:`Engine`. It knows nothing of what a row means;
which tables there are stands in ``keys``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

Row = tuple[str, bytes, bytes | None]
"""(table, key, value); value None deletes the row, and deleting an absent one is no error."""


class StoreError(Exception):
    """The store cannot be used; the text is meant for the operator."""


class DataDirectoryInUse(StoreError):
    """Another process holds the data directory."""


class StoreDamaged(StoreError):
    """What the disk gives back is not what was written: a checksum is wrong."""


class StoreUnwritable(StoreError):
    """The disk takes no write: it is full, read-only or broken. Nothing of that batch is there."""


class Engine(Protocol):
    """Port: an ordered key-value store with one keyspace a table.

    Rows that cannot be read are :class:`StoreDamaged`, never absent.
    """

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value at ``key``, or None."""

    def scan(
        self, table: str, prefix: bytes = b"", start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with ``prefix`` and is not below ``start``, in key order.

        Whether a row written while the scan runs is seen, is open.
        """

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """Write all ``rows`` or none. A later row of the same key wins.

        With ``sync`` this batch and every earlier one survive a power cut when the call returns;
        without it a crash may lose the latest batches, never one of an older age than another
        that is kept.
        """

    def clear(self, table: str) -> None:
        """Delete all rows of ``table``, those that cannot be read among them; one of
        ``keys.REBUILT``. Survives a power cut when the call returns."""

    def sync(self) -> None:
        """Make all earlier writes survive a power cut. Blocks; may run in a thread."""

    def close(self) -> None:
        """Sync, then let go of the data directory. The engine is not used afterwards."""
