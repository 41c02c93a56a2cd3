"""A tiny world of finality machines: one clock, links with latency and loss, crashes, one chain.

Effects are carried out in the driver's order: records first, then messages and timers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from timecoin import params
from timecoin.codec import Wire, decode, encode
from timecoin.crypto.hashing import blake3_256, hash160
from timecoin.crypto.keys import SigningKey, VerifiedCache
from timecoin.finality.events import Connected, EmergencyRaised, Status, StatusChanged, Submitted
from timecoin.finality.machine import Finality
from timecoin.gossip.machine import Gossip
from timecoin.gossip.messages import Bundle
from timecoin.ledger.block import Block, Body, Entry, Header, Resolution
from timecoin.ledger.script import Stake, pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Outpoint, Transaction, TxInput, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo
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
    Spread,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.masternodes.active_set import ActiveSet, Member, Tier
from timecoin.mempool.entry import Admission, Verdict
from timecoin.mempool.policy import PoolLimits
from timecoin.mempool.pool import Pool
from timecoin.node.catalog import KIND_OF, MESSAGES, Owner

SLOT_MS = 10_000
START_MS = 1_000_000 * SLOT_MS
GENESIS = blake3_256(b"finality test genesis")
CHAIN_ID = params.Network.DEVNET.to_bytes(4, "little") + GENESIS[:8]
FEE = 1_000_000
COIN = 1_000 * params.UNITS_PER_TIME
LATENCY_MS = 10


def key_of(name: str) -> SigningKey:
    """A key for a member or a wallet."""
    return SigningKey(blake3_256(name.encode()))


WALLET = key_of("wallet")
SCRIPT = pay_to_pubkey_hash(hash160(WALLET.public))


def make_set(weights: Iterable[tuple[SigningKey, int]]) -> ActiveSet:
    """An active set of Genesis members."""
    members = [
        Member(key.public, key.public, weight, Tier.GENESIS, hash160(key.public), 0, 10**9)
        for key, weight in weights
    ]
    return ActiveSet(tuple(sorted(members, key=lambda member: member.pubkey)))


def pay(spent: Iterable[tuple[Outpoint, Utxo]], outputs: int = 1, nonce: int = 0) -> Transaction:
    """A signed payment of all of ``spent`` to the wallet itself; ``nonce`` varies the fee."""
    coins = list(spent)
    value = sum(utxo.value for _, utxo in coins) - FEE - nonce
    inputs = tuple(
        TxInput(point[:32], int.from_bytes(point[32:], "little"), params.SEQUENCE_FINAL)
        for point, _ in coins
    )
    shares = tuple(TxOutput(value // outputs, SCRIPT) for _ in range(outputs))
    bare = Transaction(1, inputs, shares, 0, ((),) * len(inputs))
    return sign_transaction(bare, [utxo for _, utxo in coins], CHAIN_ID, [WALLET] * len(coins))


def output_of(tx: Transaction, index: int = 0) -> tuple[Outpoint, Utxo]:
    """An output of ``tx`` as a coin."""
    out = tx.outputs[index]
    return outpoint(tx.txid, index), Utxo(out.value, out.lock_script, 0, False)


class FakeChain:
    """One node's view of the shared history."""

    def __init__(self, snapshots: list[ActiveSet], coins: int) -> None:
        self.snapshots = snapshots
        self.slot_ms = SLOT_MS
        self.blocks: list[tuple[Block, tuple[Transaction, ...]]] = []
        self._archived: dict[bytes, int] = {GENESIS: 0}
        self._utxos = dict(genesis_coin(index) for index in range(coins))
        self.bodies: dict[bytes, Transaction] = {}

    @property
    def tip_height(self) -> int:
        return len(self.blocks)

    @property
    def tip_time_ms(self) -> int:
        return self.blocks[-1][0].header.slot_time if self.blocks else START_MS

    def active_set(self, height: int) -> ActiveSet | None:
        if not 0 <= height <= self.tip_height:
            return None
        return self.snapshots[min(height, len(self.snapshots) - 1)]

    def archived(self, txid: bytes) -> int | None:
        return self._archived.get(txid)

    def utxo(self, point: Outpoint) -> Utxo | None:
        return self._utxos.get(point)

    def stake_free(self, txid: bytes, point: Outpoint, stake: Stake) -> bool:
        active = self.active_set(self.tip_height)
        assert active is not None
        return active.releases(point, stake.pubkey, self.tip_height + 1)

    def connect(self, block: Block, transactions: tuple[Transaction, ...]) -> None:
        self.blocks.append((block, transactions))
        for tx in transactions:
            self._archived[tx.txid] = block.height
            self.bodies[tx.wtxid] = tx
            for index, out in enumerate(tx.outputs):
                utxo = Utxo(out.value, out.lock_script, block.height, False)
                self._utxos[outpoint(tx.txid, index)] = utxo
        for tx in transactions:
            for point in tx.outpoints:
                del self._utxos[point]


