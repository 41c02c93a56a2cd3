"""Many consensus machines in one virtual time: delays, losses, partitions and crashes by seed.

Effects are carried out as the driver does: records first, then messages, timers and signals.
Every vote that leaves is checked against all that were ever sent or recorded: nobody signs twice.
"""

from __future__ import annotations

import functools
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.consensus.fakes import (
    GENESIS_MS,
    SLOT_MS,
    TIMING,
    FakeAccusations,
    FakeArchive,
    FakeChain,
    FakeMembership,
    make_genesis,
    signing_key,
    verify,
    vrf_seed,
)
from timecoin.codec import Wire, decode, encode
from timecoin.consensus import events
from timecoin.consensus.journal import read_rows
from timecoin.consensus.machine import Consensus
from timecoin.consensus.messages import BlockVote, Proposal, Votes
from timecoin.consensus.ports import Ports
from timecoin.consensus.seat import ConsensusSettings, Identity
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
    Record,
    Restore,
    Send,
    Spread,
    Start,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.mempool.exchange import BodiesFetched, BodiesWanted
from timecoin.quorum.statement import VoteKind
from timecoin.signal import Signal

SYNC_MS = 3_000
MAX_BYTES = 10_000_000


class Crash(Exception):
    """The node dies here."""


@dataclass
class Peer:
    """One node: its chain and journal outlive its machine."""

    index: int
    chain: FakeChain
    archive: FakeArchive
    membership: FakeMembership
    bodies: dict[bytes, Transaction] = field(default_factory=dict)
    rows: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    unsynced: list[Record] = field(default_factory=list)
    machine: Consensus | None = None
    timers: dict[tuple[object, ...], int] = field(default_factory=dict)
    signals: list[Signal] = field(default_factory=list)
    life: int = 0

    @property
    def name(self) -> bytes:
        return bytes([self.index]) * 32

    def said(self, kind: type[Signal]) -> list[Signal]:
        return [signal for signal in self.signals if type(signal) is kind]


