"""How heartbeats travel: straight to those who have a say, then at random to a few (PROTOCOL 4).

A heartbeat that still gathers attestations goes to its witnesses at once, as far as they are
linked; where too few are, it is told to others like one that is verified: several times in an
interval, all that is new goes to ``FAN_OUT`` peers, whoever they are. Attestations go back to the
sender, the way by which its heartbeat has come. So the traffic of a node grows with the number of
masternodes and no faster, and all but one node in some hundreds hear each heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from timecoin.codec import Wire
from timecoin.machine import Send
from timecoin.masternodes.book import Gathering
from timecoin.masternodes.changes import Join
from timecoin.masternodes.heartbeat import Attested
from timecoin.masternodes.messages import MAX_BEATS, beats_of

FAN_OUT = 6
WAYS_BACK = 2
"""Peers that attestations are sent back to: one of them may be gone, or keep them to itself."""


@dataclass(slots=True)
class _Waiting:
    """A heartbeat to be told, and the peers that have it."""

    item: Attested | Join
    known: dict[bytes, None]


class Circulation:
    """The links, and what waits to be told."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._masternode_of: dict[bytes, bytes | None] = {}
        self._peer_of: dict[bytes, bytes] = {}
        self._waiting: dict[bytes, _Waiting] = {}

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

    def is_linked_with(self, masternode: bytes) -> bool:
        """Whether a linked peer has proved the voting key ``masternode``."""
        return masternode in self._peer_of

    @property
    def is_linked(self) -> bool:
        """Whether there is any link."""
        return bool(self._masternode_of)

    def some(self, message: Wire, skip: bytes | None) -> list[Send]:
        """``message`` to up to ``FAN_OUT`` random peers."""
        return [Send(peer, message) for peer in self._pick(skip)]

    def gather(self, gathering: Gathering, heard_from: bytes | None) -> list[Send]:
        """Tell of a heartbeat that needs further attestations: its witnesses at once.

        Where too few of them are linked, others hear of it with the next :meth:`flush`.
        """
        idle = [key for key in gathering.drawn if key not in gathering.attestations]
        peers = [self._peer_of[key] for key in idle if key in self._peer_of]
        if len(peers) + len(gathering.attestations) < gathering.needed:
            self.add(gathering.item, heard_from)
        message = beats_of((gathering.item,))
        return [Send(peer, message) for peer in peers if peer != heard_from]

    def heard(self, gathering: Gathering, peer: bytes) -> None:
        """``peer`` has told of ``gathering``: one of those through whom its sender is reached."""
        if len(gathering.sources) < WAYS_BACK and peer not in gathering.sources:
            gathering.sources.append(peer)

    def to_sender(self, gathering: Gathering, heard_from: bytes | None) -> list[Send]:
        """Send the attestations towards the heartbeat's sender, who collects them.

        To itself if it is linked, else the way by which the heartbeat has come.
        """
        sender = self._peer_of.get(gathering.heartbeat.pubkey)
        ways = gathering.sources if sender is None else [sender]
        message = beats_of((gathering.item,))
        return [
            Send(peer, message)
            for peer in ways
            if peer in self._masternode_of and peer != heard_from
        ]

    def add(self, item: Attested | Join, heard_from: bytes | None) -> None:
        """Tell of ``item`` with the next :meth:`flush`; a newer one of its sender replaces it."""
        known = {} if heard_from is None else {heard_from: None}
        self._waiting[_attested(item).heartbeat.pubkey] = _Waiting(item, known)

    def seen(self, attested: Attested, peer: bytes) -> None:
        """``peer`` has sent what waits here, or more of it: it need not be told."""
        waiting = self._waiting.get(attested.heartbeat.pubkey)
        if waiting is None:
            return
        ours = _attested(waiting.item)
        if ours.heartbeat == attested.heartbeat and len(attested.attestations) >= len(
            ours.attestations
        ):
            waiting.known[peer] = None

    @property
    def is_waiting(self) -> bool:
        """Whether :meth:`flush` has anything to tell."""
        return bool(self._waiting)

    def flush(self) -> list[Send]:
        """Tell what waits, to the same few peers; to each what it has not told itself."""
        waiting, self._waiting = tuple(self._waiting.values()), {}
        sends: list[Send] = []
        for peer in self._pick(None):
            items = tuple(found.item for found in waiting if peer not in found.known)
            for start in range(0, len(items), MAX_BEATS):
                sends.append(Send(peer, beats_of(items[start : start + MAX_BEATS])))
        return sends

    def _pick(self, skip: bytes | None) -> list[bytes]:
        peers = [peer for peer in self._masternode_of if peer != skip]
        return self._rng.sample(peers, min(FAN_OUT, len(peers)))


def _attested(item: Attested | Join) -> Attested:
    return item if isinstance(item, Attested) else item.attested
