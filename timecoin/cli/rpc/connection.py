"""Where a node answers and who asks: read from its configuration as the daemon reads it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from timecoin.cli.rpc.failures import CannotConnect
from timecoin.client.blocking import BlockingClient
from timecoin.node.config import (
    ConfigError,
    NodeConfig,
    default_datadir,
    find_config,
    load_config,
    read_config,
)
from timecoin.node.values import path as absolute_path
from timecoin.params import Network

SYSTEM_CONFIG = Path("/etc/timecoin/timecoin.conf")
"""That of the service which the Debian package has."""
MAX_COOKIE_BYTES = 4_096
PASSWORD_VARIABLE = "TIMECOIN_RPC_PASSWORD"


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line (or its environment variables) says about the node."""

    network: str | None = None
    datadir: str | None = None
    config: str | None = None
    rpc_url: str | None = None
    rpc_user: str | None = None
    rpc_password: str | None = None
    tls_cert: Path | None = None

    @property
    def arguments(self) -> Mapping[str, list[str]]:
        """As the daemon's own command line would say it."""
        named = {"network": self.network, "datadir": self.datadir}
        return {name: [text] for name, text in named.items() if text is not None}


class Connection:
    """One node, as far as it can be told without asking it."""

    def __init__(self, given: Given) -> None:
        self._given = given

    @functools.cached_property
    def config_path(self) -> Path | None:
        """The configuration file that is read, if any.

        Who names no node and has none of his own means the service of this machine.
        """
        if self._given.config is not None:
            return absolute_path(self._given.config)
        named = self._given.arguments or self._given.rpc_url
        if not named and SYSTEM_CONFIG.is_file() and not default_datadir(Network.MAINNET).exists():
            return SYSTEM_CONFIG
        return find_config(self._given.arguments)

    @functools.cached_property
    def config(self) -> NodeConfig:
        """The node's settings; a usage error for settings that cannot be used."""
        try:
            return load_config(self._given.arguments, self.config_path)
        except ConfigError as error:
            raise click.UsageError(str(error)) from error

    @functools.cached_property
    def _texts(self) -> Mapping[str, Any]:
        """The settings of the file alone: the password is kept nowhere else."""
        assert self.config  # says first what is wrong with them
        return {} if self.config_path is None else read_config(self.config_path)

    @functools.cached_property
    def url(self) -> str:
        """Where the node answers: ``--rpc-url``, else the address that it listens on."""
        if self._given.rpc_url is not None:
            return self._given.rpc_url
        bound = self.config.rpc.bind
        host, port = next((each for each in bound if ip_address(each[0]).is_loopback), bound[0])
        if ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        scheme = "http" if self.config.rpc.tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"

    @property
    def tls_cert(self) -> Path | None:
        """The certificate to trust: the given one, or the one that the node made for itself.

        Without either the system's authorities are trusted.
        """
        if self._given.tls_cert is not None:
            return self._given.tls_cert
        own = self.config.rpc.tls
        if own is None or not own.own or not own.certificate.is_file():
            return None
        return own.certificate

    def login(self) -> tuple[str, str]:
        """User and password: given ones, those of the file, or the cookie of this run.

        :class:`CannotConnect` when there is none, as the node is not running then.
        """
        user, password = self._given.rpc_user, self._given.rpc_password
        if user is None and password is None and "rpcuser" not in self._texts:
            return read_cookie(self.config.rpc.cookie_path)
        known = self._texts.get("rpcuser")
        if user is None:
            user = known
        if user is None:
            raise click.UsageError(f"{PASSWORD_VARIABLE} is set, but no --rpc-user")
        if password is None and user == known:
            password = self._texts["rpcpassword"]
        if password is None:
            password = _asked_password(user)
        return user, password

    def client(self, timeout_s: float) -> BlockingClient:
        """A caller of the node; a usage error for a URL that is none."""
        secure = urlsplit(self.url).scheme == "https"
        user, password = self.login()
        try:
            return BlockingClient(
                self.url, user, password, timeout_s, self.tls_cert if secure else None
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def read_cookie(path: Path) -> tuple[str, str]:
    """User and password of the file ``path``; :class:`CannotConnect` if it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_COOKIE_BYTES).decode("ascii")
    except FileNotFoundError as error:
        raise CannotConnect(
            f"no login: there is no cookie {path}. Is the node running, and with this datadir? "
            "Else give --rpc-user"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CannotConnect(f"no login: cannot read the cookie {path}: {error}") from error
    user, colon, password = text.strip().partition(":")
    if not colon:
        raise CannotConnect(f"no login: {path} is no cookie")
    return user, password


def _asked_password(user: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"no password for {user}: set {PASSWORD_VARIABLE}")
    asked: str = click.prompt(f"RPC password of {user}", hide_input=True, err=True)
    return asked
