"""The ways that heartbeats take: whom each masternode's are handed to without being asked.

A peer that has asked for a heartbeat of a masternode is handed the next ones of that masternode,
until it answers that it has had one already. So what is left of the links is a tree for each
masternode, over which everybody hears it once (as in Plumtree; Leitao, Pereira, Rodrigues 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MAX_FOLLOWERS = 16
"""Peers without a voting key that heartbeats of one masternode are handed to; others may ask."""


@dataclass(slots=True)
class _Way:
    peers: dict[bytes, bool] = field(default_factory=dict)
    """Those it leads to; whether they have proved a voting key."""
    is_open: bool = False
    """Whether a heartbeat has gone round, so that those who lack it have asked."""


class Ways:
    """Of each masternode, the peers that wait for its heartbeats here."""

    def __init__(self) -> None:
        self._ways: dict[bytes, _Way] = {}

    def of(self, masternode: bytes) -> tuple[bytes, ...]:
        """Whom heartbeats of ``masternode`` are handed to."""
        way = self._ways.get(masternode)
        return () if way is None else tuple(way.peers)

    def is_open(self, masternode: bytes) -> bool:
        """Whether a heartbeat of ``masternode`` was announced from here before."""
        way = self._ways.get(masternode)
        return way is not None and way.is_open

    def open(self, masternode: bytes) -> None:
        """A heartbeat of ``masternode`` is being announced: the next ones need not be."""
        self._ways.setdefault(masternode, _Way()).is_open = True

    def join(self, masternode: bytes, peer: bytes, is_validator: bool) -> None:
        """``peer`` has asked for a heartbeat of ``masternode``."""
        peers = self._ways.setdefault(masternode, _Way()).peers
        if is_validator or sum(not each for each in peers.values()) < MAX_FOLLOWERS:
            peers[peer] = is_validator

    def leave(self, masternode: bytes, peer: bytes) -> None:
        """``peer`` gets the heartbeats of ``masternode`` from somebody else."""
        way = self._ways.get(masternode)
        if way is not None:
            way.peers.pop(peer, None)

    def link_down(self, peer: bytes) -> None:
        """``peer`` is gone."""
        for way in self._ways.values():
            way.peers.pop(peer, None)

    def forget(self, keep: Callable[[bytes], bool]) -> None:
        """Drop the masternodes that ``keep`` does not name."""
        self._ways = {key: way for key, way in self._ways.items() if keep(key)}
