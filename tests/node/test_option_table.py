"""Every setting: its default, from the file, from the command line, and a text that is refused."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from timecoin.node.config import OPTION_OF, ConfigError, NodeConfig, load_config
from timecoin.node.log.levels import LevelSetting
from timecoin.node.tap import EX_USAGE, Options
from timecoin.p2p.address import PeerAddress
from timecoin.params import Network
from timecoin.rpc.auth import LOOPBACK, Logins
from timecoin.rpc.tls import TlsFiles

HOUR_MS = 3_600_000
BOB, EVE = ("bob:aa$" + "0" * 64, "eve:bb$" + "1" * 64)
FIRST, SECOND = "11" * 32, "22" * 32


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: where it is found in a configuration, and what texts make of it."""

    get: Callable[[NodeConfig], Any]
    default: Any
    in_file: tuple[str, Any]
    """A text and what it means; ``on_line`` is another, for the command line."""
    on_line: tuple[str, Any]
    wrong: str
    needs: str = ""
    """What the file must say besides."""


def _users(config: NodeConfig) -> list[str]:
    return [login.user for login in config.rpc.logins]


def _password(config: NodeConfig) -> str | None:
    """Which of two passwords the user has."""
    logins = Logins(config.rpc.logins, {})
    return next((each for each in ("one", "two") if logins.check("alice", each)), None)


ROWS = {
    "network": Row(
        lambda c: c.network,
        Network.MAINNET,
        ("testnet", Network.TESTNET),
        ("devnet", Network.DEVNET),
        "moonnet",
    ),
    "genesis": Row(
        lambda c: c.genesis_path, None, ("/a.json", Path("/a.json")), ("/b", Path("/b")), ""
    ),
    "validator-id": Row(lambda c: c.validator_id, None, ("a", "a"), ("b-2", "b-2"), "../key"),
    "validator-lock": Row(
        lambda c: c.validator_lock,
        None,
        ("/a", Path("/a")),
        ("/b", Path("/b")),
        "",
        needs="validator-id=a",
    ),
    "autojoin": Row(lambda c: c.auto_join, True, ("0", False), ("1", True), "yes"),
    "bind": Row(
        lambda c: c.listen_host,
        "0.0.0.0",
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::1"),
        "example.org",
    ),
    "port": Row(lambda c: c.listen_port, 24_000, ("1", 1), ("2", 2), "65536"),
    "peers": Row(
        lambda c: c.peers,
        (),
        ("a:1, [::1]:2", (PeerAddress("a", 1), PeerAddress("::1", 2))),
        ("b:3", (PeerAddress("b", 3),)),
        "localhost",
    ),
    "externalip": Row(
        lambda c: c.external,
        None,
        ("203.0.113.7", PeerAddress("203.0.113.7", 24_000)),
        ("[2001:db8::1]:9", PeerAddress("2001:db8::1", 9)),
        "my.house",
    ),
    "dnsseeds": Row(
        lambda c: c.seeds,
        (),
        ("a.example", (PeerAddress("a.example", 24_000),)),
        ("b.example:7", (PeerAddress("b.example", 7),)),
        "a.example:x",
    ),
    "discover": Row(lambda c: c.discover, True, ("0", False), ("1", True), "2"),
    "maxconnections": Row(lambda c: c.max_connections, 125, ("9", 9), ("10", 10), "0"),
    "datadir": Row(
        lambda c: c.datadir,
        Path("HOME/.timecoin/mainnet"),
        ("/a", Path("/a")),
        ("~/b", Path("HOME/b")),
        "",
    ),
    "rpc-bind": Row(
        lambda c: c.rpc.bind,
        (("127.0.0.1", 24_001),),
        ("127.0.0.2", (("127.0.0.2", 24_001),)),
        ("[::1]:3,127.0.0.1:4", (("::1", 3), ("127.0.0.1", 4))),
        "127.0.0.1:x",
    ),
    "rpcuser": Row(_users, [], ("alice", ["alice"]), ("bob", ["bob"]), "", needs="rpcpassword=one"),
    "rpcpassword": Row(_password, None, ("one", "one"), ("two", "two"), "", needs="rpcuser=alice"),
    "rpcauth": Row(_users, [], (BOB, ["bob"]), (EVE, ["eve"]), "bob"),
    "rpccookiefile": Row(
        lambda c: c.rpc.cookie_path,
        Path("HOME/.timecoin/mainnet/.cookie"),
        ("/a", Path("/a")),
        ("/b", Path("/b")),
        "",
    ),
    "rpcallowip": Row(
        lambda c: c.rpc.allowed,
        LOOPBACK,
        ("10.0.0.0/8", (*LOOPBACK, ip_network("10.0.0.0/8"))),
        ("192.0.2.1", (*LOOPBACK, ip_network("192.0.2.1"))),
        "here",
    ),
    "rpcwhitelist": Row(
        lambda c: c.rpc.whitelist,
        {},
        ("bob:help", {"bob": frozenset({"help"})}),
        ("eve:stop,help", {"eve": frozenset({"stop", "help"})}),
        "bob",
    ),
    "rpctls": Row(lambda c: c.rpc.tls is not None, False, ("1", True), ("0", False), "yes"),
    "rpctlscert": Row(
        lambda c: c.rpc.tls,
        None,
        ("/a", TlsFiles(Path("/a"), Path("/key"))),
        ("/b", TlsFiles(Path("/b"), Path("/key"))),
        "",
        needs="rpctlskey=/key",
    ),
    "rpctlskey": Row(
        lambda c: c.rpc.tls,
        None,
        ("/a", TlsFiles(Path("/cert"), Path("/a"))),
        ("/b", TlsFiles(Path("/cert"), Path("/b"))),
        "",
        needs="rpctlscert=/cert",
    ),
    "checkpoint": Row(
        lambda c: c.checkpoints,
        (),
        (f"5:{FIRST}", ((5, bytes.fromhex(FIRST)),)),
        (f"7:{SECOND}", ((7, bytes.fromhex(SECOND)),)),
        f"0:{FIRST}",
    ),
    "snapshotsync": Row(lambda c: c.snapshot_sync, False, ("1", True), ("0", False), "on"),
    "prune": Row(lambda c: c.prune, 0, ("5000", 5_000), ("6000", 6_000), "1"),
    "reindex": Row(lambda c: c.reindex, False, ("1", True), ("0", False), "now"),
    "addressindex": Row(lambda c: c.address_index, True, ("0", False), ("1", True), "off"),
    "maxmempool": Row(
        lambda c: c.pool_limits.max_bytes,
        300_000_000,
        ("5", 5_000_000),
        ("6", 6_000_000),
        "0",
    ),
    "maxmempooltx": Row(
        lambda c: c.pool_limits.max_pending, 10_000, ("11", 11), ("12", 12), "10000001"
    ),
    "mempoolexpiry": Row(
        lambda c: c.pool_limits.expiry_ms,
        72 * HOUR_MS,
        ("1", HOUR_MS),
        ("2", 2 * HOUR_MS),
        "0.5",
    ),
    "record": Row(lambda c: c.record, None, ("/a", Path("/a")), ("/b", Path("/b")), ""),
    "recordmb": Row(
        lambda c: c.record_bytes,
        1_000_000_000,
        ("7", 7_000_000),
        ("2", 2_000_000),
        "0",
    ),
    "mindiskfree": Row(
        lambda c: c.min_disk_free_bytes,
        1_000_000_000,
        ("7", 7_000_000),
        ("0", 0),
        "-1",
    ),
    "loglevel": Row(
        lambda c: c.log_levels,
        LevelSetting("info", {}),
        ("debug,p2p:warn", LevelSetting("debug", {"p2p": "warn"})),
        ("error", LevelSetting("error", {})),
        "loud",
    ),
    "logformat": Row(lambda c: c.log_format, None, ("json", "json"), ("text", "text"), "xml"),
}


class OptionTableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.patch(os, "environ", {**os.environ, "HOME": str(self.home)})

    def file(self, *lines: str) -> Path:
        path = self.home / "some.conf"
        path.write_text("\n".join(lines), "utf-8")
        return path

    def at_home(self, value: object) -> object:
        """An expected path whose home is this test's."""
        parts = value.parts if isinstance(value, Path) else ()
        return self.home.joinpath(*parts[1:]) if parts[:1] == ("HOME",) else value

    def command_line(self, *words: str) -> NodeConfig:
        """What ``twistd timecoin`` makes of these words."""
        options = Options()
        options.parseOptions(list(words))
        return options.config

    def test_every_option_has_its_row(self) -> None:
        self.assertEqual(sorted(ROWS), sorted(OPTION_OF))

    def test_default(self) -> None:
        config = load_config({}, None)
        for name, row in ROWS.items():
            self.assertEqual(row.get(config), self.at_home(row.default), name)

    def test_file(self) -> None:
        for name, row in ROWS.items():
            text, value = row.in_file
            config = load_config({}, self.file(row.needs, f"{name}={text}"))
            self.assertEqual(row.get(config), self.at_home(value), name)

    def test_command_line_wins(self) -> None:
        for name, row in ROWS.items():
            path = self.file(row.needs, f"{name}={row.in_file[0]}")
            text, value = row.on_line
            config = self.command_line(f"--config={path}", f"--{name}={text}")
            self.assertEqual(row.get(config), self.at_home(value), name)
            self.assertNotEqual(row.on_line[1], row.in_file[1], name)

    def test_wrong_value_in_the_file(self) -> None:
        for name, row in ROWS.items():
            path = self.file(row.needs, f"{name}={row.wrong}")
            error = self.assertRaises(ConfigError, load_config, {}, path)
            self.assertIn(name, str(error))
            self.assertEqual(len(str(error).splitlines()), 1, name)

    def test_wrong_value_on_the_command_line(self) -> None:
        """One line on stderr, status 64."""
        for name, row in ROWS.items():
            said = io.StringIO()
            self.patch(sys, "__stderr__", said)
            path = self.file(row.needs)
            error = self.assertRaises(
                SystemExit, self.command_line, f"--config={path}", f"--{name}={row.wrong}"
            )
            self.assertEqual(error.code, EX_USAGE, name)
            self.assertIn(name, said.getvalue())
            self.assertEqual(said.getvalue().count("\n"), 1, name)
