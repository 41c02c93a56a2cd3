from __future__ import annotations

import importlib
import pkgutil
import typing
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import timecoin
from tests.fuzz.corpus import seeds
from tests.fuzz.slowcodec import NotCanonical, slow_decode
from tests.fuzz.targets import TARGETS, TYPES
from timecoin.codec import CodecError, Wire, decode

SEEDS = seeds()
TARGET_NAMES = sorted(TARGETS)
READ_OTHERWISE = {"timecoin.ledger.genesis", "timecoin.node.recording.items"}
"""The genesis is hashed as consensus bytes and read from a text; recordings are files ("files")."""
INSERTS = (b"", b"\x00", b"\xff" * 4, b"\xc4\x00", b"\xcc\x01", b"\xdc\x00\x01", b"\x90", b"\xc0")


def mutated(data: bytes, rng: Random) -> bytes:
    """``data`` with a few bytes cut, changed, doubled or put in."""
    found = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + rng.randrange(1, 9))
        match rng.randrange(4):
            case 0:
                del found[at:end]
            case 1 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case 2:
                found[at:at] = found[at:end]
            case _:
                found[at:at] = rng.choice(INSERTS)
    return bytes(found)


class TargetTest(SynchronousTestCase):
    def test_every_target_has_seeds_that_it_takes(self) -> None:
        self.assertEqual(sorted(SEEDS), TARGET_NAMES)
        for name, inputs in SEEDS.items():
            self.assertTrue(inputs, name)
            for data in inputs:
                TARGETS[name](data)

    @given(st.sampled_from(TARGET_NAMES), st.binary(max_size=300))
    def test_any_bytes(self, name: str, data: bytes) -> None:
        TARGETS[name](data)

    @given(st.sampled_from(TARGET_NAMES), st.randoms(use_true_random=False))
    def test_nearly_valid_bytes(self, name: str, rng: Random) -> None:
        for _ in range(20):
            TARGETS[name](mutated(rng.choice(SEEDS[name]), rng))


class EveryTypeTest(SynchronousTestCase):
    """No type of consensus bytes is left out."""

    def test_every_declared_type_is_fed(self) -> None:
        for found in pkgutil.walk_packages(timecoin.__path__, "timecoin."):
            importlib.import_module(found.name)
        fed: set[object] = set()
        for kind in TYPES:
            self.collect(kind, fed)
        declared = {kind for kind in self.below(Wire) if kind.__module__ not in READ_OTHERWISE}
        self.assertEqual({kind for kind in declared if kind not in fed}, set())

    def collect(self, kind: object, fed: set[object]) -> None:
        """``kind`` and all types within it."""
        if kind in fed:
            return
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            fed.add(kind)
            for hint in typing.get_type_hints(kind, include_extras=True).values():
                self.collect(hint, fed)
        for inner in typing.get_args(kind):
            self.collect(inner, fed)

    def below(self, kind: type) -> Iterator[type]:
        """All subclasses of ``kind`` in the package."""
        subclasses: list[type] = kind.__subclasses__()
        for found in subclasses:
            if found.__module__.startswith("timecoin."):
                yield found
            yield from self.below(found)


class SlowDecoderTest(SynchronousTestCase):
    """The second opinion is one: it knows every type, and refuses by itself."""

    def test_it_knows_every_declared_type(self) -> None:
        for kind in TYPES:
            with self.assertRaises((NotCanonical, CodecError)):
                slow_decode(b"\x91\x91\x91\xc0", kind)

    def test_it_takes_what_was_sent(self) -> None:
        taken = {data[0] for data in SEEDS["wire"] if slow_decode(data[1:], TYPES[data[0]])}
        self.assertGreater(len(taken), 10)

    def test_both_refuse_a_longer_head(self) -> None:
        kind: Any = tuple[int, bytes]
        for data in (b"\x92\xcc\x05\xc4\x00", b"\x92\x05\xc5\x00\x00", b"\xdc\x00\x02\x05\xc4\x00"):
            self.assertEqual(msgspec.msgpack.decode(data, type=kind), (5, b""))
            with self.assertRaises(NotCanonical):
                slow_decode(data, kind)
            with self.assertRaises(CodecError):
                decode(data, kind, 100)
