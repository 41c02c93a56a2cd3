"""ECVRF: RFC 9381 vectors, mutations, and the strict rules of PROTOCOL 2."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.crypto import edwards
from tests.vectors.loader import load_vectors
from timecoin.crypto import vrf

SEED = bytes(range(32))


def _flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Rfc9381Tests(SynchronousTestCase):
    def setUp(self) -> None:
        self.vectors = [
            {name: bytes.fromhex(vector[name]) for name in ("sk", "pk", "alpha", "h", "pi", "beta")}
            for vector in load_vectors("rfc9381_tai")["vectors"]
        ]
        self.assertEqual(len(self.vectors), 3)

    def test_vectors(self) -> None:
        for vector in self.vectors:
            self.assertEqual(vrf.vrf_public(vector["sk"]), vector["pk"])
            self.assertEqual(vrf.prove(vector["sk"], vector["alpha"]), vector["pi"])
            self.assertEqual(vrf.proof_to_hash(vector["pi"]), vector["beta"])
            self.assertEqual(
                vrf.verify(vector["pk"], vector["alpha"], vector["pi"]), vector["beta"]
            )

    def test_the_oracle_of_these_tests_agrees(self) -> None:
        for vector in self.vectors:
            point = edwards.encode_to_curve(vector["pk"], vector["alpha"])
            self.assertEqual(edwards.encode(point), vector["h"])
            self.assertEqual(
                edwards.vrf_verify(vector["pk"], vector["alpha"], vector["pi"]), vector["beta"]
            )

    def test_every_changed_bit_of_a_proof_is_refused(self) -> None:
        for vector in self.vectors:
            for bit in range(vrf.PROOF_BYTES * 8):
                changed = _flip(vector["pi"], bit)
                self.assertIsNone(vrf.verify(vector["pk"], vector["alpha"], changed), f"bit {bit}")

    def test_every_changed_bit_of_a_key_is_refused(self) -> None:
        for vector in self.vectors:
            for bit in range(256):
                changed = _flip(vector["pk"], bit)
                self.assertIsNone(vrf.verify(changed, vector["alpha"], vector["pi"]))

    def test_another_alpha_is_refused(self) -> None:
        for vector in self.vectors:
            self.assertIsNone(vrf.verify(vector["pk"], vector["alpha"] + b"\x00", vector["pi"]))


class PropertyTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=25)
    @given(seed=st.binary(min_size=32, max_size=32), alpha=st.binary(max_size=100))
    def test_a_proof_verifies(self, seed: bytes, alpha: bytes) -> None:
        proof = vrf.prove(seed, alpha)
        self.assertEqual(len(proof), vrf.PROOF_BYTES)
        output = vrf.verify(vrf.vrf_public(seed), alpha, proof)
        self.assertEqual(output, vrf.proof_to_hash(proof))
        self.assertEqual(len(output or b""), vrf.OUTPUT_BYTES)

    @settings(deadline=None, max_examples=100)
    @given(pubkey=st.binary(max_size=40), alpha=st.binary(max_size=40), proof=st.binary())
    def test_verify_never_raises(self, pubkey: bytes, alpha: bytes, proof: bytes) -> None:
        self.assertIsNone(vrf.verify(pubkey, alpha, proof))

    @settings(deadline=None, max_examples=100)
    @given(gamma=st.binary(min_size=32, max_size=32), rest=st.binary(min_size=48, max_size=48))
    def test_random_proofs_are_refused(self, gamma: bytes, rest: bytes) -> None:
        self.assertIsNone(vrf.verify(vrf.vrf_public(SEED), b"", gamma + rest))
        self.assertIsNone(vrf.verify(gamma, b"", vrf.prove(SEED, b"")[:32] + rest))


class StrictnessTests(SynchronousTestCase):
    def _grind(
        self, public: bytes, point: edwards.Point, gamma: edwards.Point, scalar: int
    ) -> bytes:
        """A proof with Gamma as given, by a nonce whose challenge eight divides."""
        for nonce in range(1, 200):
            challenge = edwards.vrf_challenge(
                public,
                edwards.encode(point),
                edwards.encode(gamma),
                edwards.encode(edwards.multiply(nonce, edwards.BASE)),
                edwards.encode(edwards.multiply(nonce, point)),
            )
            number = int.from_bytes(challenge, "little")
            if number % 8 == 0:
                response = (nonce + number * scalar) % edwards.ORDER
                return edwards.encode(gamma) + challenge + response.to_bytes(32, "little")
        raise AssertionError("no nonce found")

    def test_torsion_in_gamma_is_refused(self) -> None:
        """The RFC takes this second proof of the same output; PROTOCOL 2 does not."""
        public, alpha = vrf.vrf_public(SEED), b"alpha"
        scalar = edwards.secret_scalar(SEED)
        point = edwards.encode_to_curve(public, alpha)
        gamma = edwards.multiply(scalar, point)
        output = vrf.verify(public, alpha, vrf.prove(SEED, alpha))
        for torsion in edwards.SMALL_ORDER:
            proof = self._grind(public, point, edwards.add(gamma, torsion), scalar)
            self.assertEqual(edwards.vrf_verify(public, alpha, proof), output)
            if torsion == edwards.IDENTITY:
                self.assertEqual(vrf.verify(public, alpha, proof), output)
            else:
                self.assertIsNone(vrf.verify(public, alpha, proof))
                self.assertRaises(ValueError, vrf.proof_to_hash, proof)

    def test_torsion_in_the_key_is_refused(self) -> None:
        scalar = edwards.secret_scalar(SEED)
        for torsion in edwards.SMALL_ORDER[1:]:
            public = edwards.encode(edwards.add(edwards.multiply(scalar, edwards.BASE), torsion))
            point = edwards.encode_to_curve(public, b"alpha")
            proof = self._grind(public, point, edwards.multiply(scalar, point), scalar)
            self.assertIsNotNone(edwards.vrf_verify(public, b"alpha", proof))
            self.assertIsNone(vrf.verify(public, b"alpha", proof))

    def test_a_response_beyond_the_order_is_refused(self) -> None:
        proof = vrf.prove(SEED, b"alpha")
        response = int.from_bytes(proof[48:], "little")
        for multiple in range(1, 2**256 // edwards.ORDER):
            larger = (response + multiple * edwards.ORDER).to_bytes(32, "little")
            self.assertIsNone(vrf.verify(vrf.vrf_public(SEED), b"alpha", proof[:48] + larger))

    def test_non_canonical_points_are_refused(self) -> None:
        """Points with y < 19 have a second encoding y + p, points with x = 0 a second sign."""
        found = 0
        for y in range(19):
            for sign in (0, 1):
                second = (y + edwards.P | sign << 255).to_bytes(32, "little")
                if edwards.decode(second) is not None:
                    found += 1
                    self.assertIsNone(vrf._decode_point(second))
                    self.assertRaises(ValueError, vrf.proof_to_hash, second + bytes(48))
        self.assertGreater(found, 10)
        minus_zero = (1 | 1 << 255).to_bytes(32, "little")
        self.assertEqual(edwards.decode(minus_zero), edwards.IDENTITY)
        self.assertIsNone(vrf._decode_point(minus_zero))

    def test_any_canonical_point_is_decoded(self) -> None:
        for torsion in edwards.SMALL_ORDER:
            encoded = edwards.encode(edwards.add(edwards.BASE, torsion))
            self.assertEqual(vrf._decode_point(encoded), encoded)
        self.assertIsNone(vrf._decode_point((2).to_bytes(32, "little")))

    def test_small_order_points_are_refused(self) -> None:
        for point in edwards.SMALL_ORDER:
            encoded = edwards.encode(point)
            self.assertRaises(ValueError, vrf.proof_to_hash, encoded + bytes(48))
            self.assertIsNone(vrf.verify(encoded, b"alpha", vrf.prove(SEED, b"alpha")))

    def test_zero_challenge_and_response_are_refused(self) -> None:
        public, proof = vrf.vrf_public(SEED), vrf.prove(SEED, b"alpha")
        self.assertIsNone(vrf.verify(public, b"alpha", proof[:32] + bytes(16) + proof[48:]))
        self.assertIsNone(vrf.verify(public, b"alpha", proof[:48] + bytes(32)))

    def test_lengths(self) -> None:
        public, proof = vrf.vrf_public(SEED), vrf.prove(SEED, b"alpha")
        self.assertIsNone(vrf.verify(public, b"alpha", proof + b"\x00"))
        self.assertIsNone(vrf.verify(public, b"alpha", proof[:-1]))
        self.assertIsNone(vrf.verify(public[:-1], b"alpha", proof))
        self.assertRaises(ValueError, vrf.proof_to_hash, proof[:-1])
        self.assertRaises(ValueError, vrf.prove, SEED[:-1], b"alpha")
        self.assertRaises(ValueError, vrf.vrf_public, SEED + b"\x00")
