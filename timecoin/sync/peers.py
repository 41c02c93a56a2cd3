"""What peers say of their tips, how they answer, and whom to ask."""

from __future__ import annotations

from dataclasses import dataclass

QUIET_MS = 30_000
"""Who did not deliver what it announced is not asked for so long."""
MAX_FAILURES = 3
"""Requests in a row that may time out before an announcement is forgotten."""
SLOW_FACTOR_MAX = 8


@dataclass(slots=True)
class Peer:
    """One linked peer. ``height`` is announced, ``proved`` says that it has been worth belief."""

    height: int = 0
    first_body: int = 1
    """The lowest block whose body it says to have."""
    proved: bool = False
    """It delivered certified headers since we fell behind."""
    gave_bodies: bool = False
    """It has delivered bodies on this link."""
    failures: int = 0
    latency_ms: int = 0
    """Time from question to answer, smoothed; 0 before the first."""
    quiet_until_ms: int = 0


class Peers:
    """All linked peers, in the order in which they came."""

    def __init__(self) -> None:
        self._peers: dict[bytes, Peer] = {}
        self._highest: int | None = 0
        """The highest height announced; None when it has to be looked for again."""

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: bytes) -> None:
        """A link is up."""
        self._peers[peer] = Peer()

    def remove(self, peer: bytes) -> None:
        """A link is gone."""
        known = self._peers.pop(peer, None)
        if known is not None:
            self._lowered(known)

    def announced(self, name: bytes, height: int, first_body: int) -> Peer | None:
        """``name`` tells its tip and its first body; its record, None when it is not linked."""
        peer = self._peers.get(name)
        if peer is None:
            return None
        if self._highest is not None and height >= self._highest:
            self._highest = height
        elif height < peer.height:
            self._lowered(peer)
        peer.height, peer.first_body = height, first_body
        return peer

    def get(self, peer: bytes) -> Peer | None:
        """The record of a linked peer."""
        return self._peers.get(peer)

    def ranked(self, height: int, now_ms: int, body: bool = False) -> tuple[bytes, ...]:
        """Peers said to have block ``height``, with ``body`` its body too; the best first.

        Fewest failures, then the highest tip, then the shortest time to an answer.
        """
        if height > self._top():
            return ()
        able = [
            (peer.failures, -peer.height, peer.latency_ms, order, name)
            for order, (name, peer) in enumerate(self._peers.items())
            if peer.height >= height
            and peer.quiet_until_ms <= now_ms
            and (not body or peer.first_body <= height)
        ]
        return tuple(name for *_, name in sorted(able))

    def any_proved_above(self, height: int, now_ms: int) -> bool:
        """Whether a peer that has delivered certified headers announces one above ``height``."""
        return height < self._top() and any(
            peer.proved and peer.height > height and peer.quiet_until_ms <= now_ms
            for peer in self._peers.values()
        )

    def prove(self, name: bytes) -> None:
        """Headers that ``name`` sent are certified."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.proved = True

    def credit_bodies(self, name: bytes) -> None:
        """Bodies that ``name`` sent are those of our headers."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.gave_bodies = True

    def answered(self, name: bytes, took_ms: int) -> None:
        """``name`` delivered, ``took_ms`` after the question."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.failures = 0
            known = peer.latency_ms
            peer.latency_ms = (7 * known + took_ms) // 8 if known else max(1, took_ms)

    def failed(self, name: bytes) -> bool:
        """A request to the linked ``name`` timed out; True when that is once too often in a row."""
        peer = self._peers[name]
        peer.failures += 1
        return peer.failures % MAX_FAILURES == 0

    def patience(self, name: bytes) -> int:
        """How many times the usual time-out ``name`` gets: twice as much after each failure."""
        peer = self._peers.get(name)
        return 1 if peer is None else min(SLOW_FACTOR_MAX, 1 << min(peer.failures, 8))

    def forget(self, name: bytes, now_ms: int) -> None:
        """Believe nothing that ``name`` announced, and for a while nothing that it will."""
        peer = self._peers.get(name)
        if peer is not None:
            self._lowered(peer)
            peer.height = 0
            peer.proved = False
            peer.quiet_until_ms = now_ms + QUIET_MS

    def doubt_all(self) -> None:
        """Nobody's word is enough to hold this node in the state of catching up."""
        for peer in self._peers.values():
            peer.proved = False

    def _top(self) -> int:
        """The highest height announced: mostly nobody is ahead, and nobody need be looked at."""
        if self._highest is None:
            self._highest = max((peer.height for peer in self._peers.values()), default=0)
        return self._highest

    def _lowered(self, peer: Peer) -> None:
        """The height of ``peer`` counts no more."""
        if peer.height == self._highest:
            self._highest = None
