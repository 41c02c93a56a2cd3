"""The files of a new local network: genesis, keys, wallets and settings."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from timecoin.cli import founding
from timecoin.cli.devnet.record import DevnetError, NodeRecord
from timecoin.ledger.genesis import Allocation, genesis_to_json
from timecoin.node.atomicfile import write_atomically
from timecoin.node.config import CONFIG_NAME, GENESIS_NAME, TLS_CERTIFICATE_NAME, WALLET_NAME
from timecoin.node.keyfiles import (
    KeyFileError,
    ValidatorKeys,
    new_validator_keys,
    validator_key_path,
    write_validator_keys,
)
from timecoin.node.preflight import StartError, check_port_free
from timecoin.params import UNITS_PER_TIME, Network
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import WalletFileError
from timecoin.wallet.keystore import NEW_ENTROPY_BYTES, Keystore

HOST = "127.0.0.1"
RPC_PORT_OFFSET = 100
MAX_NODES = 16
RPC_USER = "devnet"
ALLOCATION_COUNT = 20
ALLOCATION_UNITS = 50_000 * UNITS_PER_TIME


def plan(directory: Path, count: int, base_port: int, tls: bool = False) -> list[NodeRecord]:
    """Names, ports and passwords of ``count`` nodes in ``directory``, none of them running."""
    return [_planned(directory, number, base_port, tls) for number in range(1, count + 1)]


def plan_next(directory: Path, nodes: Sequence[NodeRecord]) -> NodeRecord:
    """The node that joins ``nodes``; :class:`DevnetError` when there are enough, or ports taken."""
    number = len(nodes) + 1
    if number > MAX_NODES:
        raise DevnetError(f"{len(nodes)} nodes are as many as a devnet has")
    last = nodes[-1]
    base_port = last.p2p_port - len(nodes)
    _check_ports(base_port, [number])
    return _planned(directory, number, base_port, last.tls_cert is not None)


def _planned(directory: Path, number: int, base_port: int, tls: bool) -> NodeRecord:
    datadir = directory.absolute() / f"node{number}"
    scheme = "https" if tls else "http"
    return NodeRecord(
        name=f"validator{number}",
        rpc_url=f"{scheme}://{HOST}:{base_port + RPC_PORT_OFFSET + number}/",
        rpc_user=RPC_USER,
        rpc_password=secrets.token_hex(16),
        datadir=str(datadir),
        p2p_port=base_port + number,
        pid=0,
        tls_cert=str(datadir / TLS_CERTIFICATE_NAME) if tls else None,
    )


def check_free(directory: Path, base_port: int, count: int) -> None:
    """:class:`DevnetError` unless directory and ports are unused; nothing is changed."""
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise DevnetError(f"{directory} is in use: it is not an empty directory")
    except OSError as error:
        raise DevnetError(f"cannot read {directory}: {error.strerror}") from error
    _check_ports(base_port, range(1, count + 1))


def _check_ports(base_port: int, numbers: Iterable[int]) -> None:
    try:
        for number in numbers:
            check_port_free("peers", HOST, base_port + number)
            check_port_free("rpc", HOST, base_port + RPC_PORT_OFFSET + number)
    except StartError as error:
        raise DevnetError(str(error)) from error


def found(directory: Path, nodes: list[NodeRecord], slot_ms: int, recorded: bool = False) -> None:
    """Write everything that the nodes need to start; :class:`DevnetError` if that fails.

    With ``recorded`` each node records itself. Every validator is paid into its own wallet; the
    first one's holds the allocations.
    """
    now_ms = int(time.time() * 1000)
    genesis_path = directory / GENESIS_NAME
    validators, payout_hashes = [], []
    try:
        for node in nodes:
            keys, payout_hash = _make_keys(node, now_ms)
            payout_hashes.append(payout_hash)
            validators.append(
                founding.founding_validator(keys, founding.DEFAULT_WEIGHT, payout_hash)
            )
        genesis = founding.new_genesis(
            Network.DEVNET,
            time_ms=now_ms,
            slot_ms=slot_ms,
            base_reward_units=founding.DEFAULT_BASE_REWARD_UNITS[Network.DEVNET],
            validators=validators,
            allocations=[Allocation(payout_hashes[0], ALLOCATION_UNITS)] * ALLOCATION_COUNT,
        )
        write_atomically(genesis_path, genesis_to_json(genesis).encode())
        for node in nodes:
            _write_settings(node, nodes, genesis_path, recorded)
    except (OSError, KeyFileError, WalletFileError) as error:
        raise DevnetError(f"cannot write {directory}: {error}") from error


def equip(directory: Path, node: NodeRecord, nodes: Sequence[NodeRecord]) -> None:
    """Write what ``node`` needs to join the running ``nodes``: keys, a wallet, settings."""
    try:
        _make_keys(node, int(time.time() * 1000))
        _write_settings(node, nodes, directory / GENESIS_NAME)
    except (OSError, KeyFileError, WalletFileError) as error:
        raise DevnetError(f"cannot write {node.datadir}: {error}") from error


def _make_keys(node: NodeRecord, now_ms: int) -> tuple[ValidatorKeys, bytes]:
    """Voting keys and a wallet, and the hash of its first address."""
    datadir = Path(node.datadir)
    keys = new_validator_keys(os.urandom)
    write_validator_keys(validator_key_path(datadir, node.name), keys)
    wallet = Keystore.create(
        datadir / WALLET_NAME, Network.DEVNET, os.urandom(NEW_ENTROPY_BYTES), now_ms
    )
    return keys, wallet.take(Branch.RECEIVE)


def _write_settings(
    node: NodeRecord, nodes: Sequence[NodeRecord], genesis_path: Path, recorded: bool = False
) -> None:
    text = _settings(node, nodes, genesis_path)
    if recorded:
        text += f"record={node.recording_path}\n"
    write_atomically(Path(node.datadir) / CONFIG_NAME, text.encode(), mode=0o600)


def _settings(node: NodeRecord, nodes: Sequence[NodeRecord], genesis_path: Path) -> str:
    peers = ",".join(f"{HOST}:{other.p2p_port}" for other in nodes if other is not node)
    rpc_port = node.p2p_port + RPC_PORT_OFFSET
    lines = [
        "network=devnet",
        f"datadir={node.datadir}",
        f"genesis={genesis_path}",
        f"validator-id={node.name}",
        f"bind={HOST}",
        f"port={node.p2p_port}",
        f"rpc-bind={HOST}:{rpc_port}",
        f"rpcuser={node.rpc_user}",
        f"rpcpassword={node.rpc_password}",
        f"rpctls={0 if node.tls_cert is None else 1}",
    ]
    if peers:
        lines.append(f"peers={peers}")
    return "\n".join(lines) + "\n"
