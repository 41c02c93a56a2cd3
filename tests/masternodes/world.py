"""Masternode machines on virtual time and links, over a chain that the tests write."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType

from timecoin.codec import Wire, decode, encode
from timecoin.crypto.keys import SigningKey, verify
from timecoin.ledger.block import Block, Body, Header
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.machine import (
    Blame,
    Broadcast,
    CatchUpChanged,
    Effect,
    Emit,
    LinkDown,
    LinkUp,
    Received,
    Record,
    Restore,
    Send,
    Start,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.masternodes.active_set import ActiveSet, Member, Tier
from timecoin.masternodes.changes import Join, Leave
from timecoin.masternodes.events import Connected
from timecoin.masternodes.machine import Masternodes
from timecoin.masternodes.own import OwnMasternode
from timecoin.params import HeartbeatTiming
from timecoin.quorum.tally import has_quorum
from timecoin.signal import Signal

TIMING = HeartbeatTiming(3_000, 3_000, 12_000)
CHAIN_ID = b"\x03\0\0\0" + b"testtest"
START_MS = 1_800_000_000_000
LATENCY_MS = 10
EQUAL: Mapping[int, int] = MappingProxyType({})


def key(number: int) -> SigningKey:
    return SigningKey(number.to_bytes(32, "big"))


def member(number: int, weight: int = 100, tier: Tier = Tier.GENESIS) -> Member:
    return Member(key(number).public, bytes(32), weight, tier, bytes(20), 0, 2**32)


def set_of(*members: Member) -> ActiveSet:
    return ActiveSet(tuple(sorted(members, key=lambda found: found.pubkey)))


def block(height: int, changes: Sequence[bytes] = ()) -> Block:
    """A block whose only content is its changes of the active set."""
    source = TxInput(bytes(32), height, 0xFFFFFFFF)
    reward = Transaction(1, (source,), (TxOutput(1, b"reward"),), 0, ((),))
    body = Body(reward, (), (), (), tuple(changes), ())
    zero = bytes(32)
    header = Header(
        1, CHAIN_ID, height, height, 0, zero, zero, 0, bytes(80), zero, 0, zero, zero, zero, zero
    )
    return Block(header, body)


class FakeChain:
    """A history of snapshots; who may join stands in ``joinable``."""

    def __init__(self, first: ActiveSet) -> None:
        self.sets = [first]
        self.joinable: set[bytes] = set()
        self.leavable: set[bytes] = set()
        self.stakes: tuple[bytes, ...] = ()

    @property
    def tip_height(self) -> int:
        return len(self.sets) - 1

    @property
    def tip_hash(self) -> bytes:
        return self.tip_height.to_bytes(32, "big")

    def active_set(self, height: int) -> ActiveSet | None:
        return self.sets[height] if 0 <= height < len(self.sets) else None

    def block_hash(self, height: int) -> bytes | None:
        return height.to_bytes(32, "big") if height < len(self.sets) else None

    def may_join(self, join: Join) -> bool:
        return join.pubkey in self.joinable

    def may_leave(self, leave: Leave) -> bool:
        return leave.pubkey in self.leavable

    def stakes_of(self, pubkey: bytes) -> tuple[bytes, ...]:
        return self.stakes


class Rows:
    """The table of heartbeats, in memory."""

    def __init__(self, rows: dict[tuple[str, bytes], bytes]) -> None:
        self._rows = rows

    def get(self, key: bytes) -> bytes | None:
        return self._rows.get(("heartbeats", key))

    def keys_below(self, key: bytes, limit: int) -> tuple[bytes, ...]:
        found = sorted(k for table, k in self._rows if table == "heartbeats" and k < key)
        return tuple(found[:limit])


class Peer:
    """One node: its machine while it is up, and its disk."""

    def __init__(self, world: World, number: int) -> None:
        self.number = number
        self.name = bytes([number]) * 32
        self.key = key(number)
        self.chain = FakeChain(world.first)
        self.rows: dict[tuple[str, bytes], bytes] = {}
        self.machine: Masternodes | None = None
        self.life = 0
        self.timers: dict[tuple[str | int | bytes, ...], int] = {}
        self.signals: list[Signal] = []
        self.blames: Counter[str] = Counter()
        self.offsets: tuple[int, ...] = ()

    @property
    def up(self) -> Masternodes:
        assert self.machine is not None, f"node {self.number} is down"
        return self.machine

    def is_live(self, number: int, now_ms: int) -> bool:
        return self.up.book.is_live(key(number).public, now_ms)


class World:
    """Full links between all nodes, but for those in ``apart``."""

    def __init__(
        self, members: int, seed: int = 1, more: int = 0, weights: Mapping[int, int] = EQUAL
    ) -> None:
        """``weights`` of those that have another one than the rest."""
        self.first = set_of(
            *(member(number, weights.get(number, 100)) for number in range(1, members + 1))
        )
        self.rng = Random(seed)
        self.now_ms = START_MS
        self.peers = {number: Peer(self, number) for number in range(1, members + more + 1)}
        self.by_name = {peer.name: peer for peer in self.peers.values()}
        self.apart: set[frozenset[int]] = set()
        self.sent: Counter[int] = Counter()
        """Messages that each node has sent."""
        self.tamper: Callable[[Peer, Peer, Wire], Wire | None] = lambda sender, to, message: message
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0

    # time

    def at(self, delay_ms: int, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, call))

    def run(self, ms: int) -> None:
        end = self.now_ms + ms
        while self._queue and self._queue[0][0] <= end:
            self.now_ms, _, call = heapq.heappop(self._queue)
            call()
        self.now_ms = end

    # nodes

    def boot(self, *numbers: int) -> None:
        for number in numbers or tuple(self.peers):
            peer = self.peers[number]
            peer.life += 1
            peer.machine = self._machine(peer)
            rows = tuple((table, k, value) for (table, k), value in sorted(peer.rows.items()))
            self.deliver(peer, Restore(rows))
            self.deliver(peer, Start())
            for other in self.peers.values():
                if other is not peer and other.machine is not None and self.linked(peer, other):
                    self._link(peer, other)

    def _machine(self, peer: Peer) -> Masternodes:
        own = OwnMasternode(peer.key, bytes(32), CHAIN_ID, peer.chain, joins_by_itself=True)
        rng = Random(self.rng.getrandbits(64))
        return Masternodes(
            CHAIN_ID,
            TIMING,
            peer.chain,
            own,
            Rows(peer.rows),
            lambda: peer.offsets,
            has_quorum,
            rng,
            verify,
        )

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            peer = self.peers[number]
            peer.machine, peer.timers = None, {}
            for other in self.peers.values():
                if other is not peer and other.machine is not None:
                    self.deliver(other, LinkDown(peer.name))

    def linked(self, one: Peer, other: Peer) -> bool:
        return frozenset((one.number, other.number)) not in self.apart

    def _link(self, one: Peer, other: Peer) -> None:
        for here, there in ((one, other), (other, one)):
            self.deliver(here, LinkUp(there.name, there.key.public))

    def part(self, first: Sequence[int], second: Sequence[int]) -> None:
        for one in first:
            for other in second:
                self.apart.add(frozenset((one, other)))
                for here, there in ((one, other), (other, one)):
                    if self.peers[here].machine is not None:
                        self.deliver(self.peers[here], LinkDown(self.peers[there].name))

    def heal(self) -> None:
        pairs, self.apart = sorted(sorted(pair) for pair in self.apart), set()
        for one, other in pairs:
            if self.peers[one].machine is not None and self.peers[other].machine is not None:
                self._link(self.peers[one], self.peers[other])

    def grow(self, active: ActiveSet | None = None, changes: Sequence[bytes] = ()) -> None:
        """A block for everybody who is up, with its snapshot (by default the last one)."""
        for peer in self.peers.values():
            if peer.machine is not None:
                self.grow_one(peer, active, changes)

    def grow_one(
        self, peer: Peer, active: ActiveSet | None = None, changes: Sequence[bytes] = ()
    ) -> None:
        peer.chain.sets.append(active or peer.chain.sets[-1])
        self.deliver(peer, Connected(block(peer.chain.tip_height, changes)))

    def catching_up(self, number: int, active: bool) -> None:
        self.deliver(self.peers[number], CatchUpChanged(active))

    # events and effects

    def deliver(self, peer: Peer, event: object) -> None:
        life = peer.life

        def now() -> None:
            if peer.machine is not None and peer.life == life:
                self._carry_out(peer, peer.machine.handle(event, self.now_ms))

        self.at(0, now)

    def send(self, sender: Peer, receiver: bytes, message: Wire) -> None:
        to = self.by_name[receiver]
        if to.machine is None or not self.linked(sender, to):
            return
        changed = self.tamper(sender, to, message)
        if changed is None:
            return
        self.sent[sender.number] += 1
        copy = decode(encode(changed), type(changed), 200_000)
        self.at(LATENCY_MS, lambda: self.deliver(to, Received(sender.name, copy)))

    def _carry_out(self, peer: Peer, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Record(table, row, value):
                    if value is None:
                        peer.rows.pop((table, row), None)
                    else:
                        peer.rows[table, row] = value
                case Send(receiver, message):
                    self.send(peer, receiver, message)
                case StartTimer(name, delay_ms):
                    self._start_timer(peer, name, delay_ms)
                case Emit(signal):
                    peer.signals.append(signal)
                case Blame(_, points, reason):
                    peer.blames[reason] += points
                case StopTimer() | Broadcast():
                    raise AssertionError(f"the machine has no use for {effect}")

    def _start_timer(self, peer: Peer, name: tuple[str | int | bytes, ...], delay_ms: int) -> None:
        due, life = self.now_ms + delay_ms, peer.life
        peer.timers[name] = due

        def fire() -> None:
            if peer.life == life and peer.timers.get(name) == due:
                del peer.timers[name]
                self.deliver(peer, TimerFired(name))

        self.at(delay_ms, fire)
