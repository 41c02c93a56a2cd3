"""Work in threads: done in the loop, failures told, and the stop waits for it."""

from __future__ import annotations

import threading

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.posixbase import PosixReactorBase
from twisted.trial.unittest import TestCase

from timecoin.node.offload import ThreadOffload


class ThreadOffloadTests(TestCase):
    def setUp(self) -> None:
        assert isinstance(reactor, PosixReactorBase)
        self.failures: list[Exception] = []
        self.offload = ThreadOffload(reactor, reactor.getThreadPool(), self.failures.append)

    async def test_work_in_a_thread_then_done_in_the_loop(self) -> None:
        threads: list[threading.Thread] = []
        finished: Deferred[None] = Deferred()

        def work() -> None:
            threads.append(threading.current_thread())

        def done() -> None:
            threads.append(threading.current_thread())
            finished.callback(None)

        self.offload(work, done)
        await finished
        self.assertIsNot(threads[0], threads[1])
        self.assertIs(threads[1], threading.current_thread())

    async def test_failed_work_is_never_done(self) -> None:
        error = OSError("disk gone")

        def work() -> None:
            raise error

        self.offload(work, lambda: self.fail("done was called"))
        await self.offload.drained()
        self.assertEqual(self.failures, [error])

    async def test_drained_waits_for_all_and_for_what_follows(self) -> None:
        release = threading.Event()
        order: list[str] = []

        def again() -> None:
            order.append("first")
            self.offload(lambda: None, lambda: order.append("second"))

        self.offload(lambda: self.assertTrue(release.wait(20)), again)
        drained = self.offload.drained()
        drained.addCallback(lambda _: order.append("drained"))
        release.set()
        await drained
        self.assertEqual(order, ["first", "second", "drained"])

    async def test_nothing_to_wait_for(self) -> None:
        await self.offload.drained()
