"""The one loop that runs a node's machines.

In one turn every queued event is handled; then one journal write holds all their records, and
when that is as durable as it must be, messages leave, timers change, peers are charged and
signals are published, in the order in which the machines asked (docs/architecture.rst).
Record, then send: nothing signed leaves before its record is safe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from timecoin.codec import Wire
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    Machine,
    Praise,
    Record,
    Send,
    Spread,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.signal import Signals

TimerName = tuple[str | int | bytes, ...]


class Call(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Never make it."""


class Clock(Protocol):
    """Port: the part of Twisted's ``IReactorTime`` that machines need."""

    def seconds(self) -> float:
        """Unix time."""

    def callLater(self, delay: float, callable: Callable[..., object], /) -> Call:
        """Call ``callable`` after ``delay`` seconds."""


class Journal(Protocol):
    """Port: where records go."""

    def commit(self, records: Sequence[Record], done: Callable[[], None]) -> None:
        """Write ``records`` at once; call ``done`` when all durable ones (and those of earlier
        commits) are safe. ``done`` calls come in the order of the commits."""


class Messenger(Protocol):
    """Port: how messages leave and peers are charged."""

    def send(self, peer: bytes, message: Wire) -> None:
        """Send to one peer; a lost link is no error."""

    def broadcast(self, message: Wire, staked_only: bool, skip: bytes | None) -> None:
        """Send to all linked peers (or the staked ones) but ``skip``."""

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """Charge a peer's reputation."""

    def praise(self, peer: bytes, points: int) -> None:
        """Add to a peer's reputation."""


class Spreader(Machine, Protocol):
    """Port: the machine that passes verified messages on."""

    def spread(self, what: Spread, now_ms: int) -> list[Effect]:
        """What is to be sent now so that everybody gets the message; no records among it."""


class Driver:
    """Feeds events to machines and carries out their effects; machines are never re-entered."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        messenger: Messenger,
        gossip: Spreader,
        signals: Signals,
        on_crash: Callable[[Exception], None],
    ) -> None:
        """``on_crash`` hears of an exception in a machine or a listener, which is always our own
        bug: the driver has stopped by then, because effects of that turn may be lost."""
        self._on_crash = on_crash
        self._clock = clock
        self._journal = journal
        self._messenger = messenger
        self._gossip = gossip
        self._signals = signals
        self._queue: deque[tuple[Machine, object]] = deque()
        self._timers: dict[tuple[int, TimerName], Call] = {}
        self._turn: Call | None = None
        self._running = False
        self._stopped = False
        self.turns = 0
        self.events = 0
        """Turns of the loop and events handled in them, since the start."""

    @property
    def queued(self) -> int:
        """Events that wait for the next turn."""
        return len(self._queue)

    @property
    def stopped(self) -> bool:
        """Whether it handles nothing any more: asked to stop, or after a crash."""
        return self._stopped

    def now_ms(self) -> int:
        """Unix time in milliseconds, by this node's clock."""
        return int(self._clock.seconds() * 1000)

    def deliver(self, machine: Machine, event: object) -> None:
        """Queue ``event`` for ``machine``; it is handled in the next turn of the loop."""
        if self._stopped:
            return
        self._queue.append((machine, event))
        if self._turn is None and not self._running:
            self._turn = self._clock.callLater(0, self._run)

    def stop(self) -> None:
        """Drop queued events and timers; effects that wait for the journal are dropped too."""
        self._stopped = True
        self._queue.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        for call in self._timers.values():
            call.cancel()
        self._timers.clear()

    def _run(self) -> None:
        self._turn = None
        self._running = True
        try:
            while self._queue:
                self._turn_once()
        except Exception as error:
            self.stop()
            self._on_crash(error)
        finally:
            self._running = False

    def _turn_once(self) -> None:
        now_ms = self.now_ms()
        self.turns += 1
        self.events += len(self._queue)
        asked: list[tuple[Machine, list[Effect]]] = []
        for _ in range(len(self._queue)):
            machine, event = self._queue.popleft()
            effects = machine.handle(event, now_ms)
            if effects:
                asked.append((machine, effects))
        if not asked:
            return
        records = [e for _, effects in asked for e in effects if isinstance(e, Record)]
        self._journal.commit(records, lambda: self._released(asked))

    def _released(self, asked: list[tuple[Machine, list[Effect]]]) -> None:
        try:
            self._release(asked)
        except Exception as error:
            self.stop()
            self._on_crash(error)

    def _release(self, asked: list[tuple[Machine, list[Effect]]]) -> None:
        if self._stopped:
            return
        signals: list[Emit] = []
        for machine, effects in asked:
            for effect in effects:
                if isinstance(effect, Emit):
                    signals.append(effect)
                else:
                    self._carry_out(machine, effect)
        for emit in signals:
            self._signals.publish(emit.signal)

    def _carry_out(self, machine: Machine, effect: Effect) -> None:
        match effect:
            case Send(peer, message):
                self._messenger.send(peer, message)
            case Broadcast(message, staked_only, skip):
                self._messenger.broadcast(message, staked_only, skip)
            case Spread():
                for sent in self._gossip.spread(effect, self.now_ms()):
                    self._carry_out(self._gossip, sent)
            case StartTimer(name, delay_ms):
                self._start_timer(machine, name, delay_ms)
            case StopTimer(name):
                self._stop_timer(machine, name)
            case Blame(peer, points, reason):
                self._messenger.blame(peer, points, reason)
            case Praise(peer, points):
                self._messenger.praise(peer, points)
            case Record() | Emit():
                pass  # records were written before, signals come after all else

    def _start_timer(self, machine: Machine, name: TimerName, delay_ms: int) -> None:
        self._stop_timer(machine, name)

        def fire() -> None:
            del self._timers[key]
            self.deliver(machine, TimerFired(name))

        key = (id(machine), name)
        self._timers[key] = self._clock.callLater(delay_ms / 1000, fire)

    def _stop_timer(self, machine: Machine, name: TimerName) -> None:
        call = self._timers.pop((id(machine), name), None)
        if call is not None:
            call.cancel()
