"""Heartbeats that were announced and asked for: each from one peer at a time, then the next."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from timecoin.masternodes.book import Level
from timecoin.recent import Recent

MAX_PULLS = 8_192
"""Heartbeats asked for at a time."""
MAX_PULLS_PER_PEER = 2_048
MAX_SEEN = 20_000
"""Heartbeats that came lately and need not come again."""


@dataclass(slots=True)
class _Pull:
    since_ms: int
    """When the last of ``asked`` was asked."""
    peers: dict[bytes, None] = field(default_factory=dict)
    """Those that have told of it."""
    asked: dict[bytes, None] = field(default_factory=dict)

    @property
    def last(self) -> bytes:
        """The peer that should deliver."""
        return next(reversed(self.asked))


class Pulls:
    """What is under way, by ``beat_id`` and how much is wanted of it."""

    def __init__(self, patience_ms: int) -> None:
        """``patience_ms``: a peer that does not deliver in this time is followed by the next."""
        self._patience_ms = patience_ms
        self._pulls: dict[tuple[bytes, Level], _Pull] = {}
        self._seen: Recent[bytes, Level] = Recent(MAX_SEEN)

    def __len__(self) -> int:
        return len(self._pulls)

    def is_seen(self, name: bytes, level: Level) -> bool:
        """Whether it came lately, and may have been refused or replaced since."""
        return (self._seen.find(name) or Level.NOTHING) >= level

    def count(self, peer: bytes) -> int:
        """How many ``peer`` is to deliver."""
        return sum(pull.last == peer for pull in self._pulls.values())

    def begin(self, peer: bytes, name: bytes, level: Level, now_ms: int) -> bool:
        """``peer`` has told of a heartbeat that is lacking here; whether to ask it now."""
        pull = self._pulls.get((name, level))
        if pull is not None:
            pull.peers[peer] = None
            return False
        if len(self._pulls) >= MAX_PULLS:
            return False
        self._pulls[name, level] = _Pull(now_ms, {peer: None}, {peer: None})
        return True

    def end(self, name: bytes, level: Level) -> dict[bytes, Level]:
        """It has come; who else has told of it, and how much they have."""
        self._seen.put(name, max(level, self._seen.find(name) or Level.NOTHING))
        told: dict[bytes, Level] = {}
        for ended in (Level.HEARD, Level.VERIFIED)[:level]:
            pull = self._pulls.pop((name, ended), None)
            if pull is not None:
                told.update(dict.fromkeys(pull.peers, ended))
        return told

    def late(self, now_ms: int, linked: Container[bytes]) -> list[tuple[bytes, bytes]]:
        """(peer, beat_id) of what has to be asked for once more; given up if nobody is left."""
        found: list[tuple[bytes, bytes]] = []
        due_ms = now_ms - self._patience_ms
        for key in [key for key, pull in self._pulls.items() if pull.since_ms <= due_ms]:
            pull = self._pulls[key]
            others = (peer for peer in pull.peers if peer not in pull.asked and peer in linked)
            peer = next(others, None)
            if peer is None:
                del self._pulls[key]
                continue
            pull.asked[peer], pull.since_ms = None, now_ms
            found.append((peer, key[0]))
        return found
