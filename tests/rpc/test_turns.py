"""Long answers leave turns to others; one audit runs at a time."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Net
from timecoin.chain.views import ChainViews, UtxoAudit
from timecoin.rpc.audit import Audit
from timecoin.rpc.server import TURN_BUDGET_S
from timecoin.rpc.turns import in_turns
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.memory import MemoryEngine


class TurnTests(SynchronousTestCase):
    """A clock on which work takes time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.done: list[int] = []

    def work(self, count: int) -> Iterator[int]:
        """Items that each take more than half of a turn's budget."""
        for number in range(count):
            self.clock.rightNow += 0.6 * TURN_BUDGET_S
            yield number

    async def consume(self, count: int) -> None:
        async for number in in_turns(self.clock, self.work(count)):
            self.done.append(number)

    def test_others_have_their_turn(self) -> None:
        running = Deferred.fromCoroutine(self.consume(7))
        seen = []

        def other() -> None:
            seen.append(len(self.done))
            if not running.called:
                self.clock.callLater(0, other)

        other()
        self.clock.advance(0)
        self.successResultOf(running)
        self.assertEqual(self.done, list(range(7)))
        self.assertEqual(seen[:4], [2, 4, 6, 7], "two items end a turn")

    def test_short_work_is_done_at_once(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.consume(1)))
        self.assertEqual(self.done, [0])

    def test_cancelled(self) -> None:
        running = Deferred.fromCoroutine(self.consume(7))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AuditTests(SynchronousTestCase):
    """Several ask for the audit at a time."""

    def setUp(self) -> None:
        self.clock = Clock()
        net, engine = Net(), MemoryEngine()
        chain = net.chain(engine)
        self.views = ChainViews(chain, EngineChainStore(engine))
        self.walks = 0
        walk = self.views.audit_in_steps

        def slow() -> Iterator[UtxoAudit | None]:
            for found in walk():
                self.walks += found is None
                self.clock.rightNow += 2 * TURN_BUDGET_S
                yield found

        self.patch(self.views, "audit_in_steps", slow)
        self.audit = Audit(self.views, self.clock)

    def ask(self) -> Deferred[UtxoAudit]:
        return Deferred.fromCoroutine(self.audit.run())

    def test_one_walk_for_all(self) -> None:
        first, second, third = self.ask(), self.ask(), self.ask()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        for _ in range(10):
            self.clock.advance(0)
        self.assertIs(self.successResultOf(first), self.successResultOf(third))
        self.assertEqual(self.walks, 1)

    def test_a_cancelled_walk_lets_the_next_begin(self) -> None:
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        for _ in range(10):
            self.clock.advance(0)
        self.assertTrue(self.successResultOf(second).sound)
