"""The wallet's rows: what it can read from the chain again, kept to be at hand at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from timecoin.store.engine import Engine
from timecoin.store.keys import WALLET


class WalletStore:
    """Implements the wallet's ``HistoryRows``.

    Not synced: a crash loses the latest batches only, and the chain tells them again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``, or None."""
        return self._engine.get(WALLET, key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with ``prefix``, in key order."""
        return self._engine.scan(WALLET, prefix)

    def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write all ``rows`` or none; without a value a row is deleted."""
        self._engine.write([(WALLET, key, value) for key, value in rows], sync=False)
