"""The genesis file of a node: given once, then kept in the data directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from timecoin.ledger.genesis import Genesis, GenesisError, genesis_from_json
from timecoin.node.atomicfile import write_atomically
from timecoin.node.config import GENESIS_NAME
from timecoin.params import Network

MAX_GENESIS_BYTES = 16 << 20


class GenesisFileError(Exception):
    """No genesis, a broken one or the wrong one; one line for the operator."""


@dataclass(frozen=True, slots=True)
class FoundGenesis:
    """A checked genesis and the bytes of its file."""

    genesis: Genesis
    content: bytes

    def install(self, datadir: Path) -> None:
        """Copy the file into ``datadir`` if it is not there; :class:`GenesisFileError`."""
        path = datadir / GENESIS_NAME
        if path.exists():
            return
        try:
            write_atomically(path, self.content)
        except OSError as error:
            raise GenesisFileError(f"cannot write {path}: {error.strerror}") from error


def read_genesis(path: Path) -> FoundGenesis:
    """The genesis in the file ``path``; :class:`GenesisFileError` says why there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_GENESIS_BYTES + 1)
    except OSError as error:
        raise GenesisFileError(f"cannot read the genesis {path}: {error.strerror}") from error
    if len(content) > MAX_GENESIS_BYTES:
        raise GenesisFileError(f"genesis {path}: larger than {MAX_GENESIS_BYTES} bytes")
    try:
        return FoundGenesis(genesis_from_json(content.decode("utf-8")), content)
    except (UnicodeDecodeError, GenesisError) as error:
        raise GenesisFileError(f"genesis {path}: {error}") from error


def find_genesis(datadir: Path, given: Path | None, network: Network) -> FoundGenesis:
    """The genesis of a node: the one in ``datadir``, or at the first start the one ``given``.

    :class:`GenesisFileError` when there is none, when both exist and differ, or when it is one of
    another network. Nothing is written.
    """
    kept_path = datadir / GENESIS_NAME
    kept = read_genesis(kept_path) if kept_path.exists() else None
    new = read_genesis(given) if given is not None else None
    found = kept or new
    if found is None:
        raise GenesisFileError(
            f"no genesis: {network.label} needs --genesis FILE at its first start"
        )
    if kept is not None and new is not None and kept.genesis.hash != new.genesis.hash:
        raise GenesisFileError(
            f"wrong genesis: {given} has hash {new.genesis.hash.hex()}, "
            f"{datadir} belongs to {kept.genesis.hash.hex()}"
        )
    if found.genesis.network != network:
        label = Network(found.genesis.network).label
        raise GenesisFileError(f"wrong genesis: it is of {label}, this node is on {network.label}")
    return found
