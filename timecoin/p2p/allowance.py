"""How much of this node one peer may use: delays first, never a ban (PROTOCOL 7).

Every frame costs tokens by its kind and size. Who overdraws is read from again when the debt is
paid off: TCP holds it back meanwhile, and nothing is lost. A frame can hold no more signatures than
its bytes allow, so the price by size bounds the checks that a peer can ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from timecoin.p2p.tokens import TokenBucket

SIGNED_BYTES_PER_TOKEN = 64
"""Of messages that carry signatures: a token a check."""
BULK_BYTES_PER_TOKEN = 1_024
STAKED_FACTOR = 4
"""A staked peer may do so much more."""
MAX_PAUSE_MS = 10_000
"""The longest that a peer is not read from in one go."""


@dataclass(frozen=True, slots=True)
class KindRule:
    """What a kind of frame costs, and whether large ones travel compressed."""

    bytes_per_token: int = SIGNED_BYTES_PER_TOKEN
    reads_disk: bool = False
    """Answering it costs disk reads: it counts against ``RateLimits.disk_per_minute``."""
    unpacked_bytes: int = 0
    """Above 0: may be compressed, and may unpack to so much."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Settings of a node: tokens a minute and at once."""

    disk_per_minute: int = 100
    disk_burst: int = 100
    work_per_minute: int = 1_200_000
    work_burst: int = 400_000
    all_per_minute: int = 3_000_000
    """Of all peers together; when it is used up, staked peers come first."""
    all_burst: int = 1_000_000
    strangers_per_minute: int = 600_000
    """Of all peers without stake together (``turns.py``)."""
    strangers_burst: int = 50_000
    kinds: Mapping[int, KindRule] = field(default_factory=dict)
    """Other kinds cost as messages that carry signatures."""


_PLAIN = KindRule()


class Allowance:
    """The buckets of one peer; ``everybody`` is one bucket for all of them."""

    def __init__(self, limits: RateLimits, everybody: TokenBucket, now_ms: int) -> None:
        self._limits = limits
        self._everybody = everybody
        self._disk = TokenBucket(limits.disk_per_minute, limits.disk_burst, now_ms)
        self._work = TokenBucket(limits.work_per_minute, limits.work_burst, now_ms)

    def price(self, kind: int, size: int) -> int:
        """What a frame costs, in tokens."""
        return 1 + size // self._rule(kind).bytes_per_token

    def spend(self, kind: int, size: int, staked: bool, now_ms: int) -> int:
        """A frame arrived; for how many milliseconds the peer must not be read from."""
        tokens = self.price(kind, size)
        self._everybody.spend(tokens, now_ms)
        self._work.spend(-(-tokens // STAKED_FACTOR) if staked else tokens, now_ms)
        wait_ms = self._work.wait_ms(0, now_ms)
        if self._rule(kind).reads_disk:
            self._disk.spend(1, now_ms)
            wait_ms = max(wait_ms, self._disk.wait_ms(0, now_ms))
        if not staked:
            wait_ms = max(wait_ms, self._everybody.wait_ms(0, now_ms))
        return min(wait_ms, MAX_PAUSE_MS)

    def _rule(self, kind: int) -> KindRule:
        return self._limits.kinds.get(kind, _PLAIN)
