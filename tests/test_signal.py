"""Typed signals: who hears what, in which order."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from timecoin.signal import Signal, Signals


@dataclass(frozen=True, slots=True)
class Ticked(Signal):
    number: int


@dataclass(frozen=True, slots=True)
class TickedTwice(Ticked):
    pass


class SignalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.signals = Signals()
        self.heard: list[tuple[str, Signal]] = []

    def listen(self, name: str, kind: type[Signal]) -> None:
        self.signals.subscribe(kind, lambda signal: self.heard.append((name, signal)))

    def test_listeners_hear_in_the_order_in_which_they_subscribed(self) -> None:
        self.listen("first", Ticked)
        self.listen("second", Ticked)
        self.signals.publish(Ticked(1))
        self.assertEqual(self.heard, [("first", Ticked(1)), ("second", Ticked(1))])

    def test_who_listens_to_all_classes_hears_last(self) -> None:
        self.listen("all", Signal)
        self.listen("one", Ticked)
        self.signals.publish(Ticked(1))
        self.signals.publish(TickedTwice(2))
        heard = [("one", Ticked(1)), ("all", Ticked(1)), ("all", TickedTwice(2))]
        self.assertEqual(self.heard, heard)

    def test_exactly_the_class(self) -> None:
        self.listen("parent", Ticked)
        self.listen("child", TickedTwice)
        self.signals.publish(TickedTwice(2))
        self.assertEqual(self.heard, [("child", TickedTwice(2))])

    def test_nobody_listens(self) -> None:
        self.listen("child", TickedTwice)
        self.signals.publish(Ticked(3))
        self.assertEqual(self.heard, [])

    def test_an_exception_reaches_the_publisher(self) -> None:
        def broken(signal: Ticked) -> None:
            raise ZeroDivisionError(signal.number)

        self.signals.subscribe(Ticked, broken)
        self.assertRaises(ZeroDivisionError, self.signals.publish, Ticked(4))
