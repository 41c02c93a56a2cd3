"""Sealing the wallet's seed under a passphrase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from timecoin.crypto.secretbox import (
    DEFAULT_MEM_BYTES,
    DEFAULT_OPS,
    NONCE_BYTES,
    SALT_BYTES,
    seal,
)


@dataclass(frozen=True, slots=True)
class Sealing:
    """How a seed is sealed under a passphrase.

    ``entropy(byte count)`` gives fresh random bytes; ``ops`` and ``mem_bytes`` are Argon2id's
    costs.
    """

    entropy: Callable[[int], bytes]
    ops: int = DEFAULT_OPS
    mem_bytes: int = DEFAULT_MEM_BYTES

    def seal(self, seed: bytes, passphrase: str) -> bytes:
        """The box that holds ``seed``; ``ValueError`` for an empty passphrase. Takes a second."""
        salt, nonce = self.entropy(SALT_BYTES), self.entropy(NONCE_BYTES)
        return seal(seed, passphrase, salt, nonce, self.ops, self.mem_bytes)
