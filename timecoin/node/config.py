"""Settings of a node: defaults, then ``timecoin.conf``, then the command line.

One table, ``OPTIONS``, names every setting; the command line, the file and ``--help`` are made
from it. The file holds ``key=value`` lines with the same names and ``#`` comments, as Bitcoin's.
A passphrase is never a setting: files and command lines are read by others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from timecoin.mempool.policy import PoolLimits
from timecoin.node import values
from timecoin.node.log.formats import FORMATS
from timecoin.node.log.levels import LevelSetting, read_levels
from timecoin.p2p.address import PeerAddress
from timecoin.params import PEER_PORT, RPC_PORT, Network, network_of
from timecoin.rpc.auth import LOOPBACK, IPNetwork, Login, parse_allowip, parse_whitelist
from timecoin.rpc.tls import TlsFiles

PROGRAM = "timecoin"
"""Begins the one line on stderr with which a node ends."""
CONFIG_NAME = "timecoin.conf"
GENESIS_NAME = "genesis.json"
WALLET_NAME = "wallet.dat"
COOKIE_NAME = ".cookie"
TLS_CERTIFICATE_NAME = "rpc.cert"
TLS_KEY_NAME = "rpc.key"
DEVNET_LISTEN_HOST = "127.0.0.1"
MAX_CONFIG_BYTES = 1 << 20


class ConfigError(ValueError):
    """A setting that cannot be used; one line for the operator."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: ``--name`` on the command line, ``name=`` in the file."""

    name: str
    parse: Callable[[str], Any]
    """Its value; ``ValueError`` says what is wrong with the text."""
    help: str
    repeated: bool = False
    """May be given several times; all values count."""


OPTIONS: tuple[Option, ...] = (
    Option("network", network_of, "mainnet, testnet or devnet [mainnet]"),
    Option("genesis", values.path, "genesis file, needed at the first start only"),
    Option("validator-id", values.key_name, "NAME: validate with DATADIR/keys/NAME.key"),
    Option("validator-lock", values.path, "FILE shared with other machines, held while validating"),
    Option("autojoin", values.switch, "1 or 0: join the active set whenever that is possible [1]"),
    Option("bind", values.host, "address to listen on for peers [0.0.0.0; devnet 127.0.0.1]"),
    Option("port", values.port, "port for peers [24000, testnet 24100, devnet 24200]"),
    Option("peers", values.peer_list, "HOST:PORT,...: nodes to stay linked with"),
    Option("externalip", values.external, "ADDRESS[:PORT] that others reach this node at"),
    Option("dnsseeds", values.seed_list, "HOST[:PORT],...: names that DNS resolves to nodes"),
    Option("discover", values.switch, "1 or 0: call nodes that are not configured [1]"),
    Option("maxconnections", values.count(1, 100_000), "inbound peers [125]"),
    Option("datadir", values.path, "data directory [~/.timecoin/NETWORK]"),
    Option("rpc-bind", values.rpc_bind, "HOST:PORT,... for RPC [127.0.0.1:24001, 24101, 24201]"),
    Option("rpcuser", values.text, "user for RPC"),
    Option("rpcpassword", values.text, "that user's password"),
    Option("rpcauth", Login.from_rpcauth, "USER:SALT$HMAC, a further RPC user", repeated=True),
    Option("rpccookiefile", values.path, "file with the login of this run [DATADIR/.cookie]"),
    Option("rpcallowip", values.text, "address or network that may call RPC", repeated=True),
    Option("rpcwhitelist", values.text, "USER:METHOD,...: all that USER may call", repeated=True),
    Option("rpctls", values.switch, "1 or 0: HTTPS for RPC [0 if only on loopback, else 1]"),
    Option("rpctlscert", values.path, "PEM certificate for RPC"),
    Option("rpctlskey", values.path, "PEM key for RPC"),
    Option("checkpoint", values.checkpoint, "HEIGHT:HASH of a trusted block", repeated=True),
    Option("snapshotsync", values.switch, "1 or 0: start from a recent set of coins [0]"),
    Option("prune", values.prune, "keep the bodies of so many newest blocks, or 0: all [0]"),
    Option("reindex", values.switch, "1: rebuild coins and indexes from the stored blocks [0]"),
    Option("addressindex", values.switch, "1 or 0: keep coins and history by address [1]"),
    Option("maxmempool", values.count(1, 100_000), "megabytes of waiting transactions [300]"),
    Option("maxmempooltx", values.count(1, 10_000_000), "transactions not yet certified [10000]"),
    Option("mempoolexpiry", values.count(1, 10_000), "hours that a transaction may wait [72]"),
    Option("record", values.path, "FILE: record all that goes in and out, for timecoin-cli replay"),
    Option("recordmb", values.count(1, 1_000_000), "megabytes that a recording may have [1000]"),
    Option("mindiskfree", values.count(0, 10_000_000), "megabytes; health is red below [1000]"),
    Option("loglevel", read_levels, "debug, info, warn, error, critical; AREA:LEVEL,... [info]"),
    Option(
        "logformat",
        values.one_of(FORMATS),
        "text, json, journal [journal under systemd, else text]",
    ),
)
OPTION_OF = {option.name: option for option in OPTIONS}
DEFAULT_MIN_DISK_MB = 1_000
DEFAULT_RECORD_MB = 1_000
DEFAULT_MAX_CONNECTIONS = 125


