"""timecoin.crypto.hashing against published values."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors.loader import load_vectors
from timecoin.crypto.hashing import blake3_256, blake3_xof, hash160, tagged


class HashingTests(SynchronousTestCase):
    def test_blake3_vectors(self) -> None:
        vectors = load_vectors("blake3")["vectors"]
        self.assertEqual(len(vectors), 35)
        for vector in vectors:
            data = bytes(position % 251 for position in range(vector["input_len"]))
            self.assertEqual(blake3_256(data).hex(), vector["hash"])

    @settings(deadline=None, max_examples=50)
    @given(data=st.binary(max_size=300), length=st.integers(0, 3000))
    def test_xof_extends_the_hash(self, data: bytes, length: int) -> None:
        output = blake3_xof(data, length)
        self.assertEqual(len(output), length)
        self.assertEqual(output[:32], blake3_256(data)[:length])
        self.assertEqual(blake3_xof(data, 3000)[:length], output)

    @settings(deadline=None, max_examples=50)
    @given(tag=st.binary(max_size=20), parts=st.lists(st.binary(max_size=40), max_size=4))
    def test_tagged_hashes_tag_then_parts(self, tag: bytes, parts: list[bytes]) -> None:
        self.assertEqual(tagged(tag, *parts), blake3_256(tag + b"".join(parts)))

    def test_hash160_of_the_key_in_bip_173(self) -> None:
        pubkey = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
        self.assertEqual(hash160(pubkey).hex(), "751e76e8199196d454941c45d1b3a323f1433bd6")
