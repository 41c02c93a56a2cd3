"""The rows of the peer network: known nodes, scores, bans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from timecoin.store.engine import Engine
from timecoin.store.keys import ADDRESS_BOOK


class PeerStore:
    """Implements ``p2p.ports.PeerRows``.

    Not synced: a power cut loses the latest batches, a kill of the process nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows, in key order."""
        return self._engine.scan(ADDRESS_BOOK)

    def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write all ``rows`` or none; None deletes."""
        self._engine.write([(ADDRESS_BOOK, key, value) for key, value in rows], sync=False)
