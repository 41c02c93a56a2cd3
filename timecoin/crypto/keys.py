"""Ed25519 signatures (RFC 8032) with libsodium's check, the only one used in consensus.

libsodium refuses small-order keys and commitments, non-canonical keys, ``S >= q``, and
compares the encoding of ``R`` (so it is cofactorless). Other libraries accept some of
these: two kinds of verifier in one network are a fork (PROTOCOL 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from blake3 import blake3
from nacl import bindings
from nacl.exceptions import BadSignatureError

from timecoin.recent import Recent

SEED_BYTES = 32
PUBKEY_BYTES = 32
SIGNATURE_BYTES = 64
SALT_BYTES = 32

Verify = Callable[[bytes, bytes, bytes], bool]
"""Of (pubkey, message, signature): :func:`verify` or :meth:`VerifiedCache.check`."""

_SEED_CONTEXT = "timecoin 2026-11 Ed25519 seed from entropy"


class SigningKey:
    """An Ed25519 private key, made from its 32-byte seed."""

    __slots__ = ("_secret", "public", "seed")

    seed: bytes
    """The RFC 8032 private key: what a key file keeps."""
    public: bytes
    """The 32-byte public key."""

    def __init__(self, seed: bytes) -> None:
        """``seed``: 32 secret random bytes; ``ValueError`` if it has another length."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.seed = seed
        self.public, self._secret = bindings.crypto_sign_seed_keypair(seed)

    @classmethod
    def generate(cls, entropy: bytes) -> SigningKey:
        """A fresh key from at least 32 bytes of the caller's ``entropy``.

        BLAKE3's key-derivation mode draws the seed from all of it. ``ValueError`` when there
        is too little.
        """
        if len(entropy) < SEED_BYTES:
            raise ValueError(f"a key needs {SEED_BYTES} bytes of entropy, got {len(entropy)}")
        return cls(blake3(entropy, derive_key_context=_SEED_CONTEXT).digest())

    def sign(self, message: bytes) -> bytes:
        """The 64-byte deterministic signature of ``message``."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def verify(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is ``pubkey``'s on ``message``; a wrong length is just False."""
    if len(pubkey) != PUBKEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + message, pubkey)
    except BadSignatureError:
        return False
    return True


def verify_many(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """:func:`verify` of each (pubkey, message, signature), in order: one call for a thread."""
    return [verify(pubkey, message, signature) for pubkey, message, signature in items]


class VerifiedCache:
    """Signatures already found good, so that a block need not check its transactions again.

    Holds at most ``capacity`` keyed BLAKE3 hashes of (key, signature, message), and at least the
    half of that which was asked for last. Refusals are never remembered: anyone can make them. The
    salt keeps others from choosing entries that collide.
    """

    def __init__(self, salt: bytes, capacity: int) -> None:
        """``salt``: 32 secret random bytes; ``capacity``: entries kept, at least two."""
        if len(salt) != SALT_BYTES:
            raise ValueError(f"the salt has {SALT_BYTES} bytes, not {len(salt)}")
        self._salt = salt
        self._good: Recent[bytes, bool] = Recent(capacity)
        self.remembered = 0
        self.accepted = 0
        self.refused = 0
        """Checks since the start: answered from memory, found good, found bad."""

    def __len__(self) -> int:
        """The number of signatures remembered."""
        return len(self._good)

    def check(self, pubkey: bytes, message: bytes, signature: bytes) -> bool:
        """:func:`verify`, answered from memory when this very triple was good before."""
        # Fixed lengths first: the hash below joins the three without separators.
        if len(pubkey) != PUBKEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        entry = blake3(pubkey + signature + message, key=self._salt).digest()
        if self._good.find(entry):
            self.remembered += 1
            return True
        if not verify(pubkey, message, signature):
            self.refused += 1
            return False
        self.accepted += 1
        self._good.put(entry, True)
        return True
