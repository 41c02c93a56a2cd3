"""Random graphs with links of an equal number."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.sim.topology import random_regular


class RandomRegular(SynchronousTestCase):
    @given(st.integers(3, 40), st.integers(2, 12), st.integers(0, 2**32))
    def test_degrees_are_equal_and_everybody_is_reached(
        self, nodes: int, degree: int, seed: int
    ) -> None:
        if degree >= nodes or nodes * degree % 2:
            self.assertRaises(ValueError, random_regular, nodes, degree, Random(seed))
            return
        edges = random_regular(nodes, degree, Random(seed))
        self.assertEqual(len(set(edges)), nodes * degree // 2)
        ends = Counter(end for edge in edges for end in edge)
        self.assertEqual(set(ends.values()), {degree})
        self.assertTrue(all(one < other for one, other in edges))
        reached = {0}
        for _ in range(nodes):
            reached |= {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
        self.assertEqual(len(reached), nodes)

    def test_the_seed_decides(self) -> None:
        first = random_regular(50, 4, Random(1))
        self.assertEqual(first, random_regular(50, 4, Random(1)))
        self.assertNotEqual(first, random_regular(50, 4, Random(2)))
