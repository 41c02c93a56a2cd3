"""Canonical bytes: one encoding for each value, and nothing else is accepted."""

from __future__ import annotations

import functools

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import (
    U8,
    U32,
    U64,
    Bytes12,
    Bytes20,
    Bytes32,
    Bytes64,
    Bytes80,
    CodecError,
    Wire,
    decode,
    encode,
)


class Inner(Wire, frozen=True):
    name: bytes
    flag: bool


class Outer(Wire, frozen=True):
    small: U8
    medium: U32
    large: U64
    key: Bytes32
    items: tuple[Inner, ...]

    @functools.cached_property
    def doubled(self) -> int:
        return 2 * self.large


inners = st.builds(Inner, st.binary(max_size=300), st.booleans())
outers = st.builds(
    Outer,
    st.integers(0, 2**8 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(inners, max_size=20).map(tuple),
)
SAMPLE = Outer(1, 2, 3, bytes(32), (Inner(b"x", True),))


def raw(*fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


class RoundTripTests(SynchronousTestCase):
    @given(outers)
    def test_decode_gives_back_what_was_encoded(self, value: Outer) -> None:
        self.assertEqual(decode(encode(value), Outer, 100_000), value)

    def test_structures_are_arrays_in_shortest_form(self) -> None:
        self.assertEqual(encode(Inner(b"ab", False)), bytes.fromhex("92 c402 6162 c2"))

    def test_cached_values_are_neither_encoded_nor_compared(self) -> None:
        value = Outer(1, 2, 3, bytes(32), ())
        before = encode(value)
        self.assertEqual(value.doubled, 6)
        self.assertEqual(encode(value), before)
        self.assertEqual(value, Outer(1, 2, 3, bytes(32), ()))

    def test_values_cannot_be_changed(self) -> None:
        with self.assertRaises(AttributeError):
            SAMPLE.small = 2  # type: ignore[misc]


class BoundTests(SynchronousTestCase):
    def refuse(self, data: bytes, words: str, max_bytes: int = 1000) -> None:
        error = self.assertRaises(CodecError, decode, data, Outer, max_bytes)
        self.assertIn(words, str(error))

    def test_numbers_up_to_64_bits(self) -> None:
        for large in (0, 2**63 - 1, 2**63, 2**64 - 1):
            value = Outer(255, 2**32 - 1, large, bytes(32), ())
            self.assertEqual(decode(encode(value), Outer, 1000), value)
        with self.assertRaises(OverflowError):
            encode(Outer(0, 0, 2**64, bytes(32), ()))

    def test_numbers_out_of_range(self) -> None:
        self.refuse(raw(256, 0, 0, bytes(32), ()), "$[0]")
        self.refuse(raw(0, 2**32, 0, bytes(32), ()), "$[1]")
        for index in range(3):
            fields = [0, 0, 0, bytes(32), ()]
            fields[index] = -1
            self.refuse(raw(*fields), f"$[{index}]")

    def test_byte_strings_of_the_wrong_length(self) -> None:
        self.refuse(raw(0, 0, 0, bytes(31), ()), "$[3]")
        self.refuse(raw(0, 0, 0, bytes(33), ()), "$[3]")

    def test_every_fixed_length(self) -> None:
        for kind, size in (
            (Bytes12, 12),
            (Bytes20, 20),
            (Bytes32, 32),
            (Bytes64, 64),
            (Bytes80, 80),
        ):
            text = encode(bytes(size))
            self.assertEqual(decode(text, kind, 100), bytes(size))
            for other in (size - 1, size + 1):
                self.assertRaises(CodecError, decode, encode(bytes(other)), kind, 100)

    def test_wrong_types(self) -> None:
        self.refuse(raw(1.0, 0, 0, bytes(32), ()), "$[0]")
        self.refuse(raw(True, 0, 0, bytes(32), ()), "$[0]")
        self.refuse(raw(0, 0, 0, "0" * 32, ()), "Outer")
        self.refuse(raw(0, 0, 0, None, ()), "$[3]")
        self.refuse(msgspec.msgpack.encode({"small": 1}), "Outer")

    def test_fields_missing_or_too_many(self) -> None:
        self.refuse(raw(0, 0, 0, bytes(32)), "length")
        self.refuse(raw(0, 0, 0, bytes(32), (), 0), "length")

    def test_empty_truncated_and_trailing_bytes(self) -> None:
        data = encode(SAMPLE)
        for end in range(len(data)):
            self.refuse(data[:end], "Outer")
        self.refuse(data + b"\x00", "Outer")

    def test_size_is_bounded_before_decoding(self) -> None:
        data = encode(SAMPLE)
        self.assertEqual(decode(data, Outer, len(data)), SAMPLE)
        self.refuse(data, "exceed", len(data) - 1)

    def test_deep_nesting(self) -> None:
        error = self.assertRaises(CodecError, decode, b"\x91" * 100_000, object, 200_000)
        self.assertIn("object", str(error))

    def test_a_length_that_the_data_does_not_have(self) -> None:
        self.refuse(bytes.fromhex("95 00 00 00 c6ffffffff"), "Outer")
        self.refuse(
            bytes.fromhex("95 00 00 00") + b"\xc4\x20" + bytes(32) + b"\xdd\xff\xff\xff\xff",
            "Outer",
        )


class ShortestFormTests(SynchronousTestCase):
    """Each variant decodes to SAMPLE in other libraries and in msgspec alone."""

    def test_longer_forms_are_refused(self) -> None:
        tail = b"\xc4\x20" + bytes(32) + b"\x91\x92\xc4\x01x\xc3"
        self.assertEqual(encode(SAMPLE), b"\x95\x01\x02\x03" + tail)
        for variant in (
            b"\x95\xcc\x01\x02\x03" + tail,
            b"\x95\x01\xcd\x00\x02\x03" + tail,
            b"\x95\x01\x02\xcf" + bytes(7) + b"\x03" + tail,
            b"\x95\xd0\x01\x02\x03" + tail,
            b"\xdc\x00\x05\x01\x02\x03" + tail,
            b"\x95\x01\x02\x03\xc5\x00\x20" + tail[2:],
            b"\x95\x01\x02\x03" + tail[:34] + b"\xdc\x00\x01" + tail[35:],
        ):
            self.assertEqual(msgspec.msgpack.decode(variant, type=Outer), SAMPLE)
            error = self.assertRaises(CodecError, decode, variant, Outer, 1000)
            self.assertIn("shortest", str(error))

    @given(st.binary(max_size=200))
    def test_random_bytes(self, data: bytes) -> None:
        try:
            value = decode(data, Outer, 1000)
        except CodecError:
            return
        self.assertEqual(encode(value), data)

    @given(outers, st.data())
    def test_mutated_bytes(self, value: Outer, data: st.DataObject) -> None:
        mutated = bytearray(encode(value))
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place] ^= data.draw(st.integers(1, 255))
        try:
            other = decode(bytes(mutated), Outer, 100_000)
        except CodecError:
            return
        self.assertNotEqual(other, value)
        self.assertEqual(encode(other), mutated)
