"""Edwards25519 in plain integers: slow, lenient and independent of libsodium.

Builds the points and proofs that libsodium refuses to make, and checks by the letter of the
RFCs what the strict rules refuse.
"""

from __future__ import annotations

from hashlib import sha512

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(left: Point, right: Point) -> Point:
    """The sum of two points, by the complete affine law."""
    (x1, y1), (x2, y2) = left, right
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def negate(point: Point) -> Point:
    """The inverse of ``point``."""
    return -point[0] % P, point[1]


def multiply(scalar: int, point: Point) -> Point:
    """``scalar`` times ``point``; no clamping, no reduction."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def encode(point: Point) -> bytes:
    """The canonical encoding (RFC 8032, 5.1.2)."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def recover(y: int, sign: int) -> Point | None:
    """The point with this ``y`` and sign of ``x``, if it is on the curve."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * _ROOT_OF_MINUS_ONE % P
    if x * x % P != square:
        return None
    return (x if x & 1 == sign else -x % P), y


def decode(encoded: bytes) -> Point | None:
    """The point of an encoding, canonical or not."""
    number = int.from_bytes(encoded, "little")
    return recover((number & (2**255 - 1)) % P, number >> 255)


def secret_scalar(seed: bytes) -> int:
    """The clamped scalar of an RFC 8032 private key."""
    scalar = int.from_bytes(sha512(seed).digest()[:32], "little")
    return (scalar & ((1 << 254) - 8)) | (1 << 254)


def hash_scalar(*parts: bytes) -> int:
    """SHA-512 of the parts as a scalar modulo the order."""
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little") % ORDER


def _torsion_generator() -> Point:
    """A point of order 8: what remains of some curve point after the prime order."""
    y = 2
    while True:
        point = recover(y, 0)
        if point is not None:
            torsion = multiply(ORDER, point)
            if multiply(4, torsion) != IDENTITY:
                return torsion
        y += 1


_base = recover(4 * pow(5, -1, P) % P, 0)
assert _base is not None
BASE: Point = _base
TORSION: Point = _torsion_generator()
SMALL_ORDER: tuple[Point, ...] = tuple(multiply(factor, TORSION) for factor in range(8))
"""The eight points whose order divides the cofactor."""


def verify_signature(pubkey: bytes, message: bytes, signature: bytes, cofactor: int) -> bool:
    """The bare equation ``cofactor * (S B - R - k A) = 0``, without any other check."""
    key, commitment = decode(pubkey), decode(signature[:32])
    if key is None or commitment is None:
        return False
    response = int.from_bytes(signature[32:], "little")
    challenge = hash_scalar(signature[:32], pubkey, message)
    right = add(commitment, multiply(challenge, key))
    return multiply(cofactor, add(multiply(response, BASE), negate(right))) == IDENTITY


def encode_to_curve(salt: bytes, alpha: bytes) -> Point:
    """Try-and-increment of RFC 9381, 5.4.1.1, suite 0x03."""
    for counter in range(256):
        data = b"\x03\x01" + salt + alpha + bytes((counter, 0))
        encoded = sha512(data).digest()[:32]
        point = decode(encoded)
        if point is not None and encode(point) == encoded:
            cleared = multiply(8, point)
            if cleared != IDENTITY:
                return cleared
    raise AssertionError("no point in 256 attempts")


def vrf_challenge(*points: bytes) -> bytes:
    """The challenge of RFC 9381, 5.4.3, suite 0x03."""
    return sha512(b"\x03\x02" + b"".join(points) + b"\x00").digest()[:16]


def vrf_verify(pubkey: bytes, alpha: bytes, proof: bytes) -> bytes | None:
    """The RFC's own ECVRF_verify (5.3, with key validation 5.4.5): the output, or None."""
    key, gamma = decode(pubkey), decode(proof[:32])
    if key is None or gamma is None or multiply(8, key) == IDENTITY:
        return None
    challenge = int.from_bytes(proof[32:48], "little")
    response = int.from_bytes(proof[48:], "little")
    if response >= ORDER:
        return None
    point = encode_to_curve(pubkey, alpha)
    u = add(multiply(response, BASE), negate(multiply(challenge, key)))
    v = add(multiply(response, point), negate(multiply(challenge, gamma)))
    points = (pubkey, encode(point), proof[:32], encode(u), encode(v))
    if vrf_challenge(*points) != proof[32:48]:
        return None
    return sha512(b"\x03\x03" + encode(multiply(8, gamma)) + b"\x00").digest()
