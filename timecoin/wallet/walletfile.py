"""The wallet's file: what is in it, reading it strictly, replacing it whole or not at all.

::

    magic "timecoin wallet\\n" | BLAKE3-256 of the rest | WalletFile (canonical msgpack)

The hash catches a damaged disk: a flipped bit in a key hash would be an address that nobody can
spend from. It guards against no attacker; who can write this file can do worse.
"""

from __future__ import annotations

import itertools
import os
import stat
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec

from timecoin.codec import U8, U32, U64, Bytes20, CodecError, Wire, decode, encode
from timecoin.crypto.hashing import HASH_BYTES, PUBKEY_HASH_BYTES, blake3_256
from timecoin.params import Network
from timecoin.wallet.errors import WalletFileError, WalletMissing

FORMAT = 2
MAX_FILE_BYTES = 64_000_000
"""Some three million addresses."""

U31 = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Bytes36 = Annotated[bytes, msgspec.Meta(min_length=36, max_length=36)]

_MAGIC = b"timecoin wallet\n"
_HEADER_BYTES = len(_MAGIC) + HASH_BYTES


class WalletFile(Wire, frozen=True):
    """Everything that a wallet must not forget."""

    format: U8
    network: U32
    created_ms: U64
    """Unix time before which no key of it was ever used; 0 if that is unknown (old words)."""
    account: U31
    """The account of the seed whose keys these are (BIP 44)."""
    sealed: bool
    secret: bytes
    """The entropy of the words, or the box of :mod:`timecoin.crypto.secretbox` that holds it."""
    next: tuple[U32, U32]
    """For each branch the number of keys handed out."""
    hashes: tuple[bytes, bytes]
    """For each branch the joined hashes of its keys, some ahead of those handed out."""
    behind: bool
    """Whether a locked wallet saw keys in use that it had not handed out: an old backup."""
    labels: tuple[tuple[Bytes20, str], ...]
    """What the user calls key hashes, own and foreign; in ascending order."""
    locked: tuple[Bytes36, ...]
    """Outpoints of coins that are not to be spent."""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"<WalletFile of network {self.network}, next {self.next}>"


def read_wallet(path: Path, network: Network) -> WalletFile:
    """The content of ``path``; :class:`WalletFileError` says why it cannot be used."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise WalletMissing(f"there is no wallet {path}") from error
    except OSError as error:
        raise WalletFileError(f"cannot read the wallet {path}: {error.strerror}") from error
    if mode & 0o077:
        raise WalletFileError(f"{path} can be read by others (mode {mode:04o}); chmod 600 it")
    try:
        content = decode_wallet(raw)
    except CodecError as error:
        raise WalletFileError(f"{path}: {error}") from error
    if content.network != network:
        own = next((known.label for known in Network if known == content.network), "no network")
        raise WalletFileError(f"{path} is a wallet of {own}, this is {network.label}")
    return content


def encode_wallet(content: WalletFile) -> bytes:
    """The file's bytes."""
    body = encode(content)
    return _MAGIC + blake3_256(body) + body


def decode_wallet(raw: bytes) -> WalletFile:
    """The content of a file's bytes; ``CodecError`` never quotes them: they are secret."""
    if len(raw) > MAX_FILE_BYTES:
        raise CodecError(f"larger than {MAX_FILE_BYTES} bytes, no wallet")
    if not raw.startswith(_MAGIC):
        raise CodecError("not a wallet")
    body = raw[_HEADER_BYTES:]
    if blake3_256(body) != raw[len(_MAGIC) : _HEADER_BYTES]:
        raise CodecError("the wallet is damaged: its checksum is wrong; take a backup")
    try:
        content = decode(body, WalletFile, MAX_FILE_BYTES)
    except CodecError:
        raise CodecError("not a wallet of a known format") from None
    if content.format != FORMAT:
        raise CodecError(f"a wallet of format {content.format}, this is {FORMAT}")
    for used, hashes in zip(content.next, content.hashes, strict=True):
        if len(hashes) % PUBKEY_HASH_BYTES or used > len(hashes) // PUBKEY_HASH_BYTES:
            raise CodecError("a wallet whose keys do not match their number")
    named = [pubkey_hash for pubkey_hash, _ in content.labels]
    if any(later <= earlier for earlier, later in pairwise(named)):
        raise CodecError("a wallet whose labels do not ascend")
    return content


def create_wallet(path: Path, content: WalletFile) -> None:
    """Write a new file; :class:`WalletFileError` when that name is taken, or it fails."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = _write_beside(path, content)
        try:
            os.link(partial, path)  # unlike a rename it never replaces what is there
        except FileExistsError as error:
            raise WalletFileError(f"{path} exists; a wallet is never overwritten") from error
        finally:
            partial.unlink()
        _sync_directory(path.parent)
    except OSError as error:
        raise WalletFileError(f"cannot write the wallet {path}: {error.strerror}") from error


def replace_wallet(path: Path, content: WalletFile) -> None:
    """Put ``content`` in the place of the file; after a crash there is the old or the new one.

    :class:`WalletFileError` when that fails; the old one is still there then.
    """
    try:
        _write_beside(path, content).replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise WalletFileError(f"cannot write the wallet {path}: {error.strerror}") from error


def exchange_wallet(path: Path, content: WalletFile) -> Path:
    """Put ``content`` in the place of the file, which is kept beside it: the path of that one.

    :class:`WalletFileError` when that fails; the file is still the old one then.
    """
    try:
        kept = _free_name(path)
        os.link(path, kept)
    except OSError as error:
        raise WalletFileError(f"cannot keep the wallet {path}: {error.strerror}") from error
    replace_wallet(path, content)
    return kept


def _free_name(path: Path) -> Path:
    return next(
        name
        for number in itertools.count(1)
        if not (name := path.with_name(f"{path.name}.{number}")).exists()
    )


def _write_beside(path: Path, content: WalletFile) -> Path:
    """A synced file next to ``path``, never open to others."""
    partial = path.with_name(path.name + ".tmp")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode_wallet(content))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        partial.unlink()
        raise
    return partial


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
