"""Virtual time: an ``IReactorTime`` on a heap, first in first out on ties.

``twisted.internet.task.Clock`` sorts all pending calls on every change and jumps before it runs
what was due; this clock steps from call to call.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

_Entry = tuple[float, int, "SimCall | Callable[..., object]", tuple[object, ...]]
"""Due when, order among those of one moment, and what to call with what."""


@implementer(IDelayedCall)
class SimCall:
    """One pending call of a :class:`SimClock`."""

    __slots__ = ("_at", "_call", "_cancelled", "_clock", "_done", "order")

    def __init__(self, clock: SimClock, at: float, order: int, call: Callable[[], object]) -> None:
        self._clock = clock
        self._at = at
        self._call = call
        self._cancelled = False
        self._done = False
        self.order = order

    def __lt__(self, other: SimCall) -> bool:
        return (self._at, self.order) < (other._at, other.order)

    def getTime(self) -> float:
        """Virtual seconds at which the call is due."""
        return self._at

    def active(self) -> bool:
        """Whether the call is still to come."""
        return not (self._cancelled or self._done)

    def _check(self) -> None:
        if self._cancelled:
            raise AlreadyCancelled
        if self._done:
            raise AlreadyCalled

    def cancel(self) -> None:
        """Never make the call."""
        self._check()
        self._cancelled = True

    def reset(self, secondsFromNow: float) -> None:
        """Make the call that long after now instead."""
        self._check()
        self._clock.move(self, self._clock.seconds() + secondsFromNow)

    def delay(self, secondsLater: float) -> None:
        """Make the call that much later."""
        self._check()
        self._clock.move(self, self._at + secondsLater)

    def stands(self, order: int) -> bool:
        """Whether the heap entry ``order`` still stands for this call; for the clock only."""
        return self.order == order and not self._cancelled and not self._done

    def put(self, at: float, order: int) -> None:
        """Set when the call is due; for the clock only."""
        self._at = at
        self.order = order

    def run(self) -> None:
        """Make the call; for the clock only."""
        self._done = True
        self._call()


@implementer(IReactorTime)
class SkewedClock:
    """The world's clock as a machine sees it whose own is ``skew_ms`` ahead."""

    def __init__(self, clock: SimClock, skew_ms: int) -> None:
        self._clock = clock
        self._skew = skew_ms / 1000

    def seconds(self) -> float:
        """The wrong time."""
        return self._clock.seconds() + self._skew

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> SimCall:
        """Delays are right: only the time of day is off."""
        return self._clock.callLater(delay, callable, *args, **kw)

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """See the world's clock."""
        return self._clock.getDelayedCalls()


@implementer(IReactorTime)
class SimClock:
    """Starts at ``start`` (Unix seconds) and moves only in :meth:`run_until`."""

    def __init__(self, start: float) -> None:
        self._now = start
        self._order = 0
        self._heap: list[_Entry] = []

    def seconds(self) -> float:
        """Virtual Unix time."""
        return self._now

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> SimCall:
        """Call ``callable(*args, **kw)`` after ``delay`` virtual seconds."""
        if delay < 0:
            raise ValueError(f"negative delay {delay}")
        bound = partial(callable, *args, **kw) if args or kw else callable
        call = SimCall(self, 0.0, 0, bound)
        self.move(call, self._now + delay)
        return call

    def call_at(self, at: float, callable: Callable[..., object], *args: object) -> None:
        """Call ``callable(*args)`` at ``at``, which is not past: nothing can take it back.

        Frames come by the million: each is one entry of the heap, and no object beside it.
        """
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, callable, args))

    def move(self, call: SimCall, at: float) -> None:
        """Put ``call`` on the heap for time ``at``; an older entry of it goes stale."""
        self._order += 1
        call.put(at, self._order)
        heapq.heappush(self._heap, (at, self._order, call, ()))

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """The calls still to come that can be taken back, soonest first."""
        return [
            call
            for _, order, call, _ in sorted(self._heap)
            if isinstance(call, SimCall) and call.stands(order)
        ]

    def run_until(self, end: float) -> None:
        """Make every call due up to ``end``, stepping from one to the next; then it is ``end``."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            at, order, call, args = heapq.heappop(heap)
            if not isinstance(call, SimCall):
                self._now = at
                call(*args)
            elif call.stands(order):
                self._now = at
                call.run()
        self._now = max(self._now, end)