class World:
    """The nodes, the heap of what happens next, and the network between them."""

    def __init__(self, weights: list[int], seed: int = 0, followers: int = 0) -> None:
        self.genesis = make_genesis(weights)
        self.rng = random.Random(f"world/{seed}")
        self.now_ms = GENESIS_MS
        self.loss = 0.0
        self.delay_ms = (5, 60)
        self.group: dict[int, int] = {}
        """Nodes of different groups do not hear each other."""
        self.mute: Callable[[int, int, Wire], bool] = lambda sender, receiver, message: False
        self.crash: Callable[[Peer, object, str], bool] = lambda peer, event, moment: False
        self.blames: list[tuple[int, bytes, str]] = []
        self.ever_signed: dict[tuple[bytes, int, int, int], bytes] = {}
        self.liars: tuple[bytes, ...] = ()
        """Voting keys that may sign twice."""
        self.sent = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.peers = [
            Peer(index, FakeChain(self.genesis), FakeArchive(), FakeMembership())
            for index in range(len(weights) + followers)
        ]
        self._validators = len(weights)

    # Time.

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._count, action))

    def run(self, duration_ms: int) -> None:
        end_ms = self.now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end_ms:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
        self.now_ms = end_ms

    def run_until(self, condition: Callable[[], bool], limit_ms: int) -> bool:
        end_ms = self.now_ms + limit_ms
        while not condition() and self._heap and self._heap[0][0] <= end_ms:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
        return condition()

    # Nodes and links.

    def start(self, *indices: int) -> None:
        for index in indices or range(len(self.peers)):
            self._boot(self.peers[index])
        for peer in self.peers:
            self.at(SYNC_MS + peer.index, functools.partial(self._sync, peer))

    def _boot(self, peer: Peer) -> None:
        if peer.index < self._validators:
            identity = Identity(signing_key(peer.index), vrf_seed(peer.index))
        else:
            identity = None
        settings = ConsensusSettings(self.genesis.chain_id, SLOT_MS, TIMING)
        ports = Ports(
            peer.chain,
            peer.archive,
            FakeAccusations(),
            peer.membership,
            peer.bodies.get,
            verify,
        )
        peer.machine = Consensus(settings, ports, identity)
        rows = tuple((table, key, value) for (table, key), value in sorted(peer.rows.items()))
        self.deliver(peer, Restore(rows))
        self.deliver(peer, Start())
        for other in self.peers:
            if other is not peer and other.machine is not None and self._linked(peer, other):
                self._link(peer, other)

    def _linked(self, one: Peer, other: Peer) -> bool:
        return self.group.get(one.index, 0) == self.group.get(other.index, 0)

    def _link(self, one: Peer, other: Peer) -> None:
        for here, there in ((one, other), (other, one)):
            voting = signing_key(there.index).public if there.index < self._validators else None
            self.deliver(here, LinkUp(there.name, voting))

    def partition(self, *groups: tuple[int, ...]) -> None:
        self.group = {index: number for number, group in enumerate(groups) for index in group}
        for one in self.peers:
            for other in self.peers:
                if one is not other and not self._linked(one, other):
                    self.deliver(one, LinkDown(other.name))

    def heal(self) -> None:
        before, self.group = self.group, {}
        for one in self.peers:
            for other in self.peers:
                apart = before.get(one.index, 0) != before.get(other.index, 0)
                if one.index < other.index and apart and one.machine and other.machine:
                    self._link(one, other)

    def kill(self, peer: Peer, down_ms: int) -> None:
        peer.machine, peer.timers, peer.unsynced = None, {}, []
        peer.life += 1
        for other in self.peers:
            if other is not peer:
                self.deliver(other, LinkDown(peer.name))
        self.at(down_ms, lambda: self._boot(peer))

    # Events and effects.

    def deliver(self, peer: Peer, event: object) -> None:
        life = peer.life

        def now() -> None:
            if peer.machine is None or peer.life != life:
                return
            effects = peer.machine.handle(event, self.now_ms)
            try:
                self._carry_out(peer, event, effects)
            except Crash:
                self.kill(peer, self.rng.randint(100, 5_000))

        self.at(0, now)

    def _carry_out(self, peer: Peer, event: object, effects: list[Effect]) -> None:
        if self.crash(peer, event, "before records"):
            raise Crash
        records = [effect for effect in effects if isinstance(effect, Record)]
        peer.unsynced.extend(records)
        if any(record.durable for record in records):
            self.sync_journal(peer)
        if self.crash(peer, event, "after records"):
            raise Crash
        signals: list[Signal] = []
        for effect in effects:
            match effect:
                case Send(to, message):
                    self.send(peer, self.peers[to[0]], message)
                case Broadcast(message, _, skip):
                    for other in self.peers:
                        if other is not peer and other.name != skip:
                            self.send(peer, other, message)
                    if self.crash(peer, event, "after a send"):
                        raise Crash
                case Spread(message, None):
                    # What others said is not relayed: here everybody is linked with its author.
                    for other in self.peers:
                        if other is not peer:
                            self.send(peer, other, message)
                    if self.crash(peer, event, "after a send"):
                        raise Crash
                case StartTimer(name, delay_ms):
                    self._start_timer(peer, name, delay_ms)
                case StopTimer(name):
                    peer.timers.pop(name, None)
                case Blame(whom, _, reason):
                    self.blames.append((peer.index, whom, reason))
                case Emit(signal):
                    signals.append(signal)
        for signal in signals:
            self._hear(peer, signal)

    def sync_journal(self, peer: Peer) -> None:
        for record in peer.unsynced:
            if record.value is None:
                peer.rows.pop((record.table, record.key), None)
            else:
                peer.rows[record.table, record.key] = record.value
        peer.unsynced = []
        for vote in read_rows((t, k, v) for (t, k), v in peer.rows.items()).votes:
            self._signed(vote)

    def _start_timer(self, peer: Peer, name: tuple[str | int | bytes, ...], delay_ms: int) -> None:
        self._count += 1
        number = peer.timers[name] = self._count

        def fire() -> None:
            if peer.timers.get(name) == number:
                del peer.timers[name]
                self.deliver(peer, TimerFired(name))

        self.at(delay_ms, fire)

    def _hear(self, peer: Peer, signal: Signal) -> None:
        peer.signals.append(signal)
        match signal:
            case events.Decided(checked, certificate):
                peer.chain.commit(checked.block, certificate)
                peer.bodies.update((tx.wtxid, tx) for tx in checked.transactions)
                archived = {tx.txid for tx in checked.transactions}
                peer.archive.pool = [tx for tx in peer.archive.pool if tx.txid not in archived]
                self.deliver(peer, NewTip())
            case BodiesWanted(_, wtxids):
                self.at(self.rng.randint(20, 100), lambda: self._fetch(peer, wtxids))

    def _fetch(self, peer: Peer, wtxids: tuple[bytes, ...]) -> None:
        for other in self.peers:
            if other.machine is not None and self._linked(peer, other):
                found = {w: other.bodies[w] for w in wtxids if w in other.bodies}
                if found:
                    peer.bodies.update(found)
                    self.deliver(peer, BodiesFetched(tuple(found)))

    def _sync(self, peer: Peer) -> None:
        """What the sync package does: fetch the next certified block from a peer that has it."""
        for other in self.peers:
            height = len(peer.chain.blocks)
            ahead = other.machine is not None and len(other.chain.blocks) > height
            if peer.machine is not None and ahead and self._linked(peer, other):
                block, certificate = other.chain.blocks[height], other.chain.certificates[height]
                peer.chain.commit(block, certificate)
                self.deliver(peer, NewTip())
        self.at(SYNC_MS, lambda: self._sync(peer))

    # The network.

    def send(self, sender: Peer, receiver: Peer, message: Wire) -> None:
        for vote in _votes_in(message):
            self._signed(vote)
        self.sent += 1
        if not self._linked(sender, receiver) or self.rng.random() < self.loss:
            return
        if self.mute(sender.index, receiver.index, message):
            return
        copy = decode(encode(message), type(message), MAX_BYTES)
        delay_ms = self.rng.randint(*self.delay_ms)
        self.at(delay_ms, lambda: self.deliver(receiver, Received(sender.name, copy)))

    def _signed(self, vote: BlockVote) -> None:
        if vote.voter in self.liars:
            return
        position = (vote.voter, vote.height, vote.round, vote.kind)
        first = self.ever_signed.setdefault(position, vote.block_hash)
        assert first == vote.block_hash, f"signed twice: {vote}"

    # What came out.

    @property
    def heights(self) -> list[int]:
        return [len(peer.chain.blocks) for peer in self.peers]

    def check_agreement(self) -> None:
        longest = max((peer.chain.blocks for peer in self.peers), key=len)
        for peer in self.peers:
            hashes = [block.hash for block in peer.chain.blocks]
            assert hashes == [block.hash for block in longest[: len(hashes)]]
            assert not peer.said(events.SafetyBroken)


def _votes_in(message: Wire) -> list[BlockVote]:
    match message:
        case BlockVote():
            return [message]
        case Votes(votes):
            return list(votes)
        case Proposal():
            return [
                BlockVote(
                    VoteKind.PROPOSAL,
                    message.height,
                    message.round,
                    message.block.hash,
                    message.proposer,
                    message.signature,
                )
            ]
    return []


def journal_votes(world: World) -> list[BlockVote]:
    """Everything that the journals say was signed."""
    rows = [(t, k, v) for peer in world.peers for (t, k), v in peer.rows.items()]
    return read_rows(rows).votes
