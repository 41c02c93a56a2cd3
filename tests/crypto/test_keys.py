"""Ed25519: RFC 8032 vectors, libsodium's strictness, the cache of good signatures."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.crypto import edwards
from tests.vectors.loader import load_vectors
from timecoin.crypto import keys
from timecoin.crypto.keys import SigningKey, VerifiedCache, verify, verify_many

SEED = bytes(range(32))
SALT = bytes(range(32, 64))


class Rfc8032Tests(SynchronousTestCase):
    def test_vectors(self) -> None:
        vectors = load_vectors("rfc8032")["vectors"]
        names = [vector["name"] for vector in vectors]
        for test in ("TEST 1", "TEST 2", "TEST 3", "TEST 1024", "TEST SHA(abc)"):
            self.assertIn(f"RFC 8032 {test}", names)
        for vector in vectors:
            key = SigningKey(bytes.fromhex(vector["seed"]))
            message = bytes.fromhex(vector["message"])
            signature = bytes.fromhex(vector["signature"])
            self.assertEqual(key.public.hex(), vector["public"], vector["name"])
            self.assertEqual(key.sign(message), signature, vector["name"])
            self.assertTrue(verify(key.public, message, signature), vector["name"])

    def test_every_changed_bit_is_refused(self) -> None:
        key = SigningKey(SEED)
        signature = key.sign(b"message")
        for bit in range(len(signature) * 8):
            changed = _flip(signature, bit)
            self.assertFalse(verify(key.public, b"message", changed), f"bit {bit}")
        for bit in range(len(key.public) * 8):
            self.assertFalse(verify(_flip(key.public, bit), b"message", signature), f"bit {bit}")
        self.assertFalse(verify(key.public, b"massage", signature))

    @settings(deadline=None, max_examples=100)
    @given(pubkey=st.binary(max_size=70), message=st.binary(), signature=st.binary(max_size=70))
    def test_verify_never_raises(self, pubkey: bytes, message: bytes, signature: bytes) -> None:
        self.assertFalse(verify(pubkey, message, signature))

    @settings(deadline=None, max_examples=100)
    @given(
        pubkey=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64)
    )
    def test_random_signatures_are_refused(self, pubkey: bytes, signature: bytes) -> None:
        self.assertFalse(verify(pubkey, b"", signature))

    def test_wrong_lengths_are_refused(self) -> None:
        key = SigningKey(SEED)
        signature = key.sign(b"xy")
        self.assertFalse(verify(key.public, b"y", signature + b"x"))
        self.assertFalse(verify(key.public, signature[63:] + b"xy", signature[:63]))
        self.assertFalse(verify(key.public + b"\x00", b"xy", signature))
        self.assertFalse(verify(key.public[:31], b"xy", signature))

    def test_verify_many_answers_in_order(self) -> None:
        key = SigningKey(SEED)
        good = [(key.public, bytes([number]), key.sign(bytes([number]))) for number in range(4)]
        bad = (key.public, b"other", good[0][2])
        items = [good[0], bad, good[1], good[2], bad, good[3]]
        self.assertEqual(verify_many(items), [True, False, True, True, False, True])
        self.assertEqual(verify_many([]), [])


class SigningKeyTests(SynchronousTestCase):
    def test_seed_length(self) -> None:
        for length in (0, 31, 33, 64):
            self.assertRaises(ValueError, SigningKey, bytes(length))

    def test_generate_uses_all_entropy(self) -> None:
        entropy = bytes(48)
        key = SigningKey.generate(entropy)
        self.assertEqual(SigningKey.generate(entropy).seed, key.seed)
        self.assertEqual(SigningKey(key.seed).public, key.public)
        for bit in (0, 200, 383):
            self.assertNotEqual(SigningKey.generate(_flip(entropy, bit)).seed, key.seed)
        self.assertRaises(ValueError, SigningKey.generate, bytes(31))

    def test_the_secret_is_not_shown(self) -> None:
        self.assertNotIn(repr(SEED)[2:-1], repr(SigningKey(SEED)))
        self.assertNotIn(SEED.hex(), repr(SigningKey(SEED)))


class StrictnessTests(SynchronousTestCase):
    """What libsodium decides where the RFC leaves room: any change here is a fork.

    The cases are those of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020),
    built afresh. In each, the bare equation of the RFC holds.
    """

    def test_small_order_keys_are_refused(self) -> None:
        for key in edwards.SMALL_ORDER:
            for pubkey in _encodings(key):
                message, signature = self._for_small_order_key(key, pubkey)
                self.assertTrue(edwards.verify_signature(pubkey, message, signature, cofactor=1))
                self.assertFalse(verify(pubkey, message, signature), pubkey.hex())

    def _for_small_order_key(self, key: edwards.Point, pubkey: bytes) -> tuple[bytes, bytes]:
        """S = 1 and R = B + T with T = -kA: R itself has a large order."""
        for torsion in edwards.SMALL_ORDER:
            commitment = edwards.encode(edwards.add(edwards.BASE, torsion))
            for number in range(200):
                message = number.to_bytes(2, "little")
                challenge = edwards.hash_scalar(commitment, pubkey, message)
                if edwards.multiply(challenge % 8, key) == edwards.negate(torsion):
                    return message, commitment + (1).to_bytes(32, "little")
        raise AssertionError("no message found")

    def test_small_order_commitments_are_refused(self) -> None:
        """R the identity, in each of its encodings, and S = ka."""
        key = SigningKey(SEED)
        for commitment in _encodings(edwards.IDENTITY):
            challenge = edwards.hash_scalar(commitment, key.public, b"m")
            response = challenge * edwards.secret_scalar(SEED) % edwards.ORDER
            signature = commitment + response.to_bytes(32, "little")
            self.assertTrue(edwards.verify_signature(key.public, b"m", signature, cofactor=1))
            self.assertFalse(verify(key.public, b"m", signature), commitment.hex())

    def test_responses_beyond_the_order_are_refused(self) -> None:
        key = SigningKey(SEED)
        signature = key.sign(b"m")
        response = int.from_bytes(signature[32:], "little")
        for multiple in range(1, 2**256 // edwards.ORDER):
            larger = (response + multiple * edwards.ORDER).to_bytes(32, "little")
            self.assertTrue(
                edwards.verify_signature(key.public, b"m", signature[:32] + larger, cofactor=1)
            )
            self.assertFalse(verify(key.public, b"m", signature[:32] + larger))

    def test_mixed_order_keys_are_judged_without_cofactor(self) -> None:
        """A + T signs when 8 divides k; otherwise only a cofactored check would agree."""
        scalar = edwards.secret_scalar(SEED)
        pubkey = edwards.encode(
            edwards.add(edwards.multiply(scalar, edwards.BASE), edwards.TORSION)
        )
        commitment = edwards.encode(edwards.multiply(12345, edwards.BASE))
        verdicts = []
        for number in range(40):
            message = bytes([number])
            challenge = edwards.hash_scalar(commitment, pubkey, message)
            response = (12345 + challenge * scalar) % edwards.ORDER
            signature = commitment + response.to_bytes(32, "little")
            self.assertTrue(edwards.verify_signature(pubkey, message, signature, cofactor=8))
            self.assertEqual(verify(pubkey, message, signature), challenge % 8 == 0)
            verdicts.append(challenge % 8 == 0)
        self.assertIn(True, verdicts)
        self.assertIn(False, verdicts)

    def test_torsion_in_the_commitment_is_refused(self) -> None:
        key = SigningKey(SEED)
        scalar = edwards.secret_scalar(SEED)
        point = edwards.add(edwards.multiply(777, edwards.BASE), edwards.TORSION)
        commitment = edwards.encode(point)
        challenge = edwards.hash_scalar(commitment, key.public, b"m")
        response = (777 + challenge * scalar) % edwards.ORDER
        signature = commitment + response.to_bytes(32, "little")
        self.assertTrue(edwards.verify_signature(key.public, b"m", signature, cofactor=8))
        self.assertFalse(verify(key.public, b"m", signature))


class VerifiedCacheTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.key = SigningKey(SEED)
        self.checked: list[bytes] = []

        def counted(pubkey: bytes, message: bytes, signature: bytes) -> bool:
            self.checked.append(message)
            return verify(pubkey, message, signature)

        self.patch(keys, "verify", counted)

    def _check(self, cache: VerifiedCache, message: bytes) -> bool:
        return cache.check(self.key.public, message, self.key.sign(message))

    def test_a_good_signature_is_checked_once(self) -> None:
        cache = VerifiedCache(SALT, 10)
        self.assertTrue(self._check(cache, b"a"))
        self.assertTrue(self._check(cache, b"a"))
        self.assertEqual(self.checked, [b"a"])

    def test_a_bad_signature_is_never_remembered(self) -> None:
        cache = VerifiedCache(SALT, 10)
        wrong = self.key.sign(b"b")
        self.assertFalse(cache.check(self.key.public, b"a", wrong))
        self.assertFalse(cache.check(self.key.public, b"a", wrong))
        self.assertEqual(self.checked, [b"a", b"a"])
        self.assertEqual(len(cache), 0)
        self.assertTrue(self._check(cache, b"a"))

    def test_key_message_and_signature_all_count(self) -> None:
        cache = VerifiedCache(SALT, 10)
        signature = self.key.sign(b"a")
        self.assertTrue(cache.check(self.key.public, b"a", signature))
        self.assertFalse(cache.check(self.key.public, b"aa", signature))
        self.assertFalse(cache.check(self.key.public, b"a", _flip(signature, 0)))
        self.assertFalse(cache.check(SigningKey(bytes(32)).public, b"a", signature))

    def test_shifted_boundaries_are_not_the_same_triple(self) -> None:
        cache = VerifiedCache(SALT, 10)
        signature = self.key.sign(b"ab")
        self.assertTrue(cache.check(self.key.public, b"ab", signature))
        self.assertFalse(cache.check(self.key.public, b"b", signature + b"a"))
        joined = self.key.public + signature
        self.assertFalse(cache.check(joined[:31], b"ab", joined[31:]))

    def test_what_is_asked_for_stays_and_the_rest_goes(self) -> None:
        cache = VerifiedCache(SALT, 4)
        for message in (b"a", b"b", b"a", b"c", b"a", b"d", b"a", b"e"):
            self.assertTrue(self._check(cache, message))
        self.assertLessEqual(len(cache), 4)
        self.checked.clear()
        self._check(cache, b"a")
        self.assertEqual(self.checked, [])
        self._check(cache, b"b")
        self.assertEqual(self.checked, [b"b"])

    def test_the_salt_decides_the_entries(self) -> None:
        first, second = VerifiedCache(SALT, 10), VerifiedCache(SALT[::-1], 10)
        self._check(first, b"a")
        self._check(second, b"a")
        self.assertNotEqual(list(first._good._young), list(second._good._young))

    def test_constructor_bounds(self) -> None:
        self.assertRaises(ValueError, VerifiedCache, bytes(31), 10)
        self.assertRaises(ValueError, VerifiedCache, SALT, 0)


def _flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _encodings(point: edwards.Point) -> list[bytes]:
    """The canonical encoding and every other one that decodes to ``point``."""
    canonical = edwards.encode(point)
    found = [canonical]
    y = point[1]
    for number in (y, y + edwards.P):
        for sign in (0, 1):
            if number < 2**255:
                encoded = (number | sign << 255).to_bytes(32, "little")
                if encoded != canonical and edwards.decode(encoded) == point:
                    found.append(encoded)
    return found
