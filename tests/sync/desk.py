"""A few nodes of nothing but chain and sync, on a clock that the test turns."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from tests.chain.net import Net
from timecoin.chain.commit import BlockConnected, Chain
from timecoin.chain.headers import HeaderChain
from timecoin.chain.history import History
from timecoin.chain.loading import Loader
from timecoin.codec import Wire, decode, encode
from timecoin.ledger.transaction import Transaction
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    LinkDown,
    LinkUp,
    NewTip,
    Received,
    Send,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.mempool.exchange import BodiesFetched, BodiesWanted
from timecoin.params import MAX_FRAME_BYTES
from timecoin.signal import Signal
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import Engine
from timecoin.store.historystore import EngineHistoryStore
from timecoin.store.loadstore import EngineLoadStore
from timecoin.sync.events import (
    BlockSynced,
    CatchingUp,
    CoinsStored,
    CoinsSynced,
    HeadersStored,
    HeadersSynced,
    HistoryStored,
    HistorySynced,
    SecondCertificate,
    SetBegun,
    SetWanted,
    UndoWanted,
)
from timecoin.sync.machine import Sync

DELAY_MS = 10

Rewrite = Callable[[bytes, Wire], Wire | None]
"""(receiver, message) -> what is sent in its place, or None for nothing."""


class Desk:
    """One node; ``rewrite`` makes it dishonest or its line a bad one."""

    def __init__(
        self,
        world: World,
        name: bytes,
        chain: Chain,
        checkpoints: dict[int, bytes] | None,
        load_into: Engine | None,
        old_blocks: bool,
    ) -> None:
        self.world = world
        self.name = name
        self.chain = chain
        self.bodies: dict[bytes, Transaction] = {}
        net = world.net
        self.headers = HeaderChain(net.genesis, chain._store, net.verify, chain.tip, checkpoints)
        self.loader = None
        self.history = None
        if load_into is not None:
            assert isinstance(chain._store, EngineChainStore)
            indexed = chain._store.indexes_addresses
            loaded = EngineLoadStore(load_into, indexed)
            self.loader = Loader(net.genesis, chain, self.headers, loaded, wanted=True)
            if old_blocks:
                added = EngineHistoryStore(load_into, chain._store, indexed)
                self.history = History(net.genesis, added)
        self.sync = Sync(chain, self.headers, self.find, self.loader, self.history)
        self.rewrite: Rewrite = lambda receiver, message: message
        self.serves_bodies = True
        self.bytes_per_ms = 0
        """How fast its line is; 0 takes no time for any size."""
        self._line_free_ms = 0
        self.ended = False
        self.blamed: list[tuple[bytes, int, str]] = []
        self.signals: list[Signal] = []
        self.changes: list[bool] = []
        self.timers: dict[tuple[str | int | bytes, ...], int] = {}
        self.links: list[bytes] = []

    def find(self, wtxid: bytes) -> Transaction | None:
        return self.bodies.get(wtxid) or self.chain.transaction(wtxid)

    def deliver(self, event: object) -> None:
        if self.ended:
            return
        self.carry_out(self.sync.handle(event, self.world.now_ms))

    def carry_out(self, effects: list[Effect]) -> None:
        signals = []
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self.send(peer, message)
                case Broadcast(message):
                    for peer in self.links:
                        self.send(peer, message)
                case StartTimer(name, delay_ms):
                    self.world.timer_number += 1
                    number = self.timers[name] = self.world.timer_number
                    self.world.at(delay_ms, self.fire(name, number))
                case StopTimer(name):
                    self.timers.pop(name, None)
                case Blame(peer, points, reason):
                    self.blamed.append((peer, points, reason))
                case Emit(signal):
                    signals.append(signal)
                case _:
                    raise AssertionError(f"sync has no business with {effect}")
        for signal in signals:
            self.publish(signal)

    def fire(self, name: tuple[str | int | bytes, ...], number: int) -> Callable[[], None]:
        def due() -> None:
            if self.timers.get(name) == number:
                del self.timers[name]
                self.deliver(TimerFired(name))

        return due

    def send(self, peer: bytes, message: Wire) -> None:
        changed = self.rewrite(peer, message)
        if changed is None or peer not in self.links:
            return
        # Over the wire and back: what arrives is decoded, as from a real peer.
        arrived = decode(encode(changed), type(changed), MAX_FRAME_BYTES)
        receiver = self.world.desks[peer]
        delay_ms = DELAY_MS
        if self.bytes_per_ms:
            begun_ms = max(self.world.now_ms, self._line_free_ms)
            self._line_free_ms = begun_ms + len(encode(changed)) // self.bytes_per_ms
            delay_ms += self._line_free_ms - self.world.now_ms
        self.world.at(delay_ms, lambda: receiver.deliver(Received(self.name, arrived)))

    def publish(self, signal: Signal) -> None:
        self.signals.append(signal)
        match signal:
            case BlockSynced(checked, certificate):
                connected = self.chain.commit(checked, certificate)
                if isinstance(connected, BlockConnected):
                    self.world.at(0, lambda: self.deliver(NewTip()))
                elif connected is not None:
                    self.signals.append(connected)
            case BodiesWanted(peers, wtxids):
                self.world.at(DELAY_MS, lambda: self.fetch(peers, wtxids))
            case CatchingUp(active):
                self.changes.append(active)
            case HeadersSynced(headers):
                self.headers.append(headers)
                self.world.at(0, lambda: self.deliver(HeadersStored()))
            case SetWanted(height):
                assert self.loader is not None
                self.loader.begin(height)
                self.world.at(0, lambda: self.deliver(SetBegun()))
            case CoinsSynced(after, coins, last):
                assert self.loader is not None
                whole = self.loader.add(after, coins, last)
                self.world.at(0, lambda: self.deliver(CoinsStored(whole)))
            case HistorySynced(blocks):
                assert self.history is not None
                self.history.add(blocks)
                self.world.at(0, lambda: self.deliver(HistoryStored()))
            case UndoWanted():
                assert self.history is not None
                self.history.index()
                self.world.at(0, lambda: self.deliver(HistoryStored()))
            case SecondCertificate(first, second):
                self.signals.append(self.chain.record_fork(first, second))

    def fetch(self, peers: tuple[bytes, ...], wtxids: tuple[bytes, ...]) -> None:
        for name in peers:
            desk = self.world.desks[name]
            if desk.serves_bodies:
                found = [tx for wtxid in wtxids if (tx := desk.find(wtxid)) is not None]
                self.bodies.update((tx.wtxid, tx) for tx in found)
                self.deliver(BodiesFetched(tuple(tx.wtxid for tx in found)))
                return

    def seen(self, kind: type[Signal]) -> list[Signal]:
        return [signal for signal in self.signals if type(signal) is kind]


class World:
    """The clock and the lines."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.now_ms = 1_800_000_000_000
        self.desks: dict[bytes, Desk] = {}
        self.timer_number = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0

    def desk(
        self,
        name: str,
        chain: Chain | None = None,
        checkpoints: dict[int, bytes] | None = None,
        load_into: Engine | None = None,
        old_blocks: bool = False,
    ) -> Desk:
        """``load_into``: it starts fast; ``old_blocks``: and fetches the rest afterwards."""
        key = name.encode().ljust(32, b"-")
        chain = chain or self.net.chain(load_into)
        desk = Desk(self, key, chain, checkpoints, load_into, old_blocks)
        self.desks[key] = desk
        return desk

    def link(self, one: Desk, other: Desk) -> None:
        one.links.append(other.name)
        other.links.append(one.name)
        one.deliver(LinkUp(other.name, None))
        other.deliver(LinkUp(one.name, None))

    def cut(self, one: Desk, other: Desk) -> None:
        one.links.remove(other.name)
        other.links.remove(one.name)
        one.deliver(LinkDown(other.name))
        other.deliver(LinkDown(one.name))

    def end(self, desk: Desk) -> None:
        """Its process is killed: it hears nothing and does nothing any more."""
        for name in list(desk.links):
            self.cut(self.desks[name], desk)
        desk.ended = True

    def at(self, delay_ms: int, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.now_ms + delay_ms, self._order, call))

    def run(self, ms: int) -> None:
        end = self.now_ms + ms
        while self._events and self._events[0][0] <= end:
            self.now_ms, _, call = heapq.heappop(self._events)
            call()
        self.now_ms = end
