"""``DIR/nodes.json``: what there is to know about the nodes of a local network."""

from __future__ import annotations

from pathlib import Path

import msgspec

from timecoin.client.blocking import BlockingClient
from timecoin.node.atomicfile import write_atomically
from timecoin.node.config import CONFIG_NAME

RECORD_NAME = "nodes.json"
LOG_NAME = "node.log"
RECORDING_NAME = "recording"


class DevnetError(Exception):
    """A local network that cannot be started, found or stopped; one line."""


class NodeRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One node."""

    name: str
    rpc_url: str
    rpc_user: str
    rpc_password: str
    datadir: str
    p2p_port: int
    pid: int
    tls_cert: str | None = None
    """Path of the certificate that it serves HTTPS with; None for plain HTTP."""

    @property
    def config_path(self) -> Path:
        """Its settings."""
        return Path(self.datadir) / CONFIG_NAME

    @property
    def log_path(self) -> Path:
        """Where its process writes what it has to say."""
        return Path(self.datadir) / LOG_NAME

    @property
    def recording_path(self) -> Path:
        """Where it records itself, if it does."""
        return Path(self.datadir) / RECORDING_NAME

    def client(self, timeout_s: float = 30.0) -> BlockingClient:
        """A caller of its RPC interface."""
        tls_cert = None if self.tls_cert is None else Path(self.tls_cert)
        return BlockingClient(self.rpc_url, self.rpc_user, self.rpc_password, timeout_s, tls_cert)


def write_records(directory: Path, nodes: list[NodeRecord]) -> None:
    """Write ``nodes.json``, readable by its owner only: it holds passwords."""
    content = msgspec.json.format(msgspec.json.encode(nodes), indent=2) + b"\n"
    write_atomically(directory / RECORD_NAME, content, mode=0o600)


def read_records(directory: Path) -> list[NodeRecord]:
    """The nodes of the network in ``directory``; :class:`DevnetError` if there is none."""
    path = directory / RECORD_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[NodeRecord])
    except OSError as error:
        raise DevnetError(f"no devnet in {directory}: {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DevnetError(f"{path} is no list of nodes: {error}") from error
