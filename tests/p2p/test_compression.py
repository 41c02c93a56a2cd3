"""zstd payloads: bounded before they are unpacked (F22)."""

from __future__ import annotations

import tracemalloc

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.p2p.compression import MIN_BYTES, CompressionError, compress, decompress
from timecoin.p2p.framing import FLAG_ZSTD, Frame, FrameBuffer, FrameError, encode_frame

BOUND = 100_000


class CodecTests(SynchronousTestCase):
    """There and back."""

    @given(st.integers(MIN_BYTES, BOUND), st.binary(min_size=1, max_size=64))
    def test_round_trip(self, size: int, pattern: bytes) -> None:
        payload = (pattern * (size // len(pattern) + 1))[:size]
        packed = compress(payload)
        if packed is not None:
            self.assertLess(len(packed), len(payload))
            self.assertEqual(decompress(packed, BOUND), payload)

    def test_only_what_is_worth_it(self) -> None:
        self.assertIsNone(compress(bytes(MIN_BYTES - 1)))
        self.assertIsNone(compress(zstandard.ZstdCompressor().compress(bytes(10**7)) + b"x" * 9))
        self.assertIsNotNone(compress(bytes(MIN_BYTES)))

    def test_one_byte_above_the_bound(self) -> None:
        packed = compress(bytes(BOUND + 1))
        assert packed is not None
        self.assertRaises(CompressionError, decompress, packed, BOUND)
        self.assertEqual(len(decompress(packed, BOUND + 1)), BOUND + 1)

    def test_bomb(self) -> None:
        """F22: a gigabyte in 30 kB is refused and nothing is allocated for it."""
        packer = zstandard.ZstdCompressor(level=1).compressobj(size=2**30)
        pieces = [packer.compress(bytes(2**20)) for _ in range(2**10)]
        bomb = b"".join([*pieces, packer.flush()])
        self.assertLess(len(bomb), 200_000)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertRaises(CompressionError, decompress, bomb, 10_000_000)
        self.assertLess(tracemalloc.get_traced_memory()[1], 1_000_000)

    def test_size_that_is_not_named(self) -> None:
        packed = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(5_000))
        self.assertRaises(CompressionError, decompress, packed, BOUND)

    def test_size_that_is_a_lie(self) -> None:
        """More comes out than the frame names, or less."""
        packed = bytearray(zstandard.ZstdCompressor().compress(bytes(5_000)))
        at = bytes(packed).index((5_000 - 256).to_bytes(2, "little"))
        for named in (4_000, 6_000):
            packed[at : at + 2] = (named - 256).to_bytes(2, "little")
            self.assertRaises(CompressionError, decompress, bytes(packed), BOUND)

    def test_trailing_bytes(self) -> None:
        packed = zstandard.ZstdCompressor().compress(bytes(5_000))
        self.assertRaises(CompressionError, decompress, packed + b"x", BOUND)
        self.assertRaises(CompressionError, decompress, packed + packed, BOUND)

    @settings(max_examples=300)
    @given(st.binary(max_size=200), st.booleans())
    def test_any_bytes(self, data: bytes, with_magic: bool) -> None:
        """Bytes or CompressionError, never more than the bound."""
        try:
            found = decompress((b"\x28\xb5\x2f\xfd" if with_magic else b"") + data, BOUND)
        except CompressionError:
            return
        self.assertLessEqual(len(found), BOUND)


class FrameTests(SynchronousTestCase):
    """The flag."""

    def read(self, data: bytes) -> Frame | None:
        """By a peer that takes kind 66 compressed."""
        buffer = FrameBuffer({66: BOUND})
        buffer.allow_large()
        buffer.append(data)
        return buffer.next()

    def test_large_page(self) -> None:
        page = bytes(range(256)) * 300
        frame = encode_frame(66, page, compressed=True)
        self.assertEqual(frame[5], FLAG_ZSTD)
        self.assertLess(len(frame), 2_000)
        self.assertEqual(self.read(frame), Frame(66, page))

    def test_small_ones_go_as_they_are(self) -> None:
        self.assertEqual(encode_frame(66, b"abc", compressed=True), encode_frame(66, b"abc"))

    def test_other_kinds_may_not(self) -> None:
        """A short message that unpacks to a long one would be cheap to send and dear to read."""
        frame = encode_frame(50, bytes(20_000), compressed=True)
        error = self.assertRaises(FrameError, self.read, frame)
        self.assertIn("may not be compressed", str(error))

    def test_bomb_in_a_frame(self) -> None:
        frame = encode_frame(66, bytes(BOUND + 1), compressed=True)
        self.assertRaises(FrameError, self.read, frame)
