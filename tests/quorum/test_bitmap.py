"""Leaf bitmaps against their definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.quorum.bitmap import has_leaf, is_bitmap, make_bitmap


class BitmapTests(SynchronousTestCase):
    def test_lowest_bit_first(self) -> None:
        self.assertEqual(make_bitmap(10, (0, 3, 9)), b"\x09\x02")
        self.assertEqual(make_bitmap(8, ()), b"\x00")
        self.assertEqual(make_bitmap(9, range(9)), b"\xff\x01")

    @given(
        st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1))))
    )
    def test_has_exactly_its_leaves(self, case: tuple[int, set[int]]) -> None:
        count, leaves = case
        bitmap = make_bitmap(count, leaves)
        self.assertEqual(len(bitmap), -(-count // 8))
        self.assertTrue(is_bitmap(bitmap, count))
        self.assertEqual({leaf for leaf in range(count) if has_leaf(bitmap, leaf)}, leaves)

    def test_no_such_leaf(self) -> None:
        for leaf in (-1, 5):
            self.assertRaises(ValueError, make_bitmap, 5, (leaf,))

    def test_wrong_length(self) -> None:
        for bitmap in (b"", b"\x00\x00"):
            self.assertFalse(is_bitmap(bitmap, 8))
        self.assertFalse(is_bitmap(b"\x00", 9))

    def test_every_bit_of_the_padding(self) -> None:
        for count in range(1, 65):
            size = -(-count // 8)
            for bit in range(8 * size):
                bitmap = (1 << bit).to_bytes(size, "little")
                self.assertEqual(is_bitmap(bitmap, count), bit < count)
