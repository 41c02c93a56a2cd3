"""Decoders of sync messages: what is not the one encoding of a value is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Contents, Net
from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.sync.messages import (
    MAX_BLOCKS,
    MAX_HEADERS,
    Bodies,
    GetBodies,
    GetHeaders,
    Headers,
    TipAnnounce,
)
from timecoin.sync.serve import bodies_page, headers_page

NET = Net()
CHAIN = NET.chain()
NET.grow(CHAIN, Contents(), NET.archive(NET.pay([NET.coins(CHAIN, 0)[0]], 1)))
SAMPLES: list[Wire] = [
    TipAnnounce(2, CHAIN.tip_hash, 1),
    TipAnnounce(2**64 - 1, bytes(32), 2**64 - 1),
    GetHeaders(1, 1, 2),
    GetHeaders(2**64 - 1, 2**64 - 1, MAX_HEADERS),
    Headers(1, ()),
    headers_page(CHAIN, GetHeaders(3, 1, 2)),
    GetBodies(2**64 - 1, 2**64 - 1, MAX_BLOCKS, False),
    Bodies(1, ()),
    bodies_page(CHAIN, GetBodies(3, 1, 2, True)),
]
KINDS: list[type[Wire]] = [TipAnnounce, GetHeaders, Headers, GetBodies, Bodies]
MAX_BYTES = 100_000


class MessageTests(SynchronousTestCase):
    """Round trips and damage."""

    def test_round_trip(self) -> None:
        for sample in SAMPLES:
            self.assertEqual(decode(encode(sample), type(sample), MAX_BYTES), sample)

    def test_bounds(self) -> None:
        header = headers_page(CHAIN, GetHeaders(3, 1, 1)).items[0]
        body = bodies_page(CHAIN, GetBodies(3, 1, 1, True)).items[0]
        for bad in (
            GetHeaders(1, 1, 0),
            GetHeaders(1, 1, MAX_HEADERS + 1),
            GetHeaders(1, -1, 1),
            GetBodies(1, 1, 0, True),
            GetBodies(1, 1, MAX_BLOCKS + 1, True),
            TipAnnounce(-1, bytes(32), 1),
            TipAnnounce(1, bytes(31), 1),
            TipAnnounce(1, bytes(32), -1),
            Headers(1, (header,) * (MAX_HEADERS + 1)),
            Bodies(1, (body,) * (MAX_BLOCKS + 1)),
        ):
            with self.assertRaises(CodecError):
                decode(encode(bad), type(bad), 10 * MAX_BYTES)

    @given(
        st.sampled_from(KINDS),
        st.binary(max_size=200),
    )
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
            decode(encode(SAMPLES[-1]), Bodies, 100)