@dataclass(frozen=True, slots=True)
class RpcConfig:
    """Who may call this node, and where."""

    bind: tuple[tuple[str, int], ...]
    logins: tuple[Login, ...]
    cookie_path: Path
    allowed: tuple[IPNetwork, ...]
    whitelist: Mapping[str, frozenset[str]]
    tls: TlsFiles | None
    """None: plain HTTP, on loopback only."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything an operator can choose, checked."""

    network: Network
    datadir: Path
    genesis_path: Path | None
    validator_id: str | None
    validator_lock: Path | None
    """A file that only one process may hold, wherever it runs; None: no such guard."""
    auto_join: bool
    """Ask to join the active set whenever the chain would take this masternode."""
    listen_host: str
    listen_port: int
    peers: tuple[PeerAddress, ...]
    external: PeerAddress | None
    seeds: tuple[PeerAddress, ...]
    discover: bool
    max_connections: int
    rpc: RpcConfig
    address_index: bool
    checkpoints: tuple[tuple[int, bytes], ...]
    snapshot_sync: bool
    prune: int
    reindex: bool
    pool_limits: PoolLimits
    record: Path | None
    """Where the node is recorded; None: nowhere."""
    record_bytes: int
    min_disk_free_bytes: int
    """Health is red with less room where the data directory is."""
    log_levels: LevelSetting
    log_format: str | None
    """None: text, or ``journal`` where systemd's journal reads it."""


def load_config(arguments: Mapping[str, Sequence[str]], config_path: Path | None) -> NodeConfig:
    """The settings given by command-line ``arguments`` (name -> texts) and a configuration file.

    Without ``config_path``, DATADIR/timecoin.conf is read if there is one. :class:`ConfigError`
    for anything that cannot be used.
    """
    config_path = config_path or find_config(arguments)
    given = {} if config_path is None else read_config(config_path)
    return _settle(given | _parse_arguments(arguments))


def find_config(arguments: Mapping[str, Sequence[str]]) -> Path | None:
    """The file that is read when none is named: DATADIR/timecoin.conf; None if there is none."""
    default = _datadir(_parse_arguments(arguments)) / CONFIG_NAME
    return default if default.is_file() else None


