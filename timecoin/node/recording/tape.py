"""The ports of a node, put on tape: the same for a node that is recorded and one that is replayed.

On a :class:`Tape` that records, inputs and answers come from the real ports behind. On one that
plays, they come from the recording, and the ports behind do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol, TypeVar

from timecoin.driver import Call, Clock
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.changes import Leave
from timecoin.mempool.entry import Verdict
from timecoin.node.node import Node, NodeSettings
from timecoin.node.recording import items
from timecoin.node.runtime import Runtime
from timecoin.node.wiring import observe, wire
from timecoin.p2p.ports import LinkListener, Network, PeerInfo
from timecoin.signal import Signal
from timecoin.store.engine import Engine, Row
from timecoin.store.journalstore import Offload
from timecoin.store.keys import ADDRESS_BOOK, WALLET

OTHERS_TABLES = (WALLET, ADDRESS_BOOK)
"""Written and read outside of the core."""
SEED_BYTES = 32

A = TypeVar("A", items.Time, items.Seed, items.Peers)


class Tape(Protocol):
    """Port: hears everything that goes into a node and comes out of it."""

    def input(self, item: items.Input) -> AbstractContextManager[None]:
        """While the context is open the node handles ``item``."""

    def answer(self, kind: type[A], ask: Callable[[], A]) -> A:
        """What the node is told when it asks the world: ``ask()``, or what was told then."""

    def effect(self, item: items.Effect) -> None:
        """The node is about to do this."""


class TapedCall:
    """A call of a :class:`TapedClock` that is still to come."""

    def __init__(self, clock: TapedClock, number: int, call: Call) -> None:
        self._clock = clock
        self._number = number
        self._call = call

    def cancel(self) -> None:
        """Never make it."""
        self._clock.forget(self._number)
        self._call.cancel()


class TapedClock:
    """A clock whose readings, calls and their order are on tape."""

    def __init__(self, tape: Tape, clock: Clock) -> None:
        self._tape = tape
        self._clock = clock
        self._number = 0
        self.calls: dict[int, Callable[..., object]] = {}
        """Those still to come, by their number."""

    def seconds(self) -> float:
        """See :class:`timecoin.driver.Clock`."""
        return self._tape.answer(items.Time, lambda: items.Time(self._clock.seconds())).seconds

    def callLater(self, delay: float, callable: Callable[..., object], /) -> TapedCall:
        """See :class:`timecoin.driver.Clock`."""
        self._number += 1
        number = self._number
        self._tape.effect(items.CallLater(number, float(delay)))
        self.calls[number] = callable
        return TapedCall(self, number, self._clock.callLater(delay, lambda: self.fire(number)))

    def fire(self, number: int) -> None:
        """Make call ``number``: it is due."""
        call = self.calls.pop(number)
        with self._tape.input(items.Fire(number)):
            call()

    def forget(self, number: int) -> None:
        """Call ``number`` is cancelled."""
        self._tape.effect(items.Cancelled(number))
        del self.calls[number]


class TapedListener:
    """Hears of links and frames and puts them on tape."""

    def __init__(self, tape: Tape, listener: LinkListener) -> None:
        self._tape = tape
        self._listener = listener

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """See :class:`timecoin.p2p.ports.LinkListener`."""
        with self._tape.input(items.LinkOpened(peer, masternode)):
            self._listener.link_up(peer, masternode)

    def link_down(self, peer: bytes) -> None:
        """See :class:`timecoin.p2p.ports.LinkListener`."""
        with self._tape.input(items.LinkClosed(peer)):
            self._listener.link_down(peer)

    def frame_received(self, peer: bytes, kind: int, payload: bytes) -> None:
        """See :class:`timecoin.p2p.ports.LinkListener`."""
        with self._tape.input(items.Frame(peer, kind, payload)):
            self._listener.frame_received(peer, kind, payload)


class TapedNetwork:
    """Links whose traffic is on tape."""

    def __init__(self, tape: Tape, network: Network) -> None:
        self._tape = tape
        self._network = network
        self._payload: bytes | None = None
        self.listener: TapedListener | None = None

    def send(self, peer: bytes, kind: int, payload: bytes) -> None:
        """See :class:`timecoin.p2p.ports.Network`."""
        again = payload == self._payload  # a broadcast: on tape it stands once
        self._payload = payload
        self._tape.effect(items.Sent(peer, kind, None if again else payload))
        self._network.send(peer, kind, payload)

    def peers(self) -> list[PeerInfo]:
        """See :class:`timecoin.p2p.ports.Network`."""
        ask = self._network.peers
        return list(self._tape.answer(items.Peers, lambda: items.Peers(tuple(ask()))).peers)

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """See :class:`timecoin.p2p.ports.Network`."""
        self._tape.effect(items.Blamed(peer, points, reason))
        self._network.blame(peer, points, reason)

    def praise(self, peer: bytes, points: int) -> None:
        """See :class:`timecoin.p2p.ports.Network`."""
        self._tape.effect(items.Praised(peer, points))
        self._network.praise(peer, points)

    def set_listener(self, listener: LinkListener) -> None:
        """See :class:`timecoin.p2p.ports.Network`."""
        self.listener = TapedListener(self._tape, listener)
        self._network.set_listener(self.listener)

    def set_height(self, height: int) -> None:
        """See :class:`timecoin.p2p.ports.Network`."""
        self._tape.effect(items.Height(height))
        self._network.set_height(height)


class TapedStore:
    """A store whose batches are on tape: what is read of it follows from them."""

    def __init__(self, tape: Tape, engine: Engine) -> None:
        self._tape = tape
        self._engine = engine

    def get(self, table: str, key: bytes) -> bytes | None:
        """See :class:`timecoin.store.engine.Engine`."""
        return self._engine.get(table, key)

    def scan(
        self, table: str, prefix: bytes = b"", start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`timecoin.store.engine.Engine`."""
        return self._engine.scan(table, prefix, start)

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        own = tuple(row for row in rows if row[0] not in OTHERS_TABLES)
        if own:
            self._tape.effect(items.Written(own, sync))
        try:
            self._engine.write(rows, sync)
        except Exception as error:
            self._tape.effect(items.Failed(type(error).__name__, str(error)))
            raise

    def clear(self, table: str) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        self._tape.effect(items.Cleared(table))
        self._engine.clear(table)

    def sync(self) -> None:
        """See :class:`timecoin.store.engine.Engine`; may run in a thread."""
        self._engine.sync()

    def close(self) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        self._engine.close()


