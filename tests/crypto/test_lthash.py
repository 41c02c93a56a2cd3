"""LtHash against lists of lanes, one by one."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from unittest import mock

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.crypto import lthash
from timecoin.crypto.lthash import STATE_BYTES, LtHash

LANES = struct.Struct("<1024H")

FIXED_DIGEST = "d52d93ca9a13aacb51e5e7fb058800f17d5be9de842e10ebc90395018e74f0fe"
EMPTY_DIGEST = "fd97f37772adfb91ef6e1d50084c47556316a6b22a501303ef088a590eeb4bc3"

element_lists = st.lists(st.binary(max_size=40), max_size=12)


def naive_state(added: Iterable[bytes], removed: Iterable[bytes] = ()) -> bytes:
    """The 2,048 bytes of the state, from its definition."""
    lanes = [0] * 1024
    for sign, elements in ((1, added), (-1, removed)):
        for element in elements:
            output = blake3(b"timecoin/lthash-element\x00" + element).digest(length=2048)
            for position, value in enumerate(LANES.unpack(output)):
                lanes[position] = (lanes[position] + sign * value) % 2**16
    return LANES.pack(*lanes)


class LtHashTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=30)
    @given(added=element_lists, removed=element_lists)
    def test_the_definition(self, added: list[bytes], removed: list[bytes]) -> None:
        together = LtHash().add_many(added).subtract_many(removed)
        self.assertEqual(together.to_bytes(), naive_state(added, removed))
        single = LtHash()
        for element in added:
            single = single.add(element)
        for element in removed:
            single = single.subtract(element)
        self.assertEqual(single, together)
        root = blake3(b"timecoin/lthash-root\x00" + naive_state(added, removed)).digest()
        self.assertEqual(together.digest(), root)

    def test_fixed_vector(self) -> None:
        """Pins the tags and the lane layout: a change of either changes every utxo_root."""
        elements = [number.to_bytes(2, "big") for number in range(300)]
        state = LtHash().add_many(elements).subtract_many(elements[100:150])
        expected = naive_state(elements, elements[100:150])
        self.assertEqual(state.to_bytes(), expected)
        self.assertEqual(state.digest().hex(), FIXED_DIGEST)
        self.assertEqual(LtHash().digest().hex(), EMPTY_DIGEST)

    @settings(deadline=None, max_examples=30)
    @given(elements=element_lists, data=st.data())
    def test_order_does_not_matter(self, elements: list[bytes], data: st.DataObject) -> None:
        shuffled = data.draw(st.permutations(elements))
        self.assertEqual(LtHash().add_many(elements), LtHash().add_many(shuffled))

    @settings(deadline=None, max_examples=30)
    @given(base=element_lists, elements=element_lists)
    def test_subtracting_undoes_adding(self, base: list[bytes], elements: list[bytes]) -> None:
        start = LtHash().add_many(base)
        self.assertEqual(start.add_many(elements).subtract_many(elements), start)
        self.assertEqual(start.subtract_many(elements).add_many(elements), start)
        for element in elements:
            self.assertEqual(start.add(element).subtract(element), start)

    def test_multiplicity_counts(self) -> None:
        self.assertNotEqual(LtHash().add(b"a"), LtHash().add_many([b"a", b"a"]))
        self.assertNotEqual(LtHash().add(b"a"), LtHash().add(b"b"))
        self.assertEqual(LtHash().add_many([b"a"] * 2**16), LtHash())

    def test_full_lanes_do_not_run_over(self) -> None:
        """The largest sums that a chunk can hold, and one more chunk."""
        self.patch(lthash, "blake3_xof", lambda data, length: b"\xff" * length)
        count = lthash._CHUNK + 5
        lanes = LANES.pack(*[count * 0xFFFF % 2**16] * 1024)
        self.assertEqual(LtHash().add_many([b""] * count).to_bytes(), lanes)
        negative = LANES.pack(*[-count * 0xFFFF % 2**16] * 1024)
        self.assertEqual(LtHash().subtract_many([b""] * count).to_bytes(), negative)

    @settings(deadline=None, max_examples=20)
    @given(elements=element_lists)
    def test_small_chunks_give_the_same_sum(self, elements: list[bytes]) -> None:
        expected = naive_state(elements)
        with mock.patch.object(lthash, "_CHUNK", 3):
            self.assertEqual(LtHash().add_many(iter(elements)).to_bytes(), expected)

    @settings(deadline=None, max_examples=20)
    @given(elements=element_lists)
    def test_bytes_round_trip(self, elements: list[bytes]) -> None:
        state = LtHash().subtract_many(elements)
        self.assertEqual(len(state.to_bytes()), STATE_BYTES)
        self.assertEqual(LtHash.from_bytes(state.to_bytes()), state)

    @settings(deadline=None, max_examples=20)
    @given(data=st.binary(max_size=3000).filter(lambda data: len(data) != STATE_BYTES))
    def test_other_lengths_are_refused(self, data: bytes) -> None:
        self.assertRaises(ValueError, LtHash.from_bytes, data)

    def test_adding_leaves_the_original_alone(self) -> None:
        start = LtHash().add(b"a")
        before = start.to_bytes()
        start.add(b"b")
        start.subtract_many([b"c"])
        self.assertEqual(start.to_bytes(), before)
