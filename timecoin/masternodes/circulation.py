"""How heartbeats travel: straight to those who have a say, then at random to a few (PROTOCOL 4).

A heartbeat that still gathers attestations goes to its witnesses, as far as they are linked, and
their attestations go back to its sender; where too few are linked, it goes to some other peers as
well. A verified one goes on to ``FAN_OUT`` peers, whoever they are: so the traffic of a node grows
with the number of masternodes and no faster, and all but one node in some hundreds hear each.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from timecoin.codec import Wire
from timecoin.machine import Send
from timecoin.masternodes.book import Gathering
from timecoin.masternodes.changes import Join
from timecoin.masternodes.heartbeat import Attested
from timecoin.masternodes.messages import MAX_BEATS, beats_of

FAN_OUT = 6


class Circulation:
    """The links, and what waits to be told."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._masternode_of: dict[bytes, bytes | None] = {}
        self._peer_of: dict[bytes, bytes] = {}
        self._waiting: dict[bytes, tuple[Attested | Join, bytes | None]] = {}

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """``peer`` is linked; ``masternode`` is the voting key that it has proved, if any."""
        self._masternode_of[peer] = masternode
        if masternode is not None:
            self._peer_of[masternode] = peer

    def link_down(self, peer: bytes) -> None:
        """``peer`` is gone."""
        masternode = self._masternode_of.pop(peer, None)
        if masternode is not None and self._peer_of.get(masternode) == peer:
            del self._peer_of[masternode]

    @property
    def masternodes(self) -> tuple[bytes, ...]:
        """The voting keys proved on links, in the order of links."""
        return tuple(self._peer_of)

    @property
    def is_linked(self) -> bool:
        """Whether there is any link."""
        return bool(self._masternode_of)

    def some(self, message: Wire, skip: bytes | None) -> list[Send]:
        """``message`` to up to ``FAN_OUT`` random peers."""
        return [Send(peer, message) for peer in self._pick(skip, ())]

    def gather(self, gathering: Gathering, skip: bytes | None) -> list[Send]:
        """Tell of a heartbeat that needs further attestations."""
        idle = [key for key in gathering.drawn if key not in gathering.attestations]
        peers = [self._peer_of[key] for key in idle if key in self._peer_of]
        if len(peers) + len(gathering.attestations) < gathering.needed:
            peers += self._pick(skip, peers)
        return [Send(peer, beats_of((gathering.item,))) for peer in peers if peer != skip]

    def to_sender(self, gathering: Gathering) -> list[Send]:
        """Give a heartbeat's sender the attestations, if it is linked: it collects them."""
        sender = self._peer_of.get(gathering.heartbeat.pubkey)
        return [] if sender is None else [Send(sender, beats_of((gathering.item,)))]

    def add(self, item: Attested | Join, heard_from: bytes | None) -> None:
        """Tell of a verified heartbeat with the next :meth:`flush`; a newer one replaces it."""
        heartbeat = item.heartbeat if isinstance(item, Attested) else item.attested.heartbeat
        self._waiting[heartbeat.pubkey] = (item, heard_from)

    @property
    def is_waiting(self) -> bool:
        """Whether :meth:`flush` has anything to tell."""
        return bool(self._waiting)

    def flush(self) -> list[Send]:
        """Tell what waits, to the same few peers."""
        waiting, self._waiting = tuple(self._waiting.values()), {}
        sends: list[Send] = []
        for peer in self._pick(None, ()):
            items = tuple(item for item, heard_from in waiting if heard_from != peer)
            for start in range(0, len(items), MAX_BEATS):
                sends.append(Send(peer, beats_of(items[start : start + MAX_BEATS])))
        return sends

    def _pick(self, skip: bytes | None, without: Iterable[bytes]) -> list[bytes]:
        left_out = dict.fromkeys(without)
        peers = [peer for peer in self._masternode_of if peer != skip and peer not in left_out]
        return self._rng.sample(peers, min(FAN_OUT, len(peers)))
