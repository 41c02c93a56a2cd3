"""Faults of links, by name (FAULTS F1 to F4)."""

from __future__ import annotations

from tests.sim.faultcase import ROUND_S, SLOT_S, FaultCase
from tests.sim.overrun import corrupt
from timecoin.ledger.transaction import Transaction
from timecoin.sim.network import LinkQuality

ALL = (0, 1, 2, 3)


class F1Tests(FaultCase):
    """A partition in halves for 30 s under load."""

    def test_neither_half_finalizes_and_both_come_back(self) -> None:
        self.begin()
        halves = ((0, 1), (2, 3))
        self.divide(*halves)
        self.world.run(0.2)
        payments = self.pay_for(30, ALL)
        self.assertFalse(any(self.is_final(tx) for tx in payments))
        healed = self.now
        self.divide(*halves, whole=True)
        self.world.run(3 * SLOT_S)
        first = self.first_block_after(healed, ALL)
        self.assertLessEqual(first - healed, SLOT_S + ROUND_S)
        for tx in payments:
            for number in ALL:
                at = self.final_at(tx, number)
                assert at is not None
                self.assertLessEqual(at, first + 5)
        self.check_one_history()


class F2Tests(FaultCase):
    """One of four is cut off."""

    def test_the_majority_goes_on_and_the_rest_catches_up(self) -> None:
        self.begin()
        normal = self.p95_after(self.pay_for(20, (0, 1, 2)))
        self.divide((3,), (0, 1, 2))
        alone = self.pay(3)
        under = self.p95_after(self.pay_for(30, (0, 1, 2)))
        self.assertLessEqual(under, 2 * normal)
        self.assertFalse(self.is_final(alone))
        behind = self.height(3)
        self.assertGreaterEqual(self.height(0), behind + 2)
        self.divide((3,), (0, 1, 2), whole=True)
        self.world.run(10)
        self.assertEqual(self.height(3), self.height(0))
        self.world.run(SLOT_S)
        self.assertTrue(self.is_final(alone))
        self.check_one_history()

    def p95_after(self, payments: list[Transaction]) -> int:
        self.world.run(2)
        return self.p95_ms(payments)

    def test_one_that_hears_and_is_not_heard(self) -> None:
        self.begin()
        for number in (0, 1, 2):
            self.world.network.hold(
                self.nodes[3].node_id, self.nodes[number].node_id, self.now + 30
            )
        alone = self.pay(3)
        others = self.pay_for(28, (0, 1, 2))
        self.assertFalse(self.is_final(alone))
        self.assertTrue(all(self.final_at(tx, 3) is not None for tx in others[:-2]))
        self.world.run(2 * SLOT_S)
        self.assertTrue(self.is_final(alone))
        self.check_one_history()


class F3Tests(FaultCase):
    """Links that flap: a second up, a second down, for a minute."""

    def test_finality_is_back_at_once(self) -> None:
        self.begin()
        halves = ((0, 1), (2, 3))
        payments = []
        for _ in range(30):
            self.divide(*halves)
            payments.append(self.pay(0))
            self.world.run(1)
            self.divide(*halves, whole=True)
            self.world.run(1)
        after = self.pay_for(5, ALL)
        self.world.run(3)
        self.assertLessEqual(max(self.latencies_ms(after)), 5_000)
        self.world.run(2 * SLOT_S)
        self.latencies_ms(payments)
        self.check_one_history()


class F4Tests(FaultCase):
    """Five per cent of frames are lost and come late, and everybody sends old ones again."""

    def test_nothing_counts_twice(self) -> None:
        self.begin(quality=LinkQuality(loss_per_mille=50))
        for node in self.nodes:
            corrupt(self.world, node, "replay")
        start = self.height(0)
        payments = self.pay_for(30, ALL)
        self.world.run(3)
        self.latencies_ms(payments)
        self.world.run(SLOT_S)
        self.assertGreaterEqual(self.height(0), start + 3)
        self.world.network.tampers.clear()
        self.world.run(SLOT_S)
        self.check_one_history()