def read_config(path: Path) -> dict[str, Any]:
    """The parsed values of the configuration file ``path`` by key; :class:`ConfigError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    found: dict[str, Any] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        where = f"{path} line {number}"
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{where}: expected key=value")
        _add(found, key.strip(), value.strip(), f"{where}: ")
    return found


def _parse_arguments(arguments: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, texts in arguments.items():
        for text in texts:
            _add(found, name, text, "--")
    return found


def _add(found: dict[str, Any], name: str, text: str, where: str) -> None:
    option = OPTION_OF.get(name)
    if option is None:
        raise ConfigError(f"{where}{name}: unknown key")
    try:
        value = option.parse(text)
    except ValueError as error:
        raise ConfigError(f"{where}{name}: {error}") from error
    if option.repeated:
        found[name] = (*found.get(name, ()), value)
    elif name in found:
        raise ConfigError(f"{where}{name}: given twice")
    else:
        found[name] = value


def _datadir(given: Mapping[str, Any]) -> Path:
    path: Path | None = given.get("datadir")
    return path or default_datadir(given.get("network", Network.MAINNET))


def default_datadir(network: Network) -> Path:
    """The data directory of whoever names none."""
    return Path.home() / ".timecoin" / network.label


def _settle(given: Mapping[str, Any]) -> NodeConfig:
    network = given.get("network", Network.MAINNET)
    datadir = _datadir(given)
    devnet = network is Network.DEVNET
    if "validator-lock" in given and "validator-id" not in given:
        raise ConfigError("validator-lock needs validator-id")
    port = given.get("port", PEER_PORT[network])
    external = given.get("externalip")
    limits = PoolLimits()
    if "maxmempooltx" in given:
        limits = replace(limits, max_pending=given["maxmempooltx"])
    if "maxmempool" in given:
        limits = replace(limits, max_bytes=given["maxmempool"] * 1_000_000)
    if "mempoolexpiry" in given:
        limits = replace(limits, expiry_ms=given["mempoolexpiry"] * 3_600_000)
    return NodeConfig(
        network=network,
        datadir=datadir,
        genesis_path=given.get("genesis"),
        validator_id=given.get("validator-id"),
        validator_lock=given.get("validator-lock"),
        auto_join=given.get("autojoin", True),
        listen_host=given.get("bind", DEVNET_LISTEN_HOST if devnet else "0.0.0.0"),
        listen_port=port,
        peers=given.get("peers", ()),
        external=_with_port(external, port) if external is not None else None,
        seeds=tuple(_with_port(seed, PEER_PORT[network]) for seed in given.get("dnsseeds", ())),
        discover=given.get("discover", True),
        max_connections=given.get("maxconnections", DEFAULT_MAX_CONNECTIONS),
        rpc=_settle_rpc(given, network, datadir),
        address_index=given.get("addressindex", True),
        checkpoints=_settle_checkpoints(given),
        snapshot_sync=given.get("snapshotsync", False),
        prune=given.get("prune", 0),
        reindex=given.get("reindex", False),
        pool_limits=limits,
        record=given.get("record"),
        record_bytes=given.get("recordmb", DEFAULT_RECORD_MB) * 1_000_000,
        min_disk_free_bytes=given.get("mindiskfree", DEFAULT_MIN_DISK_MB) * 1_000_000,
        log_levels=given.get("loglevel", LevelSetting()),
        log_format=given.get("logformat"),
    )


def _settle_checkpoints(given: Mapping[str, Any]) -> tuple[tuple[int, bytes], ...]:
    found: tuple[tuple[int, bytes], ...] = given.get("checkpoint", ())
    if len(dict(found)) != len(dict.fromkeys(found)):
        raise ConfigError("checkpoint: two hashes for one height")
    return tuple(sorted(dict(found).items()))


def _with_port(address: PeerAddress, port: int) -> PeerAddress:
    """``address``, with ``port`` if it was given without one."""
    return address if address.port else PeerAddress(address.host, port)


def _settle_rpc(given: Mapping[str, Any], network: Network, datadir: Path) -> RpcConfig:
    default_port = RPC_PORT[network]
    bind = given.get("rpc-bind", (("127.0.0.1", None),))
    logins: tuple[Login, ...] = given.get("rpcauth", ())
    if ("rpcuser" in given) != ("rpcpassword" in given):
        raise ConfigError("rpcuser and rpcpassword need each other")
    try:
        if "rpcuser" in given:
            logins = (Login.from_password(given["rpcuser"], given["rpcpassword"]), *logins)
        allowed = parse_allowip(given["rpcallowip"]) if "rpcallowip" in given else LOOPBACK
        whitelist = parse_whitelist(given.get("rpcwhitelist", ()))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return RpcConfig(
        bind=tuple((host, default_port if port is None else port) for host, port in bind),
        logins=logins,
        cookie_path=given.get("rpccookiefile", datadir / COOKIE_NAME),
        allowed=allowed,
        whitelist=whitelist,
        tls=_settle_tls(given, all(ip_address(host).is_loopback for host, _ in bind), datadir),
    )


def _settle_tls(given: Mapping[str, Any], loopback: bool, datadir: Path) -> TlsFiles | None:
    """The administrator's certificate, one of the node's own making, or plain HTTP."""
    if ("rpctlscert" in given) != ("rpctlskey" in given):
        raise ConfigError("rpctlscert and rpctlskey need each other")
    if not given.get("rpctls", True):
        if "rpctlscert" in given:
            raise ConfigError("rpctls=0 and rpctlscert contradict each other")
        if not loopback:
            raise ConfigError("rpctls=0 is for loopback addresses only")
        return None
    if "rpctlscert" in given:
        return TlsFiles(given["rpctlscert"], given["rpctlskey"])
    if loopback and "rpctls" not in given:
        return None
    return TlsFiles(datadir / TLS_CERTIFICATE_NAME, datadir / TLS_KEY_NAME, own=True)
