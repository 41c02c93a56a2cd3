"""Who has how much of each heartbeat, as far as this node knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from timecoin.masternodes.book import Level


@dataclass(slots=True)
class Share:
    """How much a peer has of a heartbeat; how much it was given when it asked, and told of."""

    has: Level = Level.NOTHING
    given: Level = Level.NOTHING
    told: Level = Level.NOTHING


class Shares:
    """By the names of heartbeats and by peer."""

    def __init__(self) -> None:
        self._shares: dict[bytes, dict[bytes, Share]] = {}

    def of(self, name: bytes, peer: bytes) -> Share:
        """The share of ``peer``, to be changed."""
        return self._shares.setdefault(name, {}).setdefault(peer, Share())

    def has(self, name: bytes, peer: bytes) -> Level:
        """How much ``peer`` has."""
        share = self._shares.get(name, {}).get(peer)
        return Level.NOTHING if share is None else share.has

    def grow(self, name: bytes, peer: bytes, level: Level) -> None:
        """``peer`` has at least so much."""
        share = self.of(name, peer)
        share.has = max(share.has, level)

    def known(self, name: bytes) -> list[tuple[bytes, Level]]:
        """The peers of which something is known, and how much they have."""
        return [(peer, share.has) for peer, share in self._shares.get(name, {}).items()]

    def link_down(self, peer: bytes) -> None:
        """``peer`` is gone; a new link begins with nothing told."""
        for shares in self._shares.values():
            shares.pop(peer, None)

    def keep(self, names: Iterable[bytes]) -> None:
        """Forget all heartbeats but these."""
        self._shares = {name: self._shares[name] for name in names if name in self._shares}
