"""What the masternode machine needs of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.changes import Join, Leave

HasQuorum = Callable[[Iterable[bytes], Sequence[ActiveSet]], bool]
"""``quorum.tally.has_quorum``: it stands in a higher row, since certificates do."""

ClockOffsets = Callable[[], Sequence[int]]
"""By how many milliseconds each linked peer's clock is ahead of this node's."""


class MasternodeChain(Protocol):
    """Port: history as masternodes see it."""

    @property
    def tip_height(self) -> int:
        """Height of the newest final block."""

    @property
    def tip_hash(self) -> bytes:
        """Its hash."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), or None when it is unknown, ahead of the tip or no longer kept."""

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``; the genesis hash at 0."""

    def may_join(self, join: Join) -> bool:
        """Whether the block after the tip could take ``join``: heartbeat and signatures aside.

        Cheap: a look-up of the stake. A joiner that nobody could take is not listened to.
        """

    def may_leave(self, leave: Leave) -> bool:
        """Whether the block after the tip could take ``leave``, its signature included."""

    def stakes_of(self, pubkey: bytes) -> tuple[bytes, ...]:
        """Outpoints of the unspent stakes that name the voting key, in chain order."""


class HeartbeatRows(Protocol):
    """Port: the rows of verified heartbeats that are kept, by hour and masternode."""

    def get(self, key: bytes) -> bytes | None:
        """The row at ``key``."""

    def keys_below(self, key: bytes, limit: int) -> tuple[bytes, ...]:
        """At most ``limit`` keys below ``key``, in key order."""
