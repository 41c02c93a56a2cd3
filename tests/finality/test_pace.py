"""How long to wait before doing others' work again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import World, genesis_coin, pay
from timecoin.finality.messages import Query
from timecoin.finality.pace import Pace
from timecoin.finality.parameters import RETRY_MAX_MS

LEAST_MS = 2_000


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pace = Pace(LEAST_MS)

    def hear(self, waited_ms: int, times: int, now_ms: int = 100_000) -> int:
        for _ in range(times):
            self.pace.heard(waited_ms, now_ms)
        return self.pace.pause_ms(now_ms)

    def test_short_waits_change_nothing(self) -> None:
        self.assertEqual(self.pace.pause_ms(0), LEAST_MS)
        self.assertEqual(self.hear(100, 50), LEAST_MS)

    def test_grows_with_what_is_usual(self) -> None:
        self.assertEqual(self.hear(3_000, 1), LEAST_MS)
        self.assertGreater(self.hear(3_000, 50), 3 * 3_000)

    def test_is_bounded(self) -> None:
        self.assertEqual(self.hear(10**9, 50), RETRY_MAX_MS)

    def test_shrinks_again(self) -> None:
        self.hear(3_000, 50)
        self.assertEqual(self.hear(100, 50), LEAST_MS)

    def test_what_was_long_ago_is_forgotten(self) -> None:
        self.hear(3_000, 50, now_ms=100_000)
        later_ms = 100_001 + RETRY_MAX_MS
        self.assertEqual(self.pace.pause_ms(later_ms), LEAST_MS)
        self.assertEqual(self.hear(3_000, 1, later_ms), LEAST_MS)


class LoadTests(SynchronousTestCase):
    def queries_of_others(self, usual_ms: int) -> int:
        """How often members other than the entry node poll a payment that gets no votes."""
        world = World(4)
        for node in world.nodes:
            for _ in range(50):
                node.finality._context.pace.heard(usual_ms, world.now_ms)
        world.cut = lambda source, target, message: not isinstance(message, Query)
        world.submit(world.nodes[0], pay([genesis_coin(0)]))
        world.run(4_000)
        return sum(
            isinstance(message, Query) for node in world.nodes[1:] for _, message in node.sent
        )

    def test_others_take_over_after_two_seconds(self) -> None:
        self.assertGreater(self.queries_of_others(100), 0)

    def test_under_load_others_do_not_multiply_it(self) -> None:
        self.assertEqual(self.queries_of_others(3_000), 0)
