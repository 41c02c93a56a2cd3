"""Decoders of sync messages: what is not the one encoding of a value is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Contents, Net
from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.sync.messages import MAX_BLOCKS, Blocks, GetBlocks, TipAnnounce
from timecoin.sync.serve import page_of

NET = Net()
CHAIN = NET.chain()
NET.grow(CHAIN, Contents(), NET.archive(NET.pay([NET.coins(CHAIN, 0)[0]], 1)))
SAMPLES: list[Wire] = [
    TipAnnounce(2, CHAIN.tip_hash),
    TipAnnounce(2**64 - 1, bytes(32)),
    GetBlocks(1, 1, 2),
    GetBlocks(2**64 - 1, 2**64 - 1, MAX_BLOCKS),
    Blocks(1, ()),
    page_of(CHAIN, GetBlocks(3, 1, 2)),
]
MAX_BYTES = 100_000


class MessageTests(SynchronousTestCase):
    """Round trips and damage."""

    def test_round_trip(self) -> None:
        for sample in SAMPLES:
            self.assertEqual(decode(encode(sample), type(sample), MAX_BYTES), sample)

    def test_bounds(self) -> None:
        item = page_of(CHAIN, GetBlocks(3, 1, 1)).items[0]
        for bad in (
            GetBlocks(1, 1, 0),
            GetBlocks(1, 1, MAX_BLOCKS + 1),
            GetBlocks(1, -1, 1),
            TipAnnounce(-1, bytes(32)),
            TipAnnounce(1, bytes(31)),
            Blocks(1, (item,) * (MAX_BLOCKS + 1)),
        ):
            with self.assertRaises(CodecError):
                decode(encode(bad), type(bad), 10 * MAX_BYTES)

    @given(st.sampled_from([TipAnnounce, GetBlocks, Blocks]), st.binary(max_size=200))
    def test_random_bytes(self, kind: type[Wire], data: bytes) -> None:
        try:
            value = decode(data, kind, MAX_BYTES)
        except CodecError:
            return
        self.assertEqual(encode(value), data)

    @given(st.sampled_from(SAMPLES), st.data())
    def test_mutated_bytes(self, sample: Wire, data: st.DataObject) -> None:
        good = bytearray(encode(sample))
        for _ in range(data.draw(st.integers(1, 3))):
            position = data.draw(st.integers(0, len(good) - 1))
            action = data.draw(st.sampled_from(["change", "insert", "drop", "cut"]))
            if action == "change":
                good[position] = data.draw(st.integers(0, 255))
            elif action == "insert":
                good.insert(position, data.draw(st.integers(0, 255)))
            elif action == "drop" and len(good) > 1:
                del good[position]
            else:
                del good[max(1, position) :]
        try:
            value = decode(bytes(good), type(sample), MAX_BYTES)
        except CodecError:
            return
        self.assertEqual(encode(value), bytes(good))

    def test_size_first(self) -> None:
        with self.assertRaises(CodecError):
            decode(encode(SAMPLES[-1]), Blocks, 100)
