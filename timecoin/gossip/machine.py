"""Gossip: a message that its machine has verified goes once to every peer that may lack it.

This node's own items are pushed to validators at once. Small ones of others go on in bundles, large
ones are announced by their hash and fetched by who lacks them. A peer that is linked with an item's
author gets it from there: between members that are all linked with each other nothing is relayed.
Whoever has an item is not sent it again. What followers beyond a few are told of waits longer for
company the more of them there are: the number of announcements a second is bounded, not of peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from timecoin.codec import Wire, encode
from timecoin.gossip.items import Item, Items, item_id
from timecoin.gossip.messages import (
    MAX_BUNDLED,
    MAX_IDS,
    PUSH_BYTES,
    Announce,
    Bundle,
    Fetch,
    Neighbours,
)
from timecoin.gossip.neighbourhood import Neighbourhood
from timecoin.machine import (
    Blame,
    Effect,
    LinkDown,
    LinkUp,
    Received,
    Send,
    Spread,
    StartTimer,
    TimerFired,
)

PUSH_PEERS = 16
"""Peers without a voting key that an item is pushed to; the others are told of it."""
RELAY_MS = 5
"""Items of others, and announcements, wait so long for company."""
FOLLOWERS_PER_SECOND = 2_500
"""Announcements to followers: of a thousand of them each gets one in 400 ms, of fifty in 20 ms."""
TELL_LINKS_MS = 200
"""New links wait so long to be told together; lost ones no longer than items do."""
SETTLED_MS = 1_000
"""A new peer has other links by then, and has told of them."""
DYING_MS = 15_000
"""Between validators a line is known to be dead by then: what was said before has come over it."""
FETCH_MS = 1_000
"""A peer that does not deliver in this time is followed by the next that has the item."""
MAX_WANTED = 4_096
"""Items being fetched at a time."""
MAX_WANTED_PER_PEER = 1_024
RELAY, FOLLOWERS, LINKS, LOST = "relay", "followers", "links", "lost"
LATE, SETTLED = "late", "settled"
"""Names of timers."""
REPEATED_FETCH_POINTS = 5
TOO_MANY_KEYS_POINTS = 10


@dataclass(slots=True)
class _Wanted:
    """A fetch under way: who was asked, the last one since ``since_ms``."""

    since_ms: int
    asked: dict[bytes, None] = field(default_factory=dict)

    @property
    def last(self) -> bytes:
        """The peer that should deliver."""
        return next(reversed(self.asked))


class Gossip:
    """A machine; others reach it by the effect ``Spread``, which the driver hands to it."""

    def __init__(self, kinds: Mapping[type[Wire], int]) -> None:
        """``kinds``: the frame kind of each message."""
        self._kinds = kinds
        self._items = Items()
        self._near = Neighbourhood()
        self._wanted: dict[bytes, _Wanted] = {}
        self._announcing: dict[bytes, dict[bytes, None]] = {}
        """Peer -> ids that it will be told of together."""
        self._pushing: dict[bytes, dict[bytes, None]] = {}
        """Peer -> ids of small items that it will get together."""
        self._telling: dict[bytes, None] = {}
        """Ids of items that all followers which lack them will be told of together."""
        self._joined: dict[bytes, None] = {}
        """Voting keys newly linked that peers will be told of together."""
        self._left: dict[bytes, None] = {}
        """The same for those that are linked no more: a crowd often goes in one moment."""
        self._new: dict[bytes, int] = {}
        """New peers, and when they will have settled."""
        self._running: dict[str, None] = {}
        """Timers under way: they are not put off by what comes while they run."""

    @property
    def items_held(self) -> int:
        """Messages that are remembered, for metrics."""
        return len(self._items)

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at ``now_ms``."""
        match event:
            case Received(peer) if peer not in self._near:
                return []  # its link ended while the message waited
            case Received(peer, Announce(ids)):
                return self._announced(peer, ids, now_ms)
            case Received(peer, Fetch(ids)):
                return self._asked(peer, ids)
            case Received(peer, Neighbours() as message):
                return self._told(peer, message, now_ms)
            case LinkUp(peer, masternode):
                return self._link_up(peer, masternode, now_ms)
            case LinkDown(peer):
                return self._link_down(peer, now_ms)
            case TimerFired((str(name),)):
                self._running.pop(name, None)
                return self._due(name, now_ms)
        return []

    def _due(self, name: str, now_ms: int) -> list[Effect]:
        if name == RELAY:
            return self._relay()
        if name == FOLLOWERS:
            return self._tell_followers()
        if name == LATE:
            return self._late(now_ms)
        if name == SETTLED:
            return self._settled(now_ms)
        if name == LOST:
            left, self._left = tuple(self._left), {}
            return self._tell(Neighbours((), left)) if left else []
        joined, self._joined = tuple(self._joined), {}
        return self._tell(Neighbours(joined, ())) if joined else []

    def _start(self, name: str, delay_ms: int) -> list[Effect]:
        if name in self._running:
            return []
        self._running[name] = None
        return [StartTimer((name,), delay_ms)]

    # items

    def heard(self, peer: bytes, kind: int, payload: bytes, now_ms: int) -> bool:
        """A frame has come from ``peer``; whether it was passed on before and needs no look.

        What this node has said itself does: the peer may have come to say the same (two members
        make one certificate of the same votes), and waits for an answer as its author.
        """
        name = item_id(kind, payload)
        bit = self._items.meet(peer)  # the news of its link may still wait
        item = self._items.of(name, now_ms)
        item.has |= bit
        item.heard = True
        self._wanted.pop(name, None)
        return item.message is not None and not item.own

    def spread(self, what: Spread, now_ms: int) -> list[Effect]:
        """Pass a verified message on, unless that was done before."""
        message = what.message
        payload = encode(message)
        name = item_id(self._kinds[type(message)], payload)
        item = self._items.of(name, now_ms)
        if item.message is not None:
            return []
        self._wanted.pop(name, None)
        item.heard = True
        item.own = what.author is None and not item.has
        item.has |= self._items.bits(what.skip)
        self._items.hold(name, message, what.author, len(payload))
        small = len(payload) <= PUSH_BYTES
        pushed: list[Effect] = []
        lacking = self._lacking(item)
        for peer in self._near.among(self._near.validators & lacking):
            if item.own:
                self._give(peer, item)
                pushed.append(Send(peer, message))
            else:
                self._wait(peer, name, small)
        followers = self._near.among(self._near.followers & lacking)
        if small:
            for peer in followers[:PUSH_PEERS]:
                self._wait(peer, name, True)
            del followers[:PUSH_PEERS]
        if followers:
            self._telling[name] = None
        return pushed + self._relay_soon()

    def _wait(self, peer: bytes, name: bytes, whole: bool) -> None:
        waits = self._pushing if whole else self._announcing
        waits.setdefault(peer, {})[name] = None

    def _give(self, peer: bytes, item: Item) -> None:
        bit = self._items.bit(peer)
        item.has |= bit
        item.given |= bit

    def _lacking(self, item: Item) -> int:
        """Who has neither been given or told of ``item`` nor hears its author, by their bits."""
        author = item.author
        return ~(item.has if author is None else item.has | self._near.hearers(author))

    def _relay_soon(self) -> list[Effect]:
        effects: list[Effect] = []
        if self._announcing or self._pushing:
            effects += self._start(RELAY, RELAY_MS)
        if self._telling:
            pause_ms = self._near.followers.bit_count() * 1_000 // FOLLOWERS_PER_SECOND
            effects += self._start(FOLLOWERS, max(RELAY_MS, pause_ms))
        return effects

    def _relay(self) -> list[Effect]:
        """Give each peer what has gathered for it, unless it has sent that itself meanwhile."""
        announcing, self._announcing = self._announcing, {}
        pushing, self._pushing = self._pushing, {}
        effects: list[Effect] = []
        for peer, names in pushing.items():
            items = self._still_lacking(peer, names, whole=True)
            for start in range(0, len(items), MAX_BUNDLED):
                effects.append(Send(peer, self._bundle(items[start : start + MAX_BUNDLED])))
        for peer, names in announcing.items():
            effects += self._announce(peer, names)
        return effects

    def _tell_followers(self) -> list[Effect]:
        """Tell the followers that lack them of what has gathered, those it was pushed to aside."""
        telling, self._telling = self._telling, {}
        effects: list[Effect] = []
        for peer in self._near.among(self._near.followers):
            pushing = self._pushing.get(peer, {})
            effects += self._announce(peer, [name for name in telling if name not in pushing])
        return effects

    def _announce(self, peer: bytes, names: Iterable[bytes]) -> list[Effect]:
        ids = tuple(name for name, _ in self._still_lacking(peer, names, whole=False))
        return [
            Send(peer, Announce(ids[start : start + MAX_IDS]))
            for start in range(0, len(ids), MAX_IDS)
        ]

    def _still_lacking(
        self, peer: bytes, names: Iterable[bytes], whole: bool
    ) -> list[tuple[bytes, Wire]]:
        """Those of ``names`` that are held and that ``peer`` lacks: it gets them now."""
        if peer not in self._near:
            return []
        bit = self._items.bit(peer)
        found: list[tuple[bytes, Wire]] = []
        for name in names:
            item = self._items.get(name)
            if item is None or item.message is None or not self._lacking(item) & bit:
                continue
            item.has |= bit
            if whole:
                item.given |= bit
            found.append((name, item.message))
        return found

    def _bundle(self, items: list[tuple[bytes, Wire]]) -> Wire:
        if len(items) == 1:
            return items[0][1]
        return Bundle(tuple((self._kinds[type(each)], encode(each)) for _, each in items))

    def _announced(self, peer: bytes, ids: tuple[bytes, ...], now_ms: int) -> list[Effect]:
        """``peer`` has items: fetch those that are new here."""
        bit = self._items.bit(peer)
        unknown: list[bytes] = []
        for name in dict.fromkeys(ids):
            item = self._items.get(name)
            if name in self._wanted or (item is not None and item.heard):
                self._items.of(name, now_ms).has |= bit
            else:
                unknown.append(name)
        if not unknown:
            return []
        asked = sum(wanted.last == peer for wanted in self._wanted.values())
        room = min(MAX_WANTED - len(self._wanted), MAX_WANTED_PER_PEER - asked)
        names = unknown[: max(room, 0)]
        for name in names:
            self._wanted[name] = _Wanted(now_ms, {peer: None})
            self._items.of(name, now_ms).has |= bit
        if not names:
            return []
        return [Send(peer, Fetch(tuple(names))), *self._start(LATE, FETCH_MS)]

    def _asked(self, peer: bytes, ids: tuple[bytes, ...]) -> list[Effect]:
        """``peer`` fetches items: each is given to it once, however large it is."""
        effects: list[Effect] = []
        for name in ids:
            item = self._items.get(name)
            if item is None or item.message is None:
                continue
            if item.given & self._items.bit(peer):
                return [*effects, Blame(peer, REPEATED_FETCH_POINTS, "fetched an item twice")]
            self._give(peer, item)
            effects.append(Send(peer, item.message))
        return effects

    def _late(self, now_ms: int) -> list[Effect]:
        """Items that were asked for and have not come: ask the next peer that has them."""
        limit_ms = now_ms - FETCH_MS
        due = [name for name, wanted in self._wanted.items() if wanted.since_ms <= limit_ms]
        effects = self._ask_others(due, now_ms)
        return [*effects, *self._start(LATE, FETCH_MS)] if self._wanted else effects

    def _ask_others(self, names: list[bytes], now_ms: int) -> list[Effect]:
        by_peer: dict[bytes, list[bytes]] = {}
        for name in names:
            wanted, item = self._wanted[name], self._items.get(name)
            has = 0 if item is None else item.has
            others = (p for p in self._near.peers if has & self._items.bit(p))
            peer = next((p for p in others if p not in wanted.asked), None)
            if peer is None:
                del self._wanted[name]
                continue
            wanted.asked[peer] = None
            wanted.since_ms = now_ms
            by_peer.setdefault(peer, []).append(name)
        return [
            Send(peer, Fetch(tuple(names[start : start + MAX_IDS])))
            for peer, names in by_peer.items()
            for start in range(0, len(names), MAX_IDS)
        ]

    # links

    def _link_up(self, peer: bytes, masternode: bytes | None, now_ms: int) -> list[Effect]:
        """Tell ``peer`` of the links here, and of what nobody else may tell it.

        What members that are linked here have said since can wait: they tell of it themselves on
        the links that it may be about to get.
        """
        effects: list[Effect] = []
        bit = self._items.meet(peer)
        if self._near.add(peer, masternode, bit) and masternode is not None:
            self._items.orphan(masternode)  # it may have been restarted, and know nothing of them
            if self._left.pop(masternode, 0) == 0:
                self._joined[masternode] = None
                effects += self._start(LINKS, TELL_LINKS_MS)
        if keys := self._near.keys_but(peer):
            effects.append(Send(peer, Neighbours(keys, ())))
        effects += self._offer(peer, (a for a in self._items.authors() if a not in self._near.keys))
        self._new[peer] = now_ms + SETTLED_MS
        return [*effects, *self._start(SETTLED, SETTLED_MS)]

    def _settled(self, now_ms: int) -> list[Effect]:
        """Tell peers that are new no more of what they have no link for."""
        effects: list[Effect] = []
        for peer in [peer for peer, due_ms in self._new.items() if due_ms <= now_ms]:
            del self._new[peer]
            bit = self._items.bit(peer)
            authors = (a for a in self._near.keys if not self._near.hearers(a) & bit)
            effects += self._offer(peer, authors)
        if self._new:
            effects += self._start(SETTLED, min(self._new.values()) - now_ms)
        return effects

    def _offer(
        self, peer: bytes, authors: Iterable[bytes | None], since_ms: int = 0
    ) -> list[Effect]:
        """Tell ``peer`` of what it may have missed of what ``authors`` have said since then."""
        names = [name for author in authors for name in self._items.held(author, since_ms)]
        if names:  # which of them it lacks is asked when they are announced
            self._announcing.setdefault(peer, {}).update(dict.fromkeys(names))
        return self._relay_soon()

    def _link_down(self, peer: bytes, now_ms: int) -> list[Effect]:
        for waiting in (self._announcing, self._pushing, self._new):
            waiting.pop(peer, None)
        left = self._near.remove(peer)
        self._items.forget(peer)
        late = [name for name, wanted in self._wanted.items() if wanted.last == peer]
        effects = self._ask_others(late, now_ms)
        if left is not None and self._joined.pop(left, 0) == 0:
            self._left[left] = None
            effects += self._start(LOST, RELAY_MS)
        return effects

    def _tell(self, message: Neighbours) -> list[Effect]:
        return [Send(peer, message) for peer in self._near.peers]

    def _told(self, peer: bytes, message: Neighbours, now_ms: int) -> list[Effect]:
        """``peer`` tells of its links; what it can get from a lost one no more is offered to it."""
        try:
            lost = self._near.take(peer, message)
        except ValueError as error:
            return [Blame(peer, TOO_MANY_KEYS_POINTS, str(error))]
        if not lost:
            return []
        is_validator = bool(self._near.validators & self._items.bit(peer))
        return self._offer(peer, lost, now_ms - DYING_MS if is_validator else 0)