def genesis_coin(index: int) -> tuple[Outpoint, Utxo]:
    """Allocation ``index``."""
    return outpoint(GENESIS, index), Utxo(COIN, SCRIPT, 0, False)


def make_block(
    height: int,
    slot_time: int,
    transactions: Iterable[Transaction],
    resolutions: tuple[Resolution, ...] = (),
) -> Block:
    """A block as finality reads it: header, entries, resolutions."""
    entries = tuple(Entry(tx.txid, tx.wtxid) for tx in sorted(transactions, key=lambda tx: tx.txid))
    reward = Transaction(1, (TxInput(bytes(32), height, 0),), (), 0, ((),))
    body = Body(reward, entries, (), resolutions, (), ())
    zero = bytes(32)
    header = Header(
        version=1,
        chain_id=CHAIN_ID,
        height=height,
        slot=slot_time // SLOT_MS,
        slot_time=slot_time,
        prev_hash=zero,
        producer=zero,
        round=0,
        vrf_proof=bytes(80),
        seed=zero,
        timestamp_ms=slot_time,
        entries_root=body.entries_root,
        avs_root=zero,
        utxo_root=zero,
        body_root=body.root,
    )
    return Block(header, body)


@dataclass(eq=False)
class Node:
    """One machine with its rows; ``finality`` is None while it is down."""

    name: bytes
    key: SigningKey | None
    chain: FakeChain
    finality: Finality
    pool: Pool
    gossip: Gossip = field(default_factory=lambda: Gossip(KIND_OF))
    up: bool = True
    life: int = 0
    rows: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    timers: dict[tuple[str | int | bytes, ...], int] = field(default_factory=dict)
    sent: list[tuple[bytes, Wire]] = field(default_factory=list)
    blames: list[Blame] = field(default_factory=list)
    signals: list[object] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    verified: int = 0

    def statuses(self, txid: bytes) -> list[Status]:
        """All statuses that were signalled for ``txid``."""
        return [
            signal.status
            for signal in self.signals
            if isinstance(signal, StatusChanged) and signal.txid == txid
        ]

    def is_final(self, txid: bytes) -> bool:
        """Whether ``txid`` is reported as final or archived."""
        found = self.finality.status(txid)
        return found is not None and found.status.finalized

    def emergencies(self) -> list[EmergencyRaised]:
        return [signal for signal in self.signals if isinstance(signal, EmergencyRaised)]


