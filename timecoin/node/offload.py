"""Blocking work beside the loop, in the reactor's threads."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool


class ThreadOffload:
    """An ``Offload`` (see :mod:`timecoin.store.journalstore`) that can be waited for."""

    def __init__(
        self,
        reactor: IReactorThreads,
        pool: ThreadPool,
        on_failure: Callable[[Exception], None],
        on_time: Callable[[float], None] | None = None,
    ) -> None:
        """``on_failure`` hears of work that raised; its ``done`` is never called.

        ``on_time`` hears how many seconds each work took, from being asked for.
        """
        self._reactor = reactor
        self._pool = pool
        self._on_failure = on_failure
        self._on_time = on_time
        self._running = 0
        self._drained: list[Deferred[None]] = []

    def __call__(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Run ``work`` in a thread, then ``done`` in the loop."""
        self._running += 1
        deferred = deferToThreadPool(self._reactor, self._pool, work)
        deferred.addBoth(self._finished, done, monotonic())

    def drained(self) -> Deferred[None]:
        """Fires when nothing runs."""
        if not self._running:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._drained.append(waiting)
        return waiting

    def _finished(self, result: object, done: Callable[[], None], began_s: float) -> None:
        self._running -= 1
        if self._on_time is not None:
            self._on_time(monotonic() - began_s)
        if isinstance(result, Failure):
            assert isinstance(result.value, Exception)
            self._on_failure(result.value)
        else:
            done()  # may ask for more work
        if not self._running:
            drained, self._drained = self._drained, []
            for waiting in drained:
                waiting.callback(None)