class TapedOffload:
    """Work aside, of which begin and end are on tape."""

    def __init__(self, tape: Tape, offload: Offload) -> None:
        self._tape = tape
        self._offload = offload
        self._number = 0
        self.running: dict[int, Callable[[], None]] = {}
        """What is called when the work of that number is done."""

    def __call__(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Run ``work`` aside, then call ``done``."""
        self._number += 1
        number = self._number
        self._tape.effect(items.Aside(number))
        self.running[number] = done
        self._offload(work, lambda: self.finish(number))

    def finish(self, number: int) -> None:
        """Work ``number`` is done."""
        done = self.running.pop(number)
        with self._tape.input(items.Done(number)):
            done()


@dataclass(frozen=True, slots=True)
class TapedPorts:
    """The ports of one node on one tape."""

    clock: TapedClock
    network: TapedNetwork
    offload: TapedOffload
    runtime: Runtime
    """All of them, for the node."""


def taped_ports(tape: Tape, runtime: Runtime) -> TapedPorts:
    """The ports of ``runtime``, each on ``tape``."""
    clock = TapedClock(tape, runtime.clock)
    network = TapedNetwork(tape, runtime.network)
    offload = TapedOffload(tape, runtime.offload)

    def rng(purpose: str) -> Random:
        drawn = tape.answer(
            items.Seed, lambda: items.Seed(purpose, runtime.rng(purpose).randbytes(SEED_BYTES))
        )
        return Random(drawn.seed)

    def on_crash(error: Exception) -> None:
        tape.effect(items.Crashed(f"{type(error).__name__}: {error}"))
        runtime.on_crash(error)

    taped = replace(
        runtime,
        clock=clock,
        rng=rng,
        network=network,
        engine=TapedStore(tape, runtime.engine),
        offload=offload,
        on_crash=on_crash,
    )
    return TapedPorts(clock, network, offload, taped)


class TapedNode(Node):
    """A node of which what its users ask is on tape too."""

    def __init__(self, settings: NodeSettings, ports: TapedPorts, tape: Tape) -> None:
        self._tape = tape
        super().__init__(settings, ports.runtime)

    def start(self) -> None:
        """See :class:`timecoin.node.node.Node`."""
        with self._tape.input(items.Start()):
            super().start()

    def stop(self) -> None:
        """See :class:`timecoin.node.node.Node`."""
        with self._tape.input(items.Stop()):
            super().stop()

    def submit(self, tx: Transaction) -> Verdict:
        """See :class:`timecoin.node.node.Node`."""
        with self._tape.input(items.Submit(tx)):
            verdict = super().submit(tx)
            self._tape.effect(items.Judged(verdict.admission.value, verdict.rule))
        return verdict

    def leave(self, leave: Leave) -> None:
        """See :class:`timecoin.node.node.Node`."""
        with self._tape.input(items.AskLeave(leave)):
            super().leave(leave)

    def join_with(self, way: bytes, at_once: bool = True) -> None:
        """See :class:`timecoin.node.node.Node`."""
        with self._tape.input(items.AskJoin(way, at_once)):
            super().join_with(way, at_once)


def build_taped(settings: NodeSettings, ports: TapedPorts, tape: Tape) -> TapedNode:
    """What ``build_node`` builds, on tape."""

    def heard(signal: Signal) -> None:
        tape.effect(items.published(signal))

    with tape.input(items.Build()):
        node = TapedNode(settings, ports, tape)
        wire(node, ports.network)
        observe(node, Signal, heard)
    return node