class World:
    """Members, followers, and the events between them."""

    def __init__(
        self,
        members: int,
        followers: int = 0,
        seed: int = 1,
        weight: int = 100,
        coins: int = 200,
        tuning: params.FinalityParams | None = None,
        limits: PoolLimits | None = None,
        linked: bool = True,
    ) -> None:
        self.now_ms = START_MS + 1_000
        self.rng = Random(seed)
        self.tuning = tuning or params.FinalityParams()
        self.limits = limits or PoolLimits()
        self.loss_percent = 0
        self.cut: Callable[[bytes, bytes, Wire], bool] = lambda source, target, message: False
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._coins = coins
        keys = [key_of(f"member {index}") for index in range(members)]
        self.snapshots = [make_set((key, weight) for key in keys)]
        self.nodes: list[Node] = []
        for index in range(members + followers):
            self._add(index, keys[index] if index < members else None)
        if linked:
            for first in self.nodes:
                for second in self.nodes:
                    if first is not second:
                        self.link(first, second)

    def link(self, node: Node, peer: Node) -> None:
        """``node`` hears that it is linked to ``peer``."""
        self._event(node, LinkUp(peer.name, self._proved(peer)))

    def _proved(self, node: Node) -> bytes | None:
        return None if node.key is None else node.key.public

    def _add(self, index: int, key: SigningKey | None) -> None:
        chain = FakeChain(self.snapshots, self._coins)
        node = Node(b"node %d" % index, key, chain, None, None)  # type: ignore[arg-type]
        self.nodes.append(node)
        self._boot(node)

    def _boot(self, node: Node) -> None:
        node.life += 1
        cache = VerifiedCache(bytes(32), 100_000)

        def verify(pubkey: bytes, message: bytes, signature: bytes) -> bool:
            node.verified += 1
            return cache.check(pubkey, message, signature)

        def find(wtxid: bytes) -> Transaction | None:
            return node.pool.by_wtxid(wtxid) or node.chain.bodies.get(wtxid)

        node.pool = Pool(node.chain, self.limits, CHAIN_ID, verify)
        node.finality = Finality(
            chain_id=CHAIN_ID,
            params=self.tuning,
            chain=node.chain,
            pool=node.pool,
            find=find,
            key=node.key,
            rng=Random(f"{node.name!r}/{node.life}/{self.rng.random()}"),
            verify=verify,
        )
        node.gossip = Gossip(KIND_OF)
        node.up = True
        rows = tuple((table, key, value) for (table, key), value in sorted(node.rows.items()))
        self._event(node, Restore(rows))

    # carrying out

    def _at(self, delay_ms: int, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, call))

    def _event(self, node: Node, event: object) -> list[Effect]:
        if isinstance(event, LinkUp | LinkDown):
            self.carry_out(node, node.gossip.handle(event, self.now_ms), node.gossip)
        effects = node.finality.handle(event, self.now_ms)
        self.carry_out(node, effects)
        return effects

    def _arrived(self, node: Node, peer: bytes, kind: int, data: bytes) -> None:
        """A frame, as the router takes it."""
        known = MESSAGES[kind]
        if known.type is Bundle:
            for inner, payload in decode(data, Bundle, known.max_bytes).items:
                self._arrived(node, peer, inner, payload)
            return
        if known.spreads and node.gossip.heard(peer, kind, data, self.now_ms):
            return
        received = Received(peer, decode(data, known.type, params.MAX_FRAME_BYTES))
        if known.owner is Owner.GOSSIP:
            self.carry_out(node, node.gossip.handle(received, self.now_ms), node.gossip)
        else:
            self._event(node, received)

    def carry_out(
        self, node: Node, effects: Iterable[Effect], machine: Gossip | None = None
    ) -> None:
        """Do what ``node`` asked for; ``machine`` is its gossip, if that asked."""
        effects = list(effects)
        for effect in effects:
            if isinstance(effect, Record):
                node.records.append(effect)
                if effect.value is None:
                    node.rows.pop((effect.table, effect.key), None)
                else:
                    node.rows[effect.table, effect.key] = effect.value
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self._send(node, peer, message)
                case Broadcast(message, _, skip):
                    for other in self.nodes:
                        if other is not node and other.name != skip:
                            self._send(node, other.name, message)
                case Spread():
                    self.carry_out(node, node.gossip.spread(effect, self.now_ms), node.gossip)
                case StartTimer(name, delay_ms) if machine is not None:
                    self._start_gossip(node, machine, name, delay_ms)
                case StartTimer(name, delay_ms):
                    self._start(node, name, delay_ms)
                case StopTimer(name):
                    node.timers.pop(name, None)
                case Blame():
                    node.blames.append(effect)
                case Emit(signal):
                    node.signals.append(signal)

    def _send(self, node: Node, peer: bytes, message: Wire) -> None:
        if MESSAGES[KIND_OF[type(message)]].owner is not Owner.GOSSIP:
            node.sent.append((peer, message))
        if self.cut(node.name, peer, message) or self.rng.randrange(100) < self.loss_percent:
            return
        target = self.node_called(peer)
        life = target.life
        data = encode(message)

        def arrive() -> None:
            if target.up and target.life == life:
                self._arrived(target, node.name, KIND_OF[type(message)], data)

        self._at(LATENCY_MS, arrive)

    def _start_gossip(
        self, node: Node, machine: Gossip, name: tuple[str | int | bytes, ...], delay_ms: int
    ) -> None:
        def fire() -> None:
            if node.gossip is machine:
                self.carry_out(node, machine.handle(TimerFired(name), self.now_ms), machine)

        self._at(delay_ms, fire)

    def _start(self, node: Node, name: tuple[str | int | bytes, ...], delay_ms: int) -> None:
        self._order += 1
        ticket = node.timers[name] = self._order
        life = node.life

        def fire() -> None:
            if node.up and node.life == life and node.timers.get(name) == ticket:
                del node.timers[name]
                self._event(node, TimerFired(name))

        self._at(delay_ms, fire)

    # what tests do

    def node_called(self, name: bytes) -> Node:
        """The node ``name``."""
        return next(node for node in self.nodes if node.name == name)

    def submit(self, node: Node, tx: Transaction) -> Verdict:
        """A user's payment at ``node``."""
        verdict = node.pool.submit(tx, self.now_ms)
        if verdict.admission is Admission.ACCEPTED:
            self._event(node, Submitted(tx))
        return verdict

    def deliver(self, node: Node, event: object) -> list[Effect]:
        """Hand an event to ``node`` and carry out what it asks for."""
        return self._event(node, event)

    def receive(self, node: Node, peer: Node, message: Wire) -> list[Effect]:
        """A message from ``peer`` reaches ``node`` now."""
        return self._event(node, Received(peer.name, message))

    def run(self, duration_ms: int) -> None:
        """Let time pass."""
        end = self.now_ms + duration_ms
        while self._queue and self._queue[0][0] <= end:
            self.now_ms, _, call = heapq.heappop(self._queue)
            call()
        self.now_ms = end

    def crash(self, node: Node) -> None:
        """``node`` is gone; only its rows remain."""
        node.up = False
        node.timers.clear()
        for other in self.nodes:
            if other is not node and other.up:
                self._event(other, LinkDown(node.name))

    def restart(self, node: Node) -> None:
        """``node`` comes back from its rows and is linked again."""
        self._boot(node)
        for other in self.nodes:
            if other is not node and other.up:
                self._event(node, LinkUp(other.name, self._proved(other)))
                self._event(other, LinkUp(node.name, self._proved(node)))

    def connect(
        self,
        transactions: Iterable[Transaction] = (),
        nodes: Iterable[Node] | None = None,
        resolutions: tuple[Resolution, ...] = (),
    ) -> Block:
        """Archive ``transactions`` at ``nodes`` (all that are up), one slot after the tip."""
        chosen = [node for node in (self.nodes if nodes is None else nodes) if node.up]
        entries = tuple(sorted(transactions, key=lambda tx: tx.txid))
        height = chosen[0].chain.tip_height + 1
        block = make_block(height, START_MS + height * SLOT_MS, entries, resolutions)
        for node in chosen:
            node.chain.connect(block, entries)
            self._event(node, Connected(block, entries))
        return block

    def draft(
        self,
        transactions: Iterable[Transaction],
        resolutions: tuple[Resolution, ...] = (),
        height: int | None = None,
    ) -> Block:
        """A block at ``height``, else on the first node's tip, that nobody connects yet."""
        height = self.nodes[0].chain.tip_height + 1 if height is None else height
        return make_block(height, START_MS + height * SLOT_MS, transactions, resolutions)

    def next_slot(self, transactions: Iterable[Transaction] = ()) -> Block:
        """Go to the beginning of the next slot and archive there."""
        height = max(node.chain.tip_height for node in self.nodes if node.up) + 1
        self.run(max(0, START_MS + height * SLOT_MS - self.now_ms))
        return self.connect(transactions)

    def propose(self, node: Node) -> Block:
        """A block as ``node`` would propose it, archived everywhere in the next slot."""
        height = node.chain.tip_height + 1
        self.run(max(0, START_MS + height * SLOT_MS - self.now_ms))
        contents = node.finality.contents(self.now_ms, 100_000, params.MAX_BLOCK_BYTES)
        return self.connect(contents.transactions, resolutions=contents.resolutions)

    def catch_up(self, node: Node, active: bool) -> None:
        """Tell ``node`` whether it is behind."""
        self._event(node, CatchUpChanged(active))
