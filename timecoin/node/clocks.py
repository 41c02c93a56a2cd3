"""Two clocks: one that nobody sets, for how long things take, and the time of day.

Twisted reads the time of day for its timers: were that set back by an hour, none would fire for an
hour, and set forward, all would at once. NTP does so when it first finds the right time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts while the machine sleeps, too, where there is such a clock."""


def keep_steady(reactor: ReactorBase) -> None:
    """From now on the reactor's ``seconds()`` go on from the time of day, whatever becomes of it.

    Timers that have been started stay as they are.
    """
    ahead_s = reactor.seconds() - time.clock_gettime(_ELAPSED)
    reactor.seconds = lambda: time.clock_gettime(_ELAPSED) + ahead_s


@implementer(IReactorTime)
class WallClock:
    """The time of day; delays are the reactor's."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    def seconds(self) -> float:
        """Unix time by the machine's clock, right or wrong."""
        return time.time()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        """See IReactorTime."""
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """See IReactorTime."""
        return list(self._reactor.getDelayedCalls())
