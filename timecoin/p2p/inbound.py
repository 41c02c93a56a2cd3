"""Who may come in, and who has to go when the house is full (PROTOCOL 7).

Before TLS: how often a network may connect and how many handshakes may be open. After it: when more
links than the setting allows are up, one of the network that has most of them goes, the newest
first; staked, useful, near and long-known peers and those of rare networks are spared, as in
Bitcoin.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from timecoin.crypto.hashing import blake3_256
from timecoin.p2p.netgroup import address_group
from timecoin.p2p.tokens import TokenBucket

SPARED_GROUPS, SPARED_NEAR, SPARED_USEFUL = 4, 8, 8
MAX_BUCKETS = 4_096

K = TypeVar("K", bound=Hashable)
K_co = TypeVar("K_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Guest(Generic[K_co]):
    """An inbound link as the choice of a victim sees it."""

    key: K_co
    group: bytes
    staked: bool
    merit: int
    """Its reputation."""
    latency_ms: int | None
    connected_ms: int


def choose_victim(guests: Sequence[Guest[K]], secret: bytes) -> K | None:
    """The link to end; None if all are spared."""
    left = [guest for guest in guests if not guest.staked]
    # Whom a secret favours cannot be arranged from outside.
    left = _spare(left, SPARED_GROUPS, lambda g: blake3_256(secret + g.group))
    left = _spare(
        left, SPARED_NEAR, lambda g: (g.latency_ms is None, g.latency_ms or 0, g.connected_ms)
    )
    useful = sum(guest.merit > 0 for guest in left)
    left = _spare(left, min(SPARED_USEFUL, useful), lambda g: -g.merit)
    left = _spare(left, len(left) // 2, lambda g: g.connected_ms)
    if not left:
        return None
    sizes = Counter(guest.group for guest in left)
    return max(left, key=lambda g: (sizes[g.group], g.group, g.connected_ms)).key


def _spare(guests: list[Guest[K]], count: int, order: Callable[[Guest[K]], Any]) -> list[Guest[K]]:
    return sorted(guests, key=order)[count:]


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """How fast connections are taken; settings of a node."""

    max_handshakes: int = 128
    """TCP connections that are not links yet."""
    max_handshakes_of_group: int = 32
    connects_per_minute: int = 600
    """Of one address group, after a burst of ``connects_burst``."""
    connects_burst: int = 200
    all_per_minute: int = 3_000
    """Of all but those that are known, after a burst of ``all_burst``: handshakes cost."""
    all_burst: int = 500
    gives_way: bool = False
    """When all are open: whether the oldest goes for a newcomer whose group is no rarer."""


class Door(Generic[K]):
    """Connections from accept to link; ``K`` names one."""

    def __init__(self, limits: DoorLimits, now_ms: int) -> None:
        self._limits = limits
        self._all = TokenBucket(limits.all_per_minute, limits.all_burst, now_ms)
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()
        self._waiting: dict[K, bytes] = {}
        self._of_group: Counter[bytes] = Counter()

    def knock(self, host: bytes, now_ms: int, known: bool = False) -> bool:
        """Whether a TCP connection from ``host`` is taken; it costs its group a token if so.

        ``known``: it costs the others nothing.
        """
        group = address_group(host)
        if self._of_group[group] >= self._limits.max_handshakes_of_group:
            return False
        if len(self._waiting) >= self._limits.max_handshakes and not self._makes_room(group):
            return False
        if not self._bucket(group, now_ms).take(1, now_ms):
            return False
        return known or self._all.take(1, now_ms)

    def slow_down(self, host: bytes, tokens: int, now_ms: int) -> None:
        """Somebody at ``host`` had to be banned: take connections from there more slowly."""
        self._bucket(address_group(host), now_ms).spend(tokens, now_ms)

    def entered(self, key: K, host: bytes) -> K | None:
        """A connection was taken; the one to end for it if there are too many."""
        group = address_group(host)
        self._waiting[key] = group
        self._of_group[group] += 1
        if len(self._waiting) <= self._limits.max_handshakes:
            return None
        most = max(self._of_group.values())
        return next(k for k, g in self._waiting.items() if self._of_group[g] == most)

    def left(self, key: K) -> None:
        """The connection is a link now, or gone."""
        group = self._waiting.pop(key, None)
        if group is None:
            return
        self._of_group[group] -= 1
        if not self._of_group[group]:
            del self._of_group[group]

    def _makes_room(self, group: bytes) -> bool:
        """Whether one of those within goes for a newcomer: where another group has more of them."""
        return self._limits.gives_way or any(
            count > self._of_group[group] + 1 for count in self._of_group.values()
        )

    def _bucket(self, group: bytes, now_ms: int) -> TokenBucket:
        bucket = self._buckets.pop(group, None)
        if bucket is None:
            limits = self._limits
            bucket = TokenBucket(limits.connects_per_minute, limits.connects_burst, now_ms)
        self._buckets[group] = bucket
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket
