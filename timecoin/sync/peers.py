"""What peers say of their tips, and whom to ask."""

from __future__ import annotations

from dataclasses import dataclass

QUIET_MS = 30_000
"""Who did not deliver what it announced is not asked for so long."""
MAX_FAILURES = 3
"""Requests in a row that may time out before an announcement is forgotten."""


@dataclass(slots=True)
class Peer:
    """One linked peer. ``height`` is announced, ``proved`` says that it has been worth belief."""

    height: int = 0
    proved: bool = False
    """It delivered certified blocks since we fell behind."""
    failures: int = 0
    quiet_until_ms: int = 0


class Peers:
    """All linked peers, in the order in which they came."""

    def __init__(self) -> None:
        self._peers: dict[bytes, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: bytes) -> None:
        """A link is up."""
        self._peers[peer] = Peer()

    def remove(self, peer: bytes) -> None:
        """A link is gone."""
        self._peers.pop(peer, None)

    def get(self, peer: bytes) -> Peer | None:
        """The record of a linked peer."""
        return self._peers.get(peer)

    def height(self, name: bytes) -> int:
        """The height that the linked ``name`` announced."""
        return self._peers[name].height

    def is_proved(self, name: bytes) -> bool:
        """Whether the linked ``name`` has delivered certified blocks since we fell behind."""
        return self._peers[name].proved

    def ranked(self, height: int, now_ms: int) -> tuple[bytes, ...]:
        """Peers said to have block ``height``: fewest failures first, then the highest tip."""
        able = [
            (peer.failures, -peer.height, order, name)
            for order, (name, peer) in enumerate(self._peers.items())
            if peer.height >= height and peer.quiet_until_ms <= now_ms
        ]
        return tuple(name for _, _, _, name in sorted(able))

    def any_proved_above(self, height: int, now_ms: int) -> bool:
        """Whether a peer that has delivered certified blocks announces one above ``height``."""
        return any(
            peer.proved and peer.height > height and peer.quiet_until_ms <= now_ms
            for peer in self._peers.values()
        )

    def prove(self, name: bytes) -> None:
        """A block that ``name`` sent is certified."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.proved = True

    def answered(self, name: bytes) -> None:
        """``name`` delivered."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.failures = 0

    def failed(self, name: bytes) -> bool:
        """A request to the linked ``name`` timed out; True when that is once too often in a row."""
        peer = self._peers[name]
        peer.failures += 1
        return peer.failures % MAX_FAILURES == 0

    def forget(self, name: bytes, now_ms: int) -> None:
        """Believe nothing that ``name`` announced, and for a while nothing that it will."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.height = 0
            peer.proved = False
            peer.quiet_until_ms = now_ms + QUIET_MS

    def doubt_all(self) -> None:
        """Nobody's word is enough to hold this node in the state of catching up."""
        for peer in self._peers.values():
            peer.proved = False
