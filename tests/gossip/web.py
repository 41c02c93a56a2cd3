"""Gossip machines joined by links of one millisecond; every frame is counted."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from timecoin.codec import Wire, decode, encode
from timecoin.gossip.machine import Gossip
from timecoin.gossip.messages import Announce, Bundle, Fetch, Neighbours
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

HOP_MS = 1


class Rumour(Wire, frozen=True):
    """A message whose machine accepts it unless its text begins with ``x``."""

    text: bytes


KINDS: dict[type[Wire], int] = {Announce: 24, Fetch: 25, Neighbours: 26, Bundle: 27, Rumour: 99}


def name_of(number: int) -> bytes:
    """Node id of node ``number``, and its voting key if it is a validator."""
    return number.to_bytes(32, "big")


class Node:
    """One machine, and what its upper machines have accepted."""

    def __init__(self, number: int, key: bytes | None) -> None:
        self.name = name_of(number)
        self.key = key
        self.gossip = Gossip(KINDS)
        self.accepted: Counter[bytes] = Counter()
        self.arrived: Counter[bytes] = Counter()
        self.blames: list[Blame] = []


class Web:
    """``links`` as pairs of numbers; the nodes below ``validators`` have voting keys."""

    def __init__(self, nodes: int, links: Iterable[tuple[int, int]], validators: int = 0) -> None:
        self.now_ms = 0
        self.sent: Counter[type[Wire]] = Counter()
        self.lost: Callable[[bytes, bytes, Wire], bool] = lambda source, target, message: False
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._order = 0
        self.nodes = [Node(n, name_of(n) if n < validators else None) for n in range(nodes)]
        self.up: dict[tuple[bytes, bytes], None] = {}
        for first, second in links:
            self.link(first, second)
        self.run(1_000)
        self.sent.clear()

    def link(self, first: int, second: int) -> None:
        """A link comes up."""
        one, other = self.nodes[first], self.nodes[second]
        self.up[one.name, other.name] = self.up[other.name, one.name] = None
        self.hear(one, LinkUp(other.name, other.key))
        self.hear(other, LinkUp(one.name, one.key))

    def unlink(self, first: int, second: int) -> None:
        """A link goes down."""
        one, other = self.nodes[first], self.nodes[second]
        del self.up[one.name, other.name], self.up[other.name, one.name]
        self.hear(one, LinkDown(other.name))
        self.hear(other, LinkDown(one.name))

    def say(self, number: int, text: bytes) -> Rumour:
        """Node ``number`` says something of its own."""
        node, rumour = self.nodes[number], Rumour(text)
        node.accepted[text] += 1
        self.carry_out(node, node.gossip.spread(Spread(rumour), self.now_ms))
        return rumour

    def hear(self, node: Node, event: object) -> list[Effect]:
        """Hand an event to ``node``."""
        effects = node.gossip.handle(event, self.now_ms)
        self.carry_out(node, effects)
        return effects

    def carry_out(self, node: Node, effects: Iterable[Effect]) -> None:
        """Do what the machine asked for."""
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self._send(node, peer, message)
                case StartTimer(name, delay_ms):
                    self._at(delay_ms, partial(self.hear, node, TimerFired(name)))
                case Blame():
                    node.blames.append(effect)
                case _:
                    raise AssertionError(effect)

    def run(self, duration_ms: int) -> None:
        """Let time pass."""
        end = self.now_ms + duration_ms
        while self._queue and self._queue[0][0] <= end:
            self.now_ms, _, call = heapq.heappop(self._queue)
            call()
        self.now_ms = end

    def _at(self, delay_ms: int, call: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(
            self._queue, (self.now_ms + delay_ms, self._order, lambda: (call(), None)[1])
        )

    def _send(self, node: Node, peer: bytes, message: Wire) -> None:
        self.sent[type(message)] += 1
        target = self.nodes[int.from_bytes(peer, "big")]
        if not self.lost(node.name, peer, message):
            self._at(HOP_MS, lambda: self._arrive(node, target, message))

    def _arrive(self, source: Node, target: Node, message: Wire) -> None:
        if (source.name, target.name) not in self.up:
            return
        if isinstance(message, Bundle):
            for _, payload in message.items:
                self._arrive(source, target, decode(payload, Rumour, len(payload)))
            return
        if not isinstance(message, Rumour):
            self.hear(target, Received(source.name, message))
            return
        target.arrived[message.text] += 1
        payload = encode(message)
        if target.gossip.heard(source.name, KINDS[Rumour], payload, self.now_ms):
            return
        if message.text.startswith(b"x"):
            return
        target.accepted[message.text] += 1
        author = message.text[:32] if len(message.text) > 32 else None
        self.carry_out(target, target.gossip.spread(Spread(message, author), self.now_ms))
