"""What the nodes of a world find out once for all of them: results of pure functions.

The same bytes reach every node and every disk, and every node draws the same witnesses. Only what
follows from the arguments alone is shared, and frozen values; what a node decides is its own.
"""

from __future__ import annotations

from typing import cast

from timecoin.codec import T, decode
from timecoin.crypto.keys import SALT_BYTES, VerifiedCache
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.heartbeat import witnesses
from timecoin.node.node import VERIFIED_SIGNATURES
from timecoin.recent import Recent

MESSAGES, DRAWS, ROWS = 20_000, 20_000, 50_000
"""How many are remembered."""


class Shared:
    """Handed to each node in its ``Runtime``."""

    def __init__(self) -> None:
        self.verified = VerifiedCache(bytes(SALT_BYTES), VERIFIED_SIGNATURES)
        self._messages: Recent[tuple[object, bytes], object] = Recent(MESSAGES)
        self._draws: Recent[tuple[bytes, bytes, bytes], tuple[bytes, ...]] = Recent(DRAWS)
        self._rows: Recent[bytes, bytes] = Recent(ROWS)

    def decode(self, data: bytes, kind: type[T], max_bytes: int) -> T:
        """See ``codec.decode``; what is refused is looked at each time."""
        key = (kind, data)
        known = self._messages.find(key)
        if known is None or len(data) > max_bytes:
            known = decode(data, kind, max_bytes)
            self._messages.put(key, known)
        return cast(T, known)

    def draw(self, hash_: bytes, pubkey: bytes, snapshot: ActiveSet) -> tuple[bytes, ...]:
        """See ``heartbeat.witnesses``."""
        key = (hash_, pubkey, snapshot.root)
        drawn = self._draws.find(key)
        if drawn is None:
            drawn = witnesses(hash_, pubkey, snapshot)
            self._draws.put(key, drawn)
        return drawn

    def same(self, data: bytes) -> bytes:
        """``data``, or the same bytes if some node has lately written them."""
        known = self._rows.find(data)
        if known is None:
            self._rows.put(data, data)
            return data
        return known
