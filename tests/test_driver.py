"""The driver: order of effects, durability before sending, timers, and what a bug does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import Wire
from timecoin.driver import Driver
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    Praise,
    Record,
    Send,
    Spread,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.signal import Signal, Signals

PEER = b"p" * 32


class Hello(Wire, frozen=True):
    """A message."""

    number: int


@dataclass(frozen=True, slots=True)
class Happened(Signal):
    """A signal."""

    number: int


class Script:
    """A machine that does what the event says: events are lists of effects, or an exception."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.times: list[int] = []
        self.inside = 0

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        if self.inside:
            raise AssertionError("re-entered")
        self.inside += 1
        self.seen.append(event)
        self.times.append(now_ms)
        self.inside -= 1
        if isinstance(event, Exception):
            raise event
        return list(event) if isinstance(event, list) else []


class World:
    """A journal that syncs when told to, and a messenger that takes notes."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.waiting: list[Callable[[], None]] = []
        self.slow = False

    def commit(self, records: Sequence[Record], done: Callable[[], None]) -> None:
        self.log.extend(f"record {record.key.decode()}" for record in records)
        if self.slow:
            self.waiting.append(done)
        else:
            done()

    def send(self, peer: bytes, message: Wire) -> None:
        self.log.append(f"send {message}")

    def broadcast(self, message: Wire, staked_only: bool, skip: bytes | None) -> None:
        self.log.append(f"broadcast {message} {staked_only}")

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        self.log.append(f"blame {reason}")

    def praise(self, peer: bytes, points: int) -> None:
        self.log.append(f"praise {points}")


class Grapevine(Script):
    """Gossip with one peer, and a timer."""

    def spread(self, what: Spread, now_ms: int) -> list[Effect]:
        self.seen.append(what)
        return [Send(PEER, what.message), StartTimer(("announce",), 10)]


class DriverTests(SynchronousTestCase):
    """One driver, one machine."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(7)
        self.world = World()
        self.signals = Signals()
        self.crashes: list[Exception] = []
        self.gossip = Grapevine()
        self.driver = Driver(
            self.clock, self.world, self.world, self.gossip, self.signals, self.crashes.append
        )
        self.machine = Script()

    def deliver(self, *events: object) -> None:
        for event in events:
            self.driver.deliver(self.machine, event)
        self.clock.advance(0)

    def test_records_of_a_turn_come_before_all_its_messages(self) -> None:
        def record(key: str) -> Record:
            return Record("locks", key.encode(), b"")

        self.deliver([Send(PEER, Hello(1)), record("a")], [record("b"), Send(PEER, Hello(2))])
        self.assertEqual(
            self.world.log, ["record a", "record b", "send Hello(number=1)", "send Hello(number=2)"]
        )

    def test_nothing_leaves_before_the_journal_says_so(self) -> None:
        self.world.slow = True
        heard: list[Happened] = []
        self.signals.subscribe(Happened, heard.append)
        self.deliver(
            [
                Record("locks", b"a", b""),
                Send(PEER, Hello(1)),
                Broadcast(Hello(2), staked_only=True),
                Blame(PEER, 1, "late"),
                Praise(PEER, 2),
                StartTimer(("t",), 0),
                Emit(Happened(3)),
            ]
        )
        self.clock.advance(1)
        self.assertEqual(self.world.log, ["record a"])
        self.assertEqual((heard, len(self.machine.seen)), ([], 1))
        self.world.waiting.pop()()
        self.clock.advance(0)
        self.assertEqual(
            self.world.log,
            [
                "record a",
                "send Hello(number=1)",
                "broadcast Hello(number=2) True",
                "blame late",
                "praise 2",
            ],
        )
        self.assertEqual(heard, [Happened(3)])
        self.assertEqual(self.machine.seen[1:], [TimerFired(("t",))])

    def test_what_is_spread_leaves_through_gossip_once_its_records_are_safe(self) -> None:
        self.world.slow = True
        self.deliver([Record("votes", b"a", b""), Spread(Hello(1))])
        self.assertEqual((self.world.log, self.gossip.seen), (["record a"], []))
        self.world.waiting.pop()()
        self.assertEqual(self.world.log, ["record a", "send Hello(number=1)"])
        self.clock.advance(1)
        self.assertEqual(self.gossip.seen, [Spread(Hello(1)), TimerFired(("announce",))])

    def test_signals_may_queue_events_without_reentering(self) -> None:
        self.signals.subscribe(
            Happened, lambda signal: self.driver.deliver(self.machine, f"after {signal.number}")
        )
        self.deliver([Emit(Happened(1))], "second")
        self.assertEqual(self.machine.seen[1:], ["second", "after 1"])

    def test_timers_fire_are_replaced_and_stopped(self) -> None:
        self.deliver([StartTimer(("a", 1), 1000), StartTimer(("b",), 1000)])
        self.deliver([StartTimer(("a", 1), 3000), StopTimer(("b",)), StopTimer(("unknown",))])
        self.clock.advance(2)
        self.assertEqual(len(self.machine.seen), 2)
        self.clock.advance(1)
        self.assertEqual(self.machine.seen[2:], [TimerFired(("a", 1))])
        self.assertEqual(self.machine.times[2], 10_000)

    def test_timers_of_two_machines_with_one_name_are_two(self) -> None:
        other = Script()
        self.driver.deliver(other, [StartTimer(("t",), 1000)])
        self.deliver([StartTimer(("t",), 1000)])
        self.clock.advance(1)
        self.assertEqual(other.seen[1:], [TimerFired(("t",))])
        self.assertEqual(self.machine.seen[1:], [TimerFired(("t",))])

    def test_a_bug_stops_the_driver_and_is_told(self) -> None:
        error = RuntimeError("bug")
        self.deliver([StartTimer(("t",), 1000)])
        self.deliver([Send(PEER, Hello(1))], error, [Send(PEER, Hello(2))])
        self.clock.advance(5)
        self.assertEqual(self.crashes, [error])
        self.assertEqual(self.world.log, [])
        self.deliver("later")
        self.assertNotIn("later", self.machine.seen)

    def test_a_bug_in_a_listener_stops_the_driver_too(self) -> None:
        def listener(signal: Happened) -> None:
            raise RuntimeError("listener")

        self.signals.subscribe(Happened, listener)
        self.deliver([Emit(Happened(1))])
        self.assertEqual([str(error) for error in self.crashes], ["listener"])

    def test_after_a_bug_in_a_listener_nothing_more_is_handled_or_sent(self) -> None:
        def listener(signal: Happened) -> None:
            raise RuntimeError("listener")

        self.signals.subscribe(Happened, listener)
        self.world.slow = True
        self.deliver([Emit(Happened(1))])
        self.deliver([Send(PEER, Hello(2))])
        for done in self.world.waiting:
            done()
        self.deliver("later")
        self.assertTrue(self.driver.stopped)
        self.assertEqual(self.world.log, [])
        self.assertNotIn("later", self.machine.seen)

    def test_stopped_driver_releases_nothing(self) -> None:
        self.world.slow = True
        self.deliver([Record("locks", b"a", b""), Send(PEER, Hello(1))])
        self.driver.stop()
        self.world.waiting.pop()()
        self.assertEqual(self.world.log, ["record a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
