"""Sealing the wallet's words under a passphrase."""

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
    """How the words' entropy is sealed under a passphrase.

    ``draw(byte count)`` gives fresh random bytes; ``ops`` and ``mem_bytes`` are Argon2id's
    costs.
    """

    draw: Callable[[int], bytes]
    ops: int = DEFAULT_OPS
    mem_bytes: int = DEFAULT_MEM_BYTES

    def seal(self, entropy: bytes, passphrase: str) -> bytes:
        """The box that holds ``entropy``; ``ValueError`` for no passphrase. Takes a second."""
        salt, nonce = self.draw(SALT_BYTES), self.draw(NONCE_BYTES)
        return seal(entropy, passphrase, salt, nonce, self.ops, self.mem_bytes)
