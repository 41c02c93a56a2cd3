"""How heartbeats travel: straight to those who have a say, then by trees that grew by asking.

A heartbeat that still gathers attestations goes to its witnesses at once, as far as its sender is
linked with them; where too few are, everybody hands it on. Its attestations go back to the sender,
the way by which it has come, and once it is verified they follow it. It is handed to those who have
asked for one of this masternode before (``ways.py``), and by the sender to all linked members; only
the first one is announced, by its short name, to ``FAN_OUT`` peers, and who lacks it asks. So a
heartbeat and its attestations come to each node once: the traffic of a node grows with the number
of masternodes and no faster. For who was passed over, by a fault or by intent, verified ones are
told of once more some time later, to ``REMINDED`` peers whoever they are (PROTOCOL 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from timecoin.codec import Wire
from timecoin.machine import Send, StartTimer
from timecoin.masternodes.book import Gathering, HeartbeatBook, Level
from timecoin.masternodes.heartbeat import Attestation, beat_id
from timecoin.masternodes.messages import (
    MAX_BEATS,
    BeatNews,
    BeatWants,
    Item,
    Witnessed,
    beats_of,
    pages_of,
)
from timecoin.masternodes.pulls import MAX_PULLS_PER_PEER, Pulls
from timecoin.masternodes.shares import Shares
from timecoin.masternodes.ways import Ways
from timecoin.params import HeartbeatTiming

FAN_OUT = 6
REMINDED = 3
FLUSHES = 60
"""What is new is told together, so many times in an interval."""
LEAST_PATIENCE_MS = 500
"""A peer has so long to deliver what it has announced, or a sixtieth of an interval if longer."""
WAYS_BACK = 2
"""Peers that attestations are sent back to, if so many have told of the heartbeat; so many others
when that has not led to the sender: one of them may be gone, or keep them to itself."""
LOOKS = 6
"""In the time for attesting; a heartbeat is looked at again at the second one after it came."""
FLUSH, LATE, LOOK = ("flush",), ("late",), ("look",)

TimerName = tuple[str | int | bytes, ...]


@dataclass(slots=True)
class _Waiting:
    """A heartbeat to be told of: to these peers, and to random ones unless it is ``only`` these."""

    peers: tuple[bytes, ...] = ()
    only: bool = False


class Circulation:
    """The links, who has what, and what waits to be told."""

    def __init__(self, rng: Random, book: HeartbeatBook, timing: HeartbeatTiming) -> None:
        self._rng = rng
        self._book = book
        self._masternode_of: dict[bytes, bytes | None] = {}
        self._peer_of: dict[bytes, bytes] = {}
        self._shares = Shares()
        self._waiting: dict[bytes, _Waiting] = {}
        self._verified: dict[bytes, None] = {}
        """Names of heartbeats verified since the last reminder."""
        self._attested: dict[bytes, Attestation] = {}
        """By name: this node's attestations to heartbeats that were not verified."""
        self._ways = Ways()
        self._handed: dict[bytes, None] = {}
        self._handed_before: dict[bytes, None] = {}
        """Names of those handed on since the last look at what has become of them, and before."""
        flush_ms = timing.interval_ms // FLUSHES
        patience_ms = max(LEAST_PATIENCE_MS, flush_ms)
        self._pulls = Pulls(patience_ms)
        look_ms = timing.attest_ms // LOOKS
        self._delays_ms = {FLUSH: flush_ms, LATE: patience_ms, LOOK: look_ms}
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
        self._ways.link_down(peer)
        self._shares.link_down(peer)

    @property
    def masternodes(self) -> tuple[bytes, ...]:
        """The voting keys proved on links, in the order of links."""
        return tuple(self._peer_of)

    def has(self, peer: bytes) -> bool:
        """Whether ``peer`` is linked: messages may outlive their link."""
        return peer in self._masternode_of

    @property
    def is_linked(self) -> bool:
        """Whether there is any link."""
        return bool(self._masternode_of)

    def some(self, message: Wire, skip: bytes | None) -> list[Send]:
        """``message`` to up to ``FAN_OUT`` random peers."""
        peers = [peer for peer in self._masternode_of if peer != skip]
        return [Send(peer, message) for peer in self._pick(peers, FAN_OUT)]

    # heartbeats that gather attestations

    def gather(self, gathering: Gathering, heard_from: bytes | None) -> list[Send]:
        """Bring a heartbeat that needs further attestations to its witnesses.

        This node's own (``heard_from`` None) straight to them if enough are linked; else it is
        handed on to all, and announced if it is the first of its masternode.
        """
        sender, is_own = gathering.heartbeat.pubkey, heard_from is None
        self._handed[gathering.id] = None
        if is_own:
            peers, enough = self._witnesses(gathering)
            if enough:
                return self._hand(gathering, peers)
        # To other witnesses its sender has brought it itself, as to this one.
        is_brought = gathering.id in self._attested and sender in self._peer_of
        if not is_brought and not self._ways.is_open(sender):
            self._announce(gathering)
        return self._hand(gathering, self._takers(sender, is_own))

    def _announce(self, gathering: Gathering) -> None:
        """Tell its witnesses with the next flush; others too, where too few of them are linked."""
        peers, enough = self._witnesses(gathering)
        if peers or not enough:
            self._waiting[gathering.id] = _Waiting(tuple(peers), only=enough)

    def _witnesses(self, gathering: Gathering) -> tuple[list[bytes], bool]:
        """The linked witnesses that have not attested; whether they are enough."""
        idle = [key for key in gathering.drawn if key not in gathering.attestations]
        peers = [self._peer_of[key] for key in idle if key in self._peer_of]
        return peers, len(peers) + len(gathering.attestations) >= gathering.needed

    def _look_again(self) -> None:
        """Tell of what was handed on some time ago and lacks attestations still.

        Those to whom it was handed may be too few: its sender's links, or the ways that are left.
        """
        found = map(self._book.find, self._handed_before)
        self._handed, self._handed_before = {}, self._handed
        for gathering in found:
            if gathering is not None and gathering.level is Level.HEARD:
                self._announce(gathering)

    def to_sender(
        self, gathering: Gathering, new: tuple[Attestation, ...], heard_from: bytes | None
    ) -> list[Send]:
        """Send attestations towards the heartbeat's sender, who collects them.

        To itself if it is linked, else the ways by which the heartbeat has come.
        """
        sender = self._peer_of.get(gathering.heartbeat.pubkey)
        ways = gathering.sources if sender is None else [sender]
        message = beats_of((Witnessed(gathering.hash, new),))
        return [
            Send(peer, message)
            for peer in ways
            if peer in self._masternode_of
            and peer != heard_from
            and self._shares.has(gathering.id, peer) is not Level.VERIFIED
        ]

    def attested(self, gathering: Gathering, attestation: Attestation) -> None:
        """This node has given its own: it is sent by other ways if it moves nothing in time."""
        self._attested[gathering.id] = attestation

    def _give_again(self) -> list[Send]:
        """Send this node's attestations to what is not verified yet by other ways."""
        found = ((self._book.find(name), each) for name, each in self._attested.items())
        owed = [(one, each) for one, each in found if one and one.level is Level.HEARD]
        self._attested = {one.id: each for one, each in owed}
        sends: list[Send] = []
        for gathering, attestation in owed:
            sender = self._peer_of.get(gathering.heartbeat.pubkey)
            ways = self._pick(self._peers, WAYS_BACK) if sender is None else [sender]
            message = beats_of((Witnessed(gathering.hash, (attestation,)),))
            sends += [Send(peer, message) for peer in ways]
        return sends

    # verified ones

    def add(self, found: Gathering, is_own: bool) -> list[Send]:
        """Hand a verified heartbeat on; the first of its masternode is announced, too."""
        sender = found.heartbeat.pubkey
        if not self._ways.is_open(sender):
            self._ways.open(sender)
            self._waiting[found.id] = _Waiting()
        self._verified[found.id] = None
        return self._hand(found, self._takers(sender, is_own))

    def remind(self) -> list[Send]:
        """What may have been kept from others comes to them by other ways.

        A few peers are told of what was verified since the last time, unless they have it.
        """
        names, self._verified = self._verified, {}
        picked = self._pick(self._peers, REMINDED)
        return self._tell_of(dict.fromkeys(names, picked)) + self._give_again()

    def repeated(self, peer: bytes | None, hash_: bytes, level: Level) -> list[Send]:
        """``peer`` has sent whole what this node had: it need not hand on what comes after it."""
        if peer not in self._masternode_of:
            return []
        name = beat_id(hash_)
        heard, verified = ((name,), ()) if level is Level.HEARD else ((), (name,))
        return [Send(peer, BeatNews(heard, verified))]

    def _takers(self, sender: bytes, is_own: bool) -> dict[bytes, None]:
        """Whom heartbeats of ``sender`` are handed to: its own by this node to all members."""
        members = self._peer_of.values() if is_own else ()
        return dict.fromkeys((*members, *self._ways.of(sender)))

    def _hand(self, found: Gathering, peers: Iterable[bytes]) -> list[Send]:
        """Send those of ``peers`` what they lack of ``found``."""
        sends: list[Send] = []
        for peer in peers:
            share = self._shares.of(found.id, peer)
            if share.has >= found.level:
                continue
            item = found.item if share.has is Level.NOTHING else _attestations(found)
            share.has = found.level
            if item is not None:
                sends.append(Send(peer, beats_of((item,))))
        return sends

    # announcements

    def timers(self) -> list[StartTimer]:
        """What has to be started now: things wait to be told, or are to come."""
        looks = bool(self._handed or self._handed_before)
        wanted = {FLUSH: bool(self._waiting), LATE: len(self._pulls) > 0, LOOK: looks}
        names = [name for name, is_on in wanted.items() if is_on and name not in self._running]
        self._running.update(dict.fromkeys(names))
        return [StartTimer(name, self._delays_ms[name]) for name in names]

    def due(self, name: TimerName, now_ms: int) -> list[Send | StartTimer]:
        """A timer of :meth:`timers` has fired."""
        self._running.pop(name, None)
        if name == LOOK:
            self._look_again()
            return [*self.timers()]
        sends = self._flush() if name == FLUSH else self._late(now_ms)
        return [*sends, *self.timers()]

    def _flush(self) -> list[Send]:
        """Tell what waits, to the same few peers; to each what it does not have."""
        waiting, self._waiting = self._waiting, {}
        picked = self._pick(self._peers, FAN_OUT)
        return self._tell_of(
            {
                name: list(dict.fromkeys((*each.peers, *(() if each.only else picked))))
                for name, each in waiting.items()
            }
        )

    def _tell_of(self, peers_of: Mapping[bytes, Sequence[bytes]]) -> list[Send]:
        """Announce each name to its peers, together, but for those who have it or were told."""
        news: dict[bytes, dict[Level, list[bytes]]] = {}
        for name, peers in peers_of.items():
            found = self._book.find(name)
            if found is None:
                continue
            for peer in peers:
                share = self._shares.of(name, peer)
                if peer in self._masternode_of and max(share.has, share.told) < found.level:
                    share.told = found.level
                    lists = news.setdefault(peer, {Level.HEARD: [], Level.VERIFIED: []})
                    lists[found.level].append(name)
        return [
            Send(peer, BeatNews(tuple(heard), tuple(verified)))
            for peer, lists in news.items()
            for heard, verified in pages_of(lists[Level.HEARD], lists[Level.VERIFIED])
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
                if self._shares.has(name, peer) >= level:  # it was handed that, and had it already
                    self._ways.leave(found.heartbeat.pubkey, peer)
                self._tell(found, peer, level)
                if found.level >= level:
                    continue
            elif self._pulls.is_seen(name, level):
                continue
            if len(names) < room and self._pulls.begin(peer, name, level, now_ms):
                names.append(name)
        return self._ask(peer, names)

    def lacking(self, peer: bytes, hash_: bytes, now_ms: int) -> list[Send | StartTimer]:
        """``peer`` has sent attestations to what is not here: it has the heartbeat, too."""
        if peer not in self._masternode_of:
            return []
        asked = self.hear(peer, BeatNews((), (beat_id(hash_),)), now_ms)
        return [*asked, *self.timers()]

    def _late(self, now_ms: int) -> list[Send]:
        """Ask others for what has not come in time."""
        by_peer: dict[bytes, list[bytes]] = {}
        for peer, name in self._pulls.late(now_ms, self._masternode_of):
            by_peer.setdefault(peer, []).append(name)
        return [send for peer, names in by_peer.items() for send in self._ask(peer, names)]

    def give(self, peer: bytes, wants: BeatWants) -> list[Send]:
        """``peer`` asks for what it was told of; it gets each once, and its attestations once.

        What comes after it is handed to it.
        """
        items: list[Item] = []
        asked = [(name, True) for name in wants.whole] + [(name, False) for name in wants.witnessed]
        for name, whole in asked:
            found = self._book.find(name)
            if found is None:
                continue
            share = self._shares.of(name, peer)
            if share.given >= found.level:
                continue
            share.given = share.has = found.level
            sender, is_validator = found.heartbeat.pubkey, self._masternode_of[peer] is not None
            self._ways.join(sender, peer, is_validator)
            item = found.item if whole else _attestations(found)
            if item is not None:
                items.append(item)
        return [
            Send(peer, beats_of(items[start : start + MAX_BEATS]))
            for start in range(0, len(items), MAX_BEATS)
        ]

    def arrived(self, peer: bytes | None, hash_: bytes, level: Level) -> None:
        """``peer`` has sent a heartbeat, which this node has taken or has no use for."""
        if peer not in self._masternode_of:
            return
        name = beat_id(hash_)
        self._shares.grow(name, peer, level)
        for other, its_level in self._pulls.end(name, level).items():
            self._shares.grow(name, other, its_level)

    def heard(self, gathering: Gathering) -> None:
        """A heartbeat is new here: its sender is reached through those who have told of it."""
        for peer, level in self._shares.known(gathering.id):
            self._tell(gathering, peer, level)

    def forget(self) -> None:
        """Drop what is known of heartbeats that the book has dropped."""
        self._shares.keep(self._book.names())
        self._ways.forget(lambda masternode: masternode in self._book)

    def _tell(self, found: Gathering, peer: bytes, level: Level) -> None:
        self._shares.grow(found.id, peer, level)
        if len(found.sources) < WAYS_BACK and peer not in found.sources:
            found.sources.append(peer)

    def _ask(self, peer: bytes, names: Sequence[bytes]) -> list[Send]:
        known = [name for name in names if self._book.find(name) is not None]
        whole = [name for name in names if self._book.find(name) is None]
        return [Send(peer, BeatWants(*page)) for page in pages_of(whole, known)]

    @property
    def _peers(self) -> list[bytes]:
        return list(self._masternode_of)

    def _pick(self, peers: Sequence[bytes], count: int) -> list[bytes]:
        return self._rng.sample(peers, min(count, len(peers)))


def _attestations(found: Gathering) -> Witnessed | None:
    """What to send of ``found`` to who has the heartbeat itself; None if there is nothing yet."""
    return Witnessed(found.hash, found.sufficient) if found.attestations else None
