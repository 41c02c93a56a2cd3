"""The files of a new local network: genesis, keys, wallets and settings."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from timecoin.cli import founding
from timecoin.cli.devnet.record import DevnetError, NodeRecord
from timecoin.ledger.genesis import Allocation, genesis_to_json
from timecoin.node.atomicfile import write_atomically
from timecoin.node.config import CONFIG_NAME, GENESIS_NAME, TLS_CERTIFICATE_NAME, WALLET_NAME
from timecoin.node.keyfiles import (
    KeyFileError,
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
    scheme = "https" if tls else "http"
    nodes = []
    for number in range(1, count + 1):
        datadir = directory.absolute() / f"node{number}"
        nodes.append(
            NodeRecord(
                name=f"validator{number}",
                rpc_url=f"{scheme}://{HOST}:{base_port + RPC_PORT_OFFSET + number}/",
                rpc_user=RPC_USER,
                rpc_password=secrets.token_hex(16),
                datadir=str(datadir),
                p2p_port=base_port + number,
                pid=0,
                tls_cert=str(datadir / TLS_CERTIFICATE_NAME) if tls else None,
            )
        )
    return nodes


def check_free(directory: Path, base_port: int, count: int) -> None:
    """:class:`DevnetError` unless directory and ports are unused; nothing is changed."""
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise DevnetError(f"{directory} is in use: it is not an empty directory")
    except OSError as error:
        raise DevnetError(f"cannot read {directory}: {error.strerror}") from error
    try:
        for number in range(1, count + 1):
            check_port_free("peers", HOST, base_port + number)
            check_port_free("rpc", HOST, base_port + RPC_PORT_OFFSET + number)
    except StartError as error:
        raise DevnetError(str(error)) from error


def found(directory: Path, nodes: list[NodeRecord], slot_ms: int) -> None:
    """Write everything that the nodes need to start; :class:`DevnetError` if that fails.

    Every validator is paid into its own wallet; the first one's holds the allocations.
    """
    now_ms = int(time.time() * 1000)
    genesis_path = directory / GENESIS_NAME
    validators, payout_hashes = [], []
    try:
        for node in nodes:
            datadir = Path(node.datadir)
            keys = new_validator_keys(os.urandom)
            write_validator_keys(validator_key_path(datadir, node.name), keys)
            wallet = Keystore.create(
                datadir / WALLET_NAME, Network.DEVNET, os.urandom(NEW_ENTROPY_BYTES), now_ms
            )
            payout_hash = wallet.take(Branch.RECEIVE)
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
            text = _settings(node, nodes, genesis_path)
            write_atomically(Path(node.datadir) / CONFIG_NAME, text.encode(), mode=0o600)
    except (OSError, KeyFileError, WalletFileError) as error:
        raise DevnetError(f"cannot write {directory}: {error}") from error


def _settings(node: NodeRecord, nodes: list[NodeRecord], genesis_path: Path) -> str:
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
