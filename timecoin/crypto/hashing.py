"""Hash functions: BLAKE3-256 for consensus bytes, RIPEMD160(SHA256) for addresses (PROTOCOL 2)."""

from __future__ import annotations

import hashlib

from blake3 import blake3
from Crypto.Hash import RIPEMD160

HASH_BYTES = 32
PUBKEY_HASH_BYTES = 20


def blake3_256(data: bytes) -> bytes:
    """The 32-byte BLAKE3 hash of ``data``: ``H`` of the protocol."""
    return blake3(data).digest()


def blake3_xof(data: bytes, length: int) -> bytes:
    """The first ``length`` bytes of BLAKE3's extendable output for ``data``."""
    return blake3(data).digest(length=length)


def tagged(tag: bytes, *parts: bytes) -> bytes:
    """``H(tag | parts...)``: the hash of an object under its own domain tag (PROTOCOL 1).

    The parts are joined without lengths: only one of them may be of variable length.
    """
    return blake3(b"".join((tag, *parts))).digest()


def hash160(pubkey: bytes) -> bytes:
    """RIPEMD160(SHA256(``pubkey``)), the 20 bytes that an address and a lock script carry.

    RIPEMD-160 comes from PyCryptodome: OpenSSL 3 hides it from ``hashlib`` on many systems.
    """
    return RIPEMD160.new(hashlib.sha256(pubkey).digest()).digest()
