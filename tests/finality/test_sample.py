"""Orders drawn by stake, and how many of them to ask at once."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import key_of, make_set
from timecoin.finality.sample import first_wave, stake_order, union_weights
from timecoin.quorum.tally import quorum_weight

KEYS = [key_of(f"sample {index}") for index in range(10)]


class OrderTests(SynchronousTestCase):
    @given(st.lists(st.integers(0, 10**12), max_size=60), st.integers())
    def test_everybody_with_weight_once(self, weights: list[int], seed: int) -> None:
        table = {index.to_bytes(32, "big"): weight for index, weight in enumerate(weights)}
        order = stake_order(table, Random(seed))
        self.assertEqual(sorted(order), sorted(k for k, weight in table.items() if weight))

    def test_seeded(self) -> None:
        table = {bytes([index]): 1 + index for index in range(50)}
        self.assertEqual(stake_order(table, Random(5)), stake_order(table, Random(5)))
        self.assertNotEqual(stake_order(table, Random(5)), stake_order(table, Random(6)))

    def test_chances_are_shares(self) -> None:
        rng = Random(1)
        table = {b"a": 600, b"b": 300, b"c": 100}
        firsts = [stake_order(table, rng)[0] for _ in range(10_000)]
        for key, weight in table.items():
            self.assertLess(abs(firsts.count(key) - 10 * weight), 200)

    def test_second_is_drawn_from_the_rest_by_share(self) -> None:
        rng = Random(2)
        table = {b"a": 900, b"b": 75, b"c": 25}
        orders = [stake_order(table, rng) for _ in range(10_000)]
        after_a = [order[1] for order in orders if order[0] == b"a"]
        self.assertLess(abs(4 * after_a.count(b"b") - 3 * len(after_a)), len(after_a) // 12)

    def test_one_giant_takes_few_draws(self) -> None:
        class Counting(Random):
            draws = 0

            def randrange(self, *args: int) -> int:  # type: ignore[override]
                self.draws += 1
                return super().randrange(*args)

        rng = Counting(3)
        stake_order({bytes([index]): 10 ** (9 if index == 0 else 1) for index in range(200)}, rng)
        self.assertLess(rng.draws, 2_000)


class WaveTests(SynchronousTestCase):
    def test_q_and_a_tenth(self) -> None:
        snapshot = make_set((key, 100) for key in KEYS)
        order = [key.public for key in KEYS[1:]]
        # Q of 1,000 = 667, and 10 % more is 733: the own 100 and seven others.
        self.assertEqual(first_wave([KEYS[0].public], order, [snapshot], 10), 7)

    def test_in_every_snapshot(self) -> None:
        even = make_set((key, 100) for key in KEYS[:4])
        heavy_last = make_set([(key, 10) for key in KEYS[:3]] + [(KEYS[3], 1_000)])
        order = [key.public for key in KEYS[1:4]]
        self.assertEqual(first_wave([KEYS[0].public], order, [even], 10), 2)
        self.assertEqual(first_wave([KEYS[0].public], order, [even, heavy_last], 10), 3)

    @given(st.lists(st.integers(1, 1_000), min_size=1, max_size=10), st.integers())
    def test_holds_a_quorum_unless_all_are_asked(self, weights: list[int], seed: int) -> None:
        snapshot = make_set(zip(KEYS, weights, strict=False))
        order = stake_order(snapshot.weights, Random(seed))
        count = first_wave([], order, [snapshot], 10)
        held = sum(snapshot.weights[key] for key in order[:count])
        self.assertTrue(count == len(order) or held >= quorum_weight(snapshot.total_weight))

    def test_union_takes_the_highest(self) -> None:
        first = make_set([(KEYS[0], 100), (KEYS[1], 5)])
        second = make_set([(KEYS[0], 10), (KEYS[2], 7)])
        expected = {KEYS[0].public: 100, KEYS[1].public: 5, KEYS[2].public: 7}
        self.assertEqual(union_weights([first, second]), expected)
