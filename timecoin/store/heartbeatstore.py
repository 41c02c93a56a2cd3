"""The rows of verified heartbeats: read one by one, or in the order of their time."""

from __future__ import annotations

from itertools import islice, takewhile

from timecoin.store.engine import Engine
from timecoin.store.keys import HEARTBEATS


class HeartbeatStore:
    """Implements the masternodes' ``HeartbeatRows``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, key: bytes) -> bytes | None:
        """The row at ``key``."""
        return self._engine.get(HEARTBEATS, key)

    def keys_below(self, key: bytes, limit: int) -> tuple[bytes, ...]:
        """At most ``limit`` keys below ``key``, in key order."""
        below = takewhile(lambda row: row[0] < key, self._engine.scan(HEARTBEATS))
        return tuple(found for found, _ in islice(below, limit))
