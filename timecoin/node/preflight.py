"""What can be found wrong before a node touches the disk: a refused start changes nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from timecoin.node.config import NodeConfig
from timecoin.node.genesisfile import FoundGenesis, GenesisFileError, find_genesis
from timecoin.node.keyfiles import (
    KeyFileError,
    ValidatorKeys,
    load_validator_keys,
    validator_key_path,
)
from timecoin.node.validatorlock import ValidatorLock, ValidatorLockError
from timecoin.node.walletfile import WalletStartError, open_wallet
from timecoin.rpc.tls import TlsError, tls_options
from timecoin.wallet.keystore import Keystore

STORE_DIRECTORY = "store"


class StartError(Exception):
    """A node that cannot start; one line for the operator."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was found in place."""

    genesis: FoundGenesis
    keys: ValidatorKeys | None
    wallet: Keystore | None
    """None when it has to be made."""
    lock: ValidatorLock | None
    """Held from here on, if the settings name one."""


def prepare(config: NodeConfig) -> Prepared:
    """Read genesis, keys and certificate, and see that ports and data directory are free.

    `StartError`.
    """
    try:
        genesis = find_genesis(config.datadir, config.genesis_path, config.network)
        keys = None
        if config.validator_id is not None:
            keys = load_validator_keys(validator_key_path(config.datadir, config.validator_id))
        wallet = open_wallet(config.datadir, config.network, os.environ)
    except (GenesisFileError, KeyFileError, WalletStartError) as error:
        raise StartError(str(error)) from error
    check_not_in_use(config.datadir / STORE_DIRECTORY)
    check_port_free("peers", config.listen_host, config.listen_port)
    for host, port in config.rpc.bind:
        check_port_free("rpc", host, port)
    tls = config.rpc.tls
    if tls is not None and not tls.own:
        try:
            tls_options(tls)
        except TlsError as error:
            raise StartError(f"rpc: {error}") from error
    # Last: a start that is refused for another reason makes no file.
    lock = None
    if keys is not None and config.validator_lock is not None:
        try:
            lock = ValidatorLock(config.validator_lock, keys.voting_key.public)
        except ValidatorLockError as error:
            raise StartError(str(error)) from error
    return Prepared(genesis, keys, wallet, lock)


def check_port_free(part: str, host: str, port: int) -> None:
    """:class:`StartError` unless ``host:port`` can be listened on now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise StartError(f"{part}: cannot listen on {host}:{port}: {error.strerror}") from error


def check_not_in_use(store: Path) -> None:
    """:class:`StartError` if another process has the store open.

    Asks for the lock that RocksDB holds on its LOCK file, and lets go of it at once. The store
    itself takes it later: of two nodes that start together one fails there.
    """
    try:
        descriptor = os.open(store / "LOCK", os.O_RDWR)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartError(f"cannot open the data directory {store}: {error.strerror}") from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise StartError(
                f"the data directory {store.parent} is in use by another process"
            ) from error
        raise StartError(f"cannot lock the data directory {store}: {error.strerror}") from error
    finally:
        os.close(descriptor)
