"""Secrets at rest: Argon2id for the passphrase, XSalsa20-Poly1305 for the box (PROTOCOL 2).

A sealed secret describes itself::

    magic "TCSB" | u8 version | u8 ops | u32 mem_kib | salt (16) | nonce (24) | box

Every variable field enters the key derivation or the cipher, so a changed header opens no
box. Its costs are bounded before they are spent: a file from elsewhere must not be able to
demand all memory. Deriving a key takes up to seconds: call it in a thread.
"""

from __future__ import annotations

import struct
import unicodedata

from nacl import bindings
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

SALT_BYTES = argon2id.SALTBYTES
NONCE_BYTES = bindings.crypto_secretbox_NONCEBYTES
MIN_OPS = argon2id.OPSLIMIT_MIN
MAX_OPS = 8
MIN_MEM_BYTES = argon2id.MEMLIMIT_MIN
MAX_MEM_BYTES = 2**30
DEFAULT_OPS = argon2id.OPSLIMIT_MODERATE
DEFAULT_MEM_BYTES = argon2id.MEMLIMIT_MODERATE
MAX_SECRET_BYTES = 2**20

_MAGIC = b"TCSB"
_VERSION = 1
_KIB = 1024
_HEADER = struct.Struct(f"<4sBBI{SALT_BYTES}s{NONCE_BYTES}s")
_OVERHEAD_BYTES = _HEADER.size + bindings.crypto_secretbox_MACBYTES


class SealedError(ValueError):
    """Bytes that are not a sealed secret, or one whose costs are out of bounds."""


class WrongPassphrase(ValueError):
    """The passphrase opens nothing here, or the box was damaged: the two look the same."""


def seal(
    secret: bytes, passphrase: str, salt: bytes, nonce: bytes, ops: int, mem_bytes: int
) -> bytes:
    """``secret`` sealed under ``passphrase``, for :func:`open_sealed`.

    ``salt`` (16 bytes) and ``nonce`` (24 bytes) are fresh random bytes for every call;
    ``ops`` passes over ``mem_bytes`` (a multiple of 1,024) are Argon2id's costs. An empty
    passphrase, a wrong length or costs out of bounds are a ``ValueError``.
    """
    if not passphrase:
        raise ValueError("the passphrase is empty")
    if len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError(f"the salt has {SALT_BYTES} bytes and the nonce {NONCE_BYTES}")
    if len(secret) > MAX_SECRET_BYTES:
        raise ValueError(f"a secret of {len(secret)} bytes exceeds {MAX_SECRET_BYTES}")
    _check_costs(ops, mem_bytes)
    key = _derive(passphrase, salt, ops, mem_bytes)
    header = _HEADER.pack(_MAGIC, _VERSION, ops, mem_bytes // _KIB, salt, nonce)
    return header + bindings.crypto_secretbox(secret, nonce, key)


def open_sealed(sealed: bytes, passphrase: str) -> bytes:
    """The secret in ``sealed``.

    ``SealedError`` when it is malformed or asks for too much; ``WrongPassphrase`` when the
    box does not open.
    """
    if not _OVERHEAD_BYTES <= len(sealed) <= _OVERHEAD_BYTES + MAX_SECRET_BYTES:
        raise SealedError(f"{len(sealed)} bytes cannot be a sealed secret")
    magic, version, ops, mem_kib, salt, nonce = _HEADER.unpack_from(sealed)
    if magic != _MAGIC:
        raise SealedError("not a sealed secret")
    if version != _VERSION:
        raise SealedError(f"sealed in format {version}, this is {_VERSION}")
    _check_costs(ops, mem_kib * _KIB)
    key = _derive(passphrase, salt, ops, mem_kib * _KIB)
    try:
        return bindings.crypto_secretbox_open(sealed[_HEADER.size :], nonce, key)
    except CryptoError as error:
        raise WrongPassphrase("wrong passphrase (or a damaged file)") from error


def _check_costs(ops: int, mem_bytes: int) -> None:
    if not MIN_OPS <= ops <= MAX_OPS:
        raise SealedError(f"{ops} passes are not within {MIN_OPS} .. {MAX_OPS}")
    if not MIN_MEM_BYTES <= mem_bytes <= MAX_MEM_BYTES or mem_bytes % _KIB:
        raise SealedError(
            f"{mem_bytes} bytes of memory are not a multiple of {_KIB} within "
            f"{MIN_MEM_BYTES} .. {MAX_MEM_BYTES}"
        )


def _derive(passphrase: str, salt: bytes, ops: int, mem_bytes: int) -> bytes:
    # NFKD, as BIP 39 does: the same passphrase typed on another system is the same bytes.
    password = unicodedata.normalize("NFKD", passphrase).encode("utf-8")
    return argon2id.kdf(
        bindings.crypto_secretbox_KEYBYTES, password, salt, opslimit=ops, memlimit=mem_bytes
    )
