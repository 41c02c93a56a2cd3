"""Typed signals: one class a fact, one list of listeners a class.

Only ``node/wiring.py`` subscribes, so that one page shows who hears what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar


class Signal:
    """Base of all signals; subclasses are frozen dataclasses declared beside their emitter."""

    __slots__ = ()


S = TypeVar("S", bound=Signal)


class Signals:
    """Delivers each signal to its listeners, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._listeners: dict[type[Signal], list[Callable[[Signal], None]]] = {}

    def subscribe(self, kind: type[S], listener: Callable[[S], None]) -> None:
        """Call ``listener`` with every signal of exactly the class ``kind``.

        :class:`Signal` itself stands for all classes; who listens to it hears of a signal last.
        """
        self._listeners.setdefault(kind, []).append(listener)  # type: ignore[arg-type]

    def publish(self, signal: Signal) -> None:
        """Deliver ``signal`` now; an exception of a listener reaches the caller."""
        for kind in (type(signal), Signal):
            for listener in self._listeners.get(kind, ()):
                listener(signal)
