"""ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381, suite 0x03), strict (PROTOCOL 2).

Stricter than the RFC in what a proof may look like: the key and Gamma must be canonical
encodings of points in the prime-order subgroup, and ``s`` must be below the group order.
Without that, Gamma plus a torsion point verifies whenever ``c`` is a multiple of eight: a
second proof of the same output, and a second block hash for a producer to choose from.

A proof is ``Gamma (32) | c (16) | s (32)``; an output (beta) has 64 bytes.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha512

from nacl import bindings
from nacl.exceptions import RuntimeError as SodiumError

from timecoin.crypto.keys import PUBKEY_BYTES, SEED_BYTES

PROOF_BYTES = 80
OUTPUT_BYTES = 64
REMEMBERED = 4_096
"""Verdicts of :func:`verify` that are kept."""

_ORDER = 2**252 + 27742317777372353535851937790883648493
_SUITE = b"\x03"
_FRONT_ENCODE, _FRONT_CHALLENGE, _FRONT_OUTPUT, _BACK = b"\x01", b"\x02", b"\x03", b"\x00"
_POINT_BYTES = 32
_CHALLENGE_BYTES = 16
_IDENTITY = b"\x01" + bytes(31)


def vrf_public(seed: bytes) -> bytes:
    """The 32-byte VRF public key of the 32-byte private key ``seed`` (RFC 8032, 5.1.5)."""
    scalar, _ = _expand(seed)
    return bindings.crypto_scalarmult_ed25519_base_noclamp(_scalar_bytes(scalar))


def prove(seed: bytes, alpha: bytes) -> bytes:
    """The 80-byte proof of the output for ``alpha`` under ``seed`` (RFC 9381, 5.1)."""
    scalar, nonce_key = _expand(seed)
    public = bindings.crypto_scalarmult_ed25519_base_noclamp(_scalar_bytes(scalar))
    point = _encode_to_curve(public, alpha)
    gamma = bindings.crypto_scalarmult_ed25519_noclamp(_scalar_bytes(scalar), point)
    nonce = int.from_bytes(sha512(nonce_key + point).digest(), "little") % _ORDER
    nonce_bytes = _scalar_bytes(nonce)
    challenge = _challenge(
        public,
        point,
        gamma,
        bindings.crypto_scalarmult_ed25519_base_noclamp(nonce_bytes),
        bindings.crypto_scalarmult_ed25519_noclamp(nonce_bytes, point),
    )
    response = nonce + int.from_bytes(challenge, "little") * scalar
    return gamma + challenge + _scalar_bytes(response)


@lru_cache(maxsize=REMEMBERED)
def verify(pubkey: bytes, alpha: bytes, proof: bytes) -> bytes | None:
    """The output that ``proof`` proves for ``alpha`` under ``pubkey``, or None if it does not.

    Malformed keys and proofs are refused, never an exception. The last verdicts are remembered: a
    candidate's proof comes again in proposals and in its block.
    """
    if len(pubkey) != PUBKEY_BYTES or len(proof) != PROOF_BYTES:
        return None
    gamma = proof[:_POINT_BYTES]
    challenge = proof[_POINT_BYTES : _POINT_BYTES + _CHALLENGE_BYTES]
    response = proof[_POINT_BYTES + _CHALLENGE_BYTES :]
    if int.from_bytes(response, "little") >= _ORDER:
        return None
    if not (_is_strict_point(pubkey) and _is_strict_point(gamma)):
        return None
    point = _encode_to_curve(pubkey, alpha)
    factor = challenge + bytes(_POINT_BYTES - _CHALLENGE_BYTES)
    try:
        u = bindings.crypto_core_ed25519_sub(
            bindings.crypto_scalarmult_ed25519_base_noclamp(response),
            bindings.crypto_scalarmult_ed25519_noclamp(factor, pubkey),
        )
        v = bindings.crypto_core_ed25519_sub(
            bindings.crypto_scalarmult_ed25519_noclamp(response, point),
            bindings.crypto_scalarmult_ed25519_noclamp(factor, gamma),
        )
    except SodiumError:
        # libsodium returns no identity: s = 0 or c = 0, which an honest prover never meets.
        return None
    if _challenge(pubkey, point, gamma, u, v) != challenge:
        return None
    return _output(gamma)


def proof_to_hash(proof: bytes) -> bytes:
    """The output of a proof already verified (RFC 9381, 5.2).

    ``ValueError`` when ``proof`` cannot be one; whether it proves anything is not checked.
    """
    if len(proof) != PROOF_BYTES:
        raise ValueError(f"a VRF proof has {PROOF_BYTES} bytes, not {len(proof)}")
    gamma = proof[:_POINT_BYTES]
    if not _is_strict_point(gamma):
        raise ValueError("Gamma of the VRF proof is not a point of the prime-order subgroup")
    return _output(gamma)


def _expand(seed: bytes) -> tuple[int, bytes]:
    """The secret scalar and the nonce key of ``seed`` (RFC 8032, 5.1.5)."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a VRF seed has {SEED_BYTES} bytes, not {len(seed)}")
    digest = sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    scalar = (scalar & ((1 << 254) - 8)) | (1 << 254)
    return scalar, digest[32:]


def _scalar_bytes(scalar: int) -> bytes:
    return (scalar % _ORDER).to_bytes(32, "little")


@lru_cache(maxsize=REMEMBERED)
def _is_strict_point(encoded: bytes) -> bool:
    """Canonical and in the prime-order subgroup, not the identity."""
    return bindings.crypto_core_ed25519_is_valid_point(encoded)


def _decode_point(encoded: bytes) -> bytes | None:
    """``encoded`` if it is the canonical encoding of some curve point (RFC 8032, 5.1.3).

    libsodium's addition takes ``y >= p`` and "minus zero" too, so the sum with the
    identity, which is encoded afresh, is compared.
    """
    try:
        fresh = bindings.crypto_core_ed25519_add(encoded, _IDENTITY)
    except SodiumError:
        return None
    return encoded if fresh == encoded else None


def _times_cofactor(point: bytes) -> bytes:
    for _ in range(3):
        point = bindings.crypto_core_ed25519_add(point, point)
    return point


def _encode_to_curve(salt: bytes, alpha: bytes) -> bytes:
    """Try-and-increment: the first counter whose hash decodes (RFC 9381, 5.4.1.1)."""
    prefix = sha512(_SUITE + _FRONT_ENCODE + salt + alpha)
    for counter in range(256):
        attempt = prefix.copy()
        attempt.update(bytes((counter,)) + _BACK)
        decoded = _decode_point(attempt.digest()[:_POINT_BYTES])
        if decoded is not None:
            point = _times_cofactor(decoded)
            if point != _IDENTITY:
                return point
    raise ArithmeticError("no counter below 256 gives a point (probability 2^-256)")


def _challenge(*points: bytes) -> bytes:
    data = _SUITE + _FRONT_CHALLENGE + b"".join(points) + _BACK
    return sha512(data).digest()[:_CHALLENGE_BYTES]


def _output(gamma: bytes) -> bytes:
    return sha512(_SUITE + _FRONT_OUTPUT + _times_cofactor(gamma) + _BACK).digest()
