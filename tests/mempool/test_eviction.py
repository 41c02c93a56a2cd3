"""The eviction order against a sort of everything."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.mempool.test_pool import payment
from tests.support.ledger_kit import FEE_UNITS
from timecoin.mempool.entry import PoolEntry
from timecoin.mempool.eviction import EvictionOrder


def entry(number: int, fee_units: int, size: int) -> PoolEntry:
    return PoolEntry(payment(number), fee_units, size, 0, number)


class EvictionTests(SynchronousTestCase):
    @given(
        st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=12),
        st.sets(st.integers(0, 11)),
        st.sets(st.integers(0, 11)),
    )
    def test_order(self, rates: list[tuple[int, int]], gone: set[int], pinned: set[int]) -> None:
        """Cheapest first, of equals the latest; never what has left or is pinned."""
        made = [entry(number, fee * FEE_UNITS, size) for number, (fee, size) in enumerate(rates)]
        entries = {each.tx.txid: each for each in made}
        order = EvictionOrder(entries)
        for each in made:
            order.put(each)
        for number, each in enumerate(made):
            each.locked = number in pinned
            if number in gone:
                del entries[each.tx.txid]
        left = [each for number, each in enumerate(made) if number not in gone | pinned]
        expected = sorted(left, key=lambda e: (Fraction(e.fee_units, e.size), -e.sequence))
        self.assertIs(order.first(), expected[0] if expected else None)
        popped = []
        while (each_popped := order.pop()) is not None:
            popped.append(each_popped)
        self.assertEqual(popped, expected)
        order.put_back(popped)
        self.assertIs(order.first(), expected[0] if expected else None)
