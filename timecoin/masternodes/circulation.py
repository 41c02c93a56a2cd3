"""How heartbeats travel: straight to those who have a say, then by being told of (PROTOCOL 4).

A heartbeat that still gathers attestations goes to its witnesses at once, as far as its sender is
linked with them. Where too few are, and once it is verified, it is announced: several times in an
interval a node tells ``FAN_OUT`` peers, whoever they are, the short names of all that is new to
it; who lacks something asks for it, once. So a heartbeat comes to each node once, its attestations
once more, and only the names come by several times: the traffic of a node grows with the number of
masternodes and no faster, and all but one node in some hundreds hear each heartbeat. Attestations
go back to the sender, the way by which its heartbeat has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from timecoin.codec import Wire
from timecoin.machine import Send, StartTimer
from timecoin.masternodes.book import Gathering, HeartbeatBook, Level
from timecoin.masternodes.heartbeat import beat_id
from timecoin.masternodes.messages import (
    MAX_BEATS,
    MAX_IDS,
    BeatNews,
    BeatWants,
    Item,
    Witnessed,
    beats_of,
)
from timecoin.masternodes.pulls import MAX_PULLS_PER_PEER, Pulls

FAN_OUT = 6
FLUSHES = 60
"""What is new is told together, so many times in an interval."""
LEAST_PATIENCE_MS = 500
"""A peer has so long to deliver what it has announced, or a sixtieth of an interval if longer."""
WAYS_BACK = 2
"""Peers that attestations are sent back to: one of them may be gone, or keep them to itself."""
FLUSH, LATE = ("flush",), ("late",)

TimerName = tuple[str | int | bytes, ...]


@dataclass(slots=True)
class _Share:
    """How much a peer has of a heartbeat, and how much this node has given it when asked."""

    has: Level = Level.NOTHING
    given: Level = Level.NOTHING


@dataclass(slots=True)
class _Waiting:
    """A heartbeat to be told of: to these peers, and to random ones unless it is ``only`` these."""

    peers: tuple[bytes, ...] = ()
    only: bool = False


class Circulation:
    """The links, who has what, and what waits to be told."""

    def __init__(self, rng: Random, book: HeartbeatBook, interval_ms: int) -> None:
        """``interval_ms``: that of heartbeats."""
        self._rng = rng
        self._book = book
        self._masternode_of: dict[bytes, bytes | None] = {}
        self._peer_of: dict[bytes, bytes] = {}
        self._shares: dict[bytes, dict[bytes, _Share]] = {}
        self._waiting: dict[bytes, _Waiting] = {}
        patience_ms = max(LEAST_PATIENCE_MS, interval_ms // FLUSHES)
        self._pulls = Pulls(patience_ms)
        self._delays_ms = {FLUSH: interval_ms // FLUSHES, LATE: patience_ms}
        self._running: dict[TimerName, None] = {}

    # links

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """``peer`` is linked; ``masternode`` is the voting key that it has proved, if any."""
        self._masternode_of[peer] = masternode
        if masternode is not None:
            self._peer_of[masternode] = peer

    def link_down(self, peer: bytes) -> None:
        """``peer`` is gone; a new link begins with nothing told."""
        masternode = self._masternode_of.pop(peer, None)
        if masternode is not None and self._peer_of.get(masternode) == peer:
            del self._peer_of[masternode]
        for shares in self._shares.values():
            shares.pop(peer, None)

    @property
    def masternodes(self) -> tuple[bytes, ...]:
        """The voting keys proved on links, in the order of links."""
        return tuple(self._peer_of)

    def has(self, peer: bytes) -> bool:
        """Whether ``peer`` is linked: messages may outlive their link."""
        return peer in self._masternode_of

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

    # heartbeats that gather attestations

    def gather(self, gathering: Gathering, heard_from: bytes | None) -> list[Send]:
        """Bring a heartbeat that needs further attestations to its witnesses.

        This node's own (``heard_from`` None) at once, others are announced with the next
        flush; where too few witnesses are linked, others hear of it too.
        """
        idle = [key for key in gathering.drawn if key not in gathering.attestations]
        peers = [self._peer_of[key] for key in idle if key in self._peer_of]
        enough = len(peers) + len(gathering.attestations) >= gathering.needed
        sends: list[Send] = []
        if heard_from is None:
            for peer in peers:
                self._share(gathering.id, peer).has = gathering.level
            sends = [Send(peer, beats_of((gathering.item,))) for peer in peers]
        if not enough or (peers and not sends):
            self._waiting[gathering.id] = _Waiting(tuple(peers), only=enough)
        return sends

    def to_sender(self, gathering: Gathering, heard_from: bytes | None) -> list[Send]:
        """Send the attestations towards the heartbeat's sender, who collects them.

        To itself if it is linked, else the way by which the heartbeat has come.
        """
        sender = self._peer_of.get(gathering.heartbeat.pubkey)
        ways = gathering.sources if sender is None else [sender]
        message = beats_of((Witnessed(gathering.hash, gathering.ordered),))
        return [
            Send(peer, message)
            for peer in ways
            if peer in self._masternode_of and peer != heard_from
        ]

    # announcements

    def add(self, found: Gathering) -> None:
        """Tell of a verified heartbeat with the next flush."""
        self._waiting[found.id] = _Waiting()

    def timers(self) -> list[StartTimer]:
        """What has to be started now: things wait to be told, or are to come."""
        wanted = {FLUSH: bool(self._waiting), LATE: len(self._pulls) > 0}
        names = [name for name, is_on in wanted.items() if is_on and name not in self._running]
        self._running.update(dict.fromkeys(names))
        return [StartTimer(name, self._delays_ms[name]) for name in names]

    def due(self, name: TimerName, now_ms: int) -> list[Send | StartTimer]:
        """A timer of :meth:`timers` has fired."""
        self._running.pop(name, None)
        sends = self._flush() if name == FLUSH else self._late(now_ms)
        return [*sends, *self.timers()]

    def _flush(self) -> list[Send]:
        """Tell what waits, to the same few peers; to each what it does not have."""
        waiting, self._waiting = self._waiting, {}
        picked = self._pick(None)
        news: dict[bytes, dict[Level, list[bytes]]] = {}
        for name, each in waiting.items():
            found = self._book.find(name)
            if found is None:
                continue
            for peer in dict.fromkeys((*each.peers, *(() if each.only else picked))):
                if peer in self._masternode_of and self._has(name, peer) < found.level:
                    lists = news.setdefault(peer, {Level.HEARD: [], Level.VERIFIED: []})
                    lists[found.level].append(name)
        return [
            Send(peer, BeatNews(tuple(heard), tuple(verified)))
            for peer, lists in news.items()
            for heard, verified in _pages(lists[Level.HEARD], lists[Level.VERIFIED])
        ]

    def hear(self, peer: bytes, news: BeatNews, now_ms: int) -> list[Send]:
        """``peer`` has told what it has: ask for what is lacking here."""
        room = MAX_PULLS_PER_PEER - self._pulls.count(peer)
        names: list[bytes] = []
        told = [(name, Level.HEARD) for name in news.heard]
        told += [(name, Level.VERIFIED) for name in news.verified]
        for name, level in told:
            found = self._book.find(name)
            if found is not None:
                self._tell(found, peer, level)
                if found.level >= level:
                    continue
            elif self._pulls.is_seen(name, level):
                continue
            if len(names) < room and self._pulls.begin(peer, name, level, now_ms):
                names.append(name)
        return self._ask(peer, names)

    def _late(self, now_ms: int) -> list[Send]:
        """Ask others for what has not come in time."""
        by_peer: dict[bytes, list[bytes]] = {}
        for peer, name in self._pulls.late(now_ms, self._masternode_of):
            by_peer.setdefault(peer, []).append(name)
        return [send for peer, names in by_peer.items() for send in self._ask(peer, names)]

    def give(self, peer: bytes, wants: BeatWants) -> list[Send]:
        """``peer`` asks for what it was told of; it gets each once, and its attestations once."""
        items: list[Item] = []
        asked = [(name, True) for name in wants.whole] + [(name, False) for name in wants.witnessed]
        for name, whole in asked:
            found = self._book.find(name)
            if found is None:
                continue
            share = self._share(name, peer)
            if share.given >= found.level:
                continue
            share.given = share.has = found.level
            if whole:
                items.append(found.item)
            elif found.attestations:
                items.append(Witnessed(found.hash, found.sufficient))
        return [
            Send(peer, beats_of(items[start : start + MAX_BEATS]))
            for start in range(0, len(items), MAX_BEATS)
        ]

    def arrived(self, peer: bytes | None, hash_: bytes, level: Level) -> None:
        """``peer`` has sent a heartbeat, which this node has taken or has no use for."""
        if peer not in self._masternode_of:
            return
        name = beat_id(hash_)
        self._raise(name, peer, level)
        for other, its_level in self._pulls.end(name, level).items():
            self._raise(name, other, its_level)

    def heard(self, gathering: Gathering) -> None:
        """A heartbeat is new here: its sender is reached through those who have told of it."""
        for peer, share in self._shares.get(gathering.id, {}).items():
            self._tell(gathering, peer, share.has)

    def forget(self) -> None:
        """Drop what is known of heartbeats that the book has dropped."""
        kept = (name for name in self._book.names() if name in self._shares)
        self._shares = {name: self._shares[name] for name in kept}

    def _tell(self, found: Gathering, peer: bytes, level: Level) -> None:
        self._raise(found.id, peer, level)
        if len(found.sources) < WAYS_BACK and peer not in found.sources:
            found.sources.append(peer)

    def _ask(self, peer: bytes, names: Sequence[bytes]) -> list[Send]:
        known = [name for name in names if self._book.find(name) is not None]
        whole = [name for name in names if self._book.find(name) is None]
        return [Send(peer, BeatWants(*page)) for page in _pages(whole, known)]

    def _share(self, name: bytes, peer: bytes) -> _Share:
        return self._shares.setdefault(name, {}).setdefault(peer, _Share())

    def _raise(self, name: bytes, peer: bytes, level: Level) -> None:
        share = self._share(name, peer)
        share.has = max(share.has, level)

    def _has(self, name: bytes, peer: bytes) -> Level:
        share = self._shares.get(name, {}).get(peer)
        return Level.NOTHING if share is None else share.has

    def _pick(self, skip: bytes | None) -> list[bytes]:
        peers = [peer for peer in self._masternode_of if peer != skip]
        return self._rng.sample(peers, min(FAN_OUT, len(peers)))


def _pages(
    first: Sequence[bytes], second: Sequence[bytes]
) -> Iterable[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """Two lists of names in parts that a message may hold; nothing of empty ones."""
    for start in range(0, max(len(first), len(second)), MAX_IDS):
        end = start + MAX_IDS
        yield tuple(first[start:end]), tuple(second[start:end])
