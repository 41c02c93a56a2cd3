"""Secret keys of a node at rest: JSON files that nobody but their owner can read.

DATADIR/keys/NAME.key holds what a validator votes and draws lots with, DATADIR/keys/node.key the
TLS identity, made at the first start.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from timecoin.crypto.keys import SEED_BYTES, SigningKey
from timecoin.node.atomicfile import write_atomically

KEYS_DIRECTORY = "keys"
NODE_KEY_NAME = "node.key"
MAX_KEY_FILE_BYTES = 4096


class KeyFileError(Exception):
    """A key file that cannot be used; one line for the operator."""


@dataclass(frozen=True, slots=True)
class ValidatorKeys:
    """The two secrets of a validator (PROTOCOL 4: an HSM can hold the first only)."""

    voting_seed: bytes = field(repr=False)
    vrf_seed: bytes = field(repr=False)

    @property
    def voting_key(self) -> SigningKey:
        """The key that signs votes, receipts and proposals."""
        return SigningKey(self.voting_seed)


def validator_key_path(datadir: Path, name: str) -> Path:
    """Where ``--validator-id name`` is looked for."""
    return datadir / KEYS_DIRECTORY / f"{name}.key"


def new_validator_keys(entropy: Callable[[int], bytes]) -> ValidatorKeys:
    """Fresh keys out of ``entropy(byte count)``."""
    return ValidatorKeys(entropy(SEED_BYTES), entropy(SEED_BYTES))


def write_validator_keys(path: Path, keys: ValidatorKeys) -> None:
    """Write ``keys``; a file that exists is never replaced. :class:`KeyFileError`."""
    if path.exists():
        raise KeyFileError(f"{path} exists; a key is never overwritten")
    _write(path, {"voting_seed": keys.voting_seed, "vrf_seed": keys.vrf_seed})


def load_validator_keys(path: Path) -> ValidatorKeys:
    """The keys in the file ``path``; :class:`KeyFileError` says why there are none."""
    seeds = _read(path, ("voting_seed", "vrf_seed"))
    return ValidatorKeys(seeds["voting_seed"], seeds["vrf_seed"])


def load_or_create_node_seed(datadir: Path, entropy: Callable[[int], bytes]) -> bytes:
    """The seed of the node's TLS identity, made and written if there is none yet."""
    path = datadir / KEYS_DIRECTORY / NODE_KEY_NAME
    if not path.exists():
        seed = entropy(SEED_BYTES)
        _write(path, {"node_seed": seed})
        return seed
    return _read(path, ("node_seed",))["node_seed"]


def _write(path: Path, seeds: dict[str, bytes]) -> None:
    text = json.dumps({name: seed.hex() for name, seed in seeds.items()}, indent=2) + "\n"
    try:
        write_atomically(path, text.encode("ascii"), mode=0o600)
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read the key {path}: {error.strerror}") from error
    if mode & 0o077:
        raise KeyFileError(f"{path} can be read by others (mode {mode:04o}); chmod 600 it")
    if len(raw) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"{path} is no key file: larger than {MAX_KEY_FILE_BYTES} bytes")
    # The content of a key file never reaches a message: it is secret.
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise KeyFileError(f"{path} is no key file: not JSON") from None
    if not isinstance(content, dict) or set(content) != set(names):
        raise KeyFileError(f"{path} is no key file: expected exactly {', '.join(names)}")
    return {name: _seed(path, name, content[name]) for name in names}


def _seed(path: Path, name: str, value: object) -> bytes:
    if isinstance(value, str) and len(value) == 2 * SEED_BYTES and value.isascii():
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    raise KeyFileError(f"{path} is no key file: {name} is not {SEED_BYTES} bytes in hex")
