"""Checks of what a node reads: settings, genesis, keys, wallet, certificate."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from timecoin.cli.doctor.finding import Finding, fail, ok, warn
from timecoin.node.config import WALLET_NAME, NodeConfig, read_config
from timecoin.node.genesisfile import GenesisFileError, find_genesis
from timecoin.node.keyfiles import KeyFileError, load_validator_keys, validator_key_path
from timecoin.params import Network
from timecoin.rpc.auth import LOOPBACK
from timecoin.rpc.tls import RENEW_DAYS, TlsError, TlsFiles, tls_options
from timecoin.wallet.errors import WalletError, WalletMissing
from timecoin.wallet.keystore import Keystore


def check_files(config: NodeConfig, config_path: Path | None, now: datetime) -> Iterator[Finding]:
    """Everything on disk but the store."""
    yield _check_settings(config, config_path)
    yield _check_datadir(config.datadir)
    yield from _check_genesis(config, now)
    yield _check_wallet(config)
    yield _check_rpc(config)
    if config.rpc.tls is not None:
        yield _check_certificate(config.rpc.tls, now)


def _check_settings(config: NodeConfig, path: Path | None) -> Finding:
    if path is None:
        return ok("config", f"{config.network.label}, no configuration file, defaults")
    said = f"{config.network.label}, {path}"
    if "rpcpassword" in read_config(path) and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return warn("config", f"{said} can be read by others and holds a password", "chmod 600 it")
    return ok("config", said)


def _check_datadir(datadir: Path) -> Finding:
    existing = next(path for path in (datadir, *datadir.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        advice = "give it to the user that runs the node, or set datadir"
        return fail("datadir", f"{existing} cannot be written by this user", advice)
    made = "" if existing == datadir else ", will be made at the first start"
    return ok("datadir", f"{datadir}{made}")


def _check_genesis(config: NodeConfig, now: datetime) -> Iterator[Finding]:
    try:
        genesis = find_genesis(config.datadir, config.genesis_path, config.network).genesis
    except GenesisFileError as error:
        yield fail("genesis", str(error), "get the genesis file of your network: set genesis")
        return
    ahead_ms = genesis.time_ms - int(now.timestamp() * 1000)
    if ahead_ms > 0:
        advice = "wait, or set the clock"
        yield warn("genesis", f"it begins in {ahead_ms // 1000} s by this clock", advice)
    else:
        yield ok("genesis", f"hash {genesis.hash.hex()}")
    if config.validator_id is None:
        yield ok("key", "no validator-id: this node follows and does not vote")
        return
    path = validator_key_path(config.datadir, config.validator_id)
    try:
        pubkey = load_validator_keys(path).voting_key.public
    except KeyFileError as error:
        yield fail("key", str(error), "copy the key there, mode 600, or unset validator-id")
        return
    if pubkey not in {validator.pubkey for validator in genesis.validators}:
        advice = "check that this is the right key file"
        yield warn("key", f"{pubkey.hex()} is no founding validator", advice)
    else:
        yield ok("key", f"{pubkey.hex()} votes")


def _check_wallet(config: NodeConfig) -> Finding:
    path = config.datadir / WALLET_NAME
    try:
        sealed = Keystore.open(path, config.network).sealed
    except WalletMissing:
        return ok("wallet", f"{path} will be made at the first start")
    except WalletError as error:
        return fail("wallet", str(error), "take a backup of it, or restore it from its words")
    if not sealed and config.network is Network.MAINNET:
        advice = "seal it: timecoin-cli encryptwallet"
        return warn("wallet", f"{path} has no passphrase", advice)
    return ok("wallet", f"{path}, {'sealed' if sealed else 'no passphrase'}")


def _check_rpc(config: NodeConfig) -> Finding:
    shown = ", ".join(f"{host}:{port}" for host, port in config.rpc.bind)
    public = [host for host, _ in config.rpc.bind if not ip_address(host).is_loopback]
    if public and config.rpc.allowed == LOOPBACK:
        advice = "set rpcallowip, or rpc-bind to 127.0.0.1"
        return warn("rpc", f"{shown}: only this machine may call", advice)
    return ok("rpc", f"{shown}, {'HTTPS' if config.rpc.tls else 'HTTP on loopback'}")


def _check_certificate(files: TlsFiles, now: datetime) -> Finding:
    if files.own and not files.certificate.exists():
        return ok("tls", f"{files.certificate} will be made at the first start")
    try:
        tls_options(files)
        last = x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc
    except (TlsError, OSError, ValueError) as error:
        return fail("tls", str(error), "mend rpctlscert and rpctlskey, or remove the node's own")
    advice = "start the node again: it makes another" if files.own else "get a new certificate"
    if last <= now:
        return fail("tls", f"{files.certificate} has expired", advice)
    if last - now < timedelta(days=RENEW_DAYS):
        return warn("tls", f"{files.certificate} ends on {last.date()}", advice)
    return ok("tls", f"{files.certificate}, good until {last.astimezone(UTC).date()}")
