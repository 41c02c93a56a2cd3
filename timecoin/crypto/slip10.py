"""SLIP-0010 derivation of Ed25519 keys from one seed: hardened steps only (PROTOCOL 2)."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

MIN_SEED_BYTES = 16
MAX_SEED_BYTES = 64

_HARDENED = 2**31
_MASTER_KEY = b"ed25519 seed"


@dataclass(frozen=True, slots=True, repr=False)
class ExtendedKey:
    """A private key of the tree with the chain code that derives its children."""

    private: bytes
    """The 32-byte Ed25519 seed."""
    chain_code: bytes

    def child(self, index: int) -> ExtendedKey:
        """The hardened child ``index``', 0 <= ``index`` < 2^31; ``ValueError`` otherwise."""
        if not 0 <= index < _HARDENED:
            raise ValueError(f"index {index} is not within 0 .. 2^31 - 1")
        number = (index + _HARDENED).to_bytes(4, "big")
        return _split(self.chain_code, b"\x00" + self.private + number)


def master_key(seed: bytes) -> ExtendedKey:
    """The root ``m`` of the tree of ``seed`` (16 to 64 bytes, else ``ValueError``)."""
    if not MIN_SEED_BYTES <= len(seed) <= MAX_SEED_BYTES:
        raise ValueError(f"a seed has {MIN_SEED_BYTES} to {MAX_SEED_BYTES} bytes, not {len(seed)}")
    return _split(_MASTER_KEY, seed)


def derive(seed: bytes, path: Sequence[int]) -> bytes:
    """The 32-byte Ed25519 seed at ``path``: ``(44, 2024, 0)`` is ``m/44'/2024'/0'``.

    Indices are given without the hardening bit, which every step has. ``ValueError`` for an
    index outside 0 .. 2^31 - 1 or a seed of the wrong length.
    """
    node = master_key(seed)
    for index in path:
        node = node.child(index)
    return node.private


def _split(key: bytes, data: bytes) -> ExtendedKey:
    digest = hmac.digest(key, data, "sha512")
    return ExtendedKey(digest[:32], digest[32:])
