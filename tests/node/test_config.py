"""Settings: defaults, then the file, then the command line; what is wrong is said in one line."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.node.config import (
    OPTIONS,
    ConfigError,
    NodeConfig,
    load_config,
    read_config,
)
from timecoin.node.log.levels import LevelSetting
from timecoin.p2p.address import PeerAddress
from timecoin.params import Network
from timecoin.rpc.auth import Logins
from timecoin.rpc.tls import TlsFiles


class ConfigCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.patch(os, "environ", {**os.environ, "HOME": str(self.home)})

    def file(self, text: str, name: str = "some.conf") -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def load(self, text: str = "", **arguments: str) -> NodeConfig:
        given_names = {name.replace("_", "-"): [value] for name, value in arguments.items()}
        return load_config(given_names, self.file(text))

    def refused(self, text: str = "", **arguments: str) -> str:
        error = self.assertRaises(ConfigError, self.load, text, **arguments)
        self.assertNotIn("\n", str(error))
        return str(error)


class DefaultTests(ConfigCase):
    def test_mainnet(self) -> None:
        config = load_config({}, None)
        self.assertIs(config.network, Network.MAINNET)
        self.assertEqual(config.datadir, self.home / ".timecoin" / "mainnet")
        self.assertEqual((config.listen_host, config.listen_port), ("0.0.0.0", 24000))
        self.assertEqual(config.rpc.bind, (("127.0.0.1", 24001),))
        self.assertEqual(config.rpc.cookie_path, config.datadir / ".cookie")
        self.assertEqual(config.rpc.logins, ())
        self.assertEqual((config.peers, config.seeds, config.external), ((), (), None))
        self.assertTrue(config.discover)
        self.assertIsNone(config.validator_id)
        self.assertIsNone(config.genesis_path)
        self.assertEqual(config.log_levels, LevelSetting("info", {}))
        self.assertIsNone(config.log_format)
        self.assertEqual(config.min_disk_free_bytes, 1_000_000_000)

    def test_ports_of_the_other_networks(self) -> None:
        testnet, devnet = self.load(network="testnet"), self.load(network="devnet")
        self.assertEqual((testnet.listen_port, testnet.rpc.bind[0][1]), (24100, 24101))
        self.assertEqual((devnet.listen_port, devnet.rpc.bind[0][1]), (24200, 24201))
        self.assertEqual(devnet.listen_host, "127.0.0.1")
        self.assertEqual(devnet.datadir, self.home / ".timecoin" / "devnet")

    def test_the_file_in_the_data_directory_is_read_unasked(self) -> None:
        self.file("port=1234\n", ".timecoin/mainnet/timecoin.conf")
        self.assertEqual(load_config({}, None).listen_port, 1234)
        other = self.home / "elsewhere"
        self.file("port=4321\n", "elsewhere/timecoin.conf")
        self.assertEqual(load_config({"datadir": [str(other)]}, None).listen_port, 4321)

    def test_a_named_file_replaces_it(self) -> None:
        self.file("port=1234\n", ".timecoin/mainnet/timecoin.conf")
        self.assertEqual(self.load("maxconnections=7").listen_port, 24000)


class SourceTests(ConfigCase):
    def test_every_option_can_stand_in_the_file(self) -> None:
        config = self.load(
            """
            # a comment
            network=devnet
            genesis = /some/genesis.json
            validator-id=validator1
            bind=127.0.0.2
            port=8001
            peers=localhost:8002, [::1]:8003
            externalip=203.0.113.7:9
            dnsseeds=seed.example.org, other.example.org:7
            discover=0
            maxconnections=9
            datadir=/data
            rpc-bind=127.0.0.1:8081,[::1]:8082,127.0.0.3
            rpcuser=alice
            rpcpassword=with#hash = and equals
            rpccookiefile=/run/cookie
            rpcallowip=10.0.0.0/8
            rpcallowip=192.0.2.1
            rpcwhitelist=alice:help,stop
            rpctlscert=/cert.pem
            rpctlskey=/key.pem
            maxmempool=5
            maxmempooltx=11
            mempoolexpiry=2
            loglevel=debug,p2p:warn
            logformat=json
            mindiskfree=7
            """
        )
        self.assertIs(config.network, Network.DEVNET)
        self.assertEqual(config.genesis_path, Path("/some/genesis.json"))
        self.assertEqual(config.validator_id, "validator1")
        self.assertEqual((config.listen_host, config.listen_port), ("127.0.0.2", 8001))
        self.assertEqual(config.peers, (PeerAddress("localhost", 8002), PeerAddress("::1", 8003)))
        self.assertEqual(config.external, PeerAddress("203.0.113.7", 9))
        self.assertEqual(
            config.seeds,
            (PeerAddress("seed.example.org", 24200), PeerAddress("other.example.org", 7)),
        )
        self.assertFalse(config.discover)
        self.assertEqual(config.max_connections, 9)
        self.assertEqual(config.datadir, Path("/data"))
        self.assertEqual(
            config.rpc.bind, (("127.0.0.1", 8081), ("::1", 8082), ("127.0.0.3", 24201))
        )
        logins = Logins(config.rpc.logins, {})
        self.assertIsNotNone(logins.check("alice", "with#hash = and equals"))
        self.assertIsNone(logins.check("alice", "with"))
        self.assertEqual(config.rpc.cookie_path, Path("/run/cookie"))
        self.assertEqual(len(config.rpc.allowed), 4)
        self.assertEqual(config.rpc.whitelist, {"alice": frozenset({"help", "stop"})})
        self.assertEqual(config.rpc.tls, TlsFiles(Path("/cert.pem"), Path("/key.pem")))
        self.assertEqual(config.pool_limits.max_bytes, 5_000_000)
        self.assertEqual(config.pool_limits.max_pending, 11)
        self.assertEqual(config.pool_limits.expiry_ms, 7_200_000)
        self.assertEqual(config.log_levels, LevelSetting("debug", {"p2p": "warn"}))
        self.assertEqual((config.log_format, config.min_disk_free_bytes), ("json", 7_000_000))

    def test_the_command_line_wins(self) -> None:
        config = self.load("port=1\nrpcallowip=192.0.2.1\nmaxconnections=3", port="2")
        self.assertEqual((config.listen_port, config.max_connections), (2, 3))

    def test_external_port_is_the_own_one_unless_given(self) -> None:
        config = self.load("port=7\nexternalip=2001:db8::1")
        self.assertEqual(config.external, PeerAddress("2001:db8::1", 7))

    def test_a_relative_path_is_made_absolute(self) -> None:
        self.assertEqual(self.load(datadir="here").datadir, Path.cwd() / "here")

    def test_rpcauth_lines_add_up(self) -> None:
        line = "bob:aa$" + "0" * 64
        config = self.load(f"rpcauth={line}\nrpcauth={line.replace('bob', 'eve')}")
        self.assertEqual([login.user for login in config.rpc.logins], ["bob", "eve"])


class RefusalTests(ConfigCase):
    def test_unknown_key_names_file_and_line(self) -> None:
        reason = self.refused("\n# fine\nprot=1\n")
        self.assertIn("some.conf line 3", reason)
        self.assertIn("prot: unknown key", reason)

    def test_a_passphrase_is_no_setting(self) -> None:
        for key in ("passphrase", "walletpassphrase", "wallet-passphrase"):
            self.assertIn("unknown key", self.refused(f"{key}=secret"))
        self.assertEqual([o.name for o in OPTIONS if "phrase" in o.name], [])

    def test_line_without_value(self) -> None:
        self.assertIn("expected key=value", self.refused("network"))

    def test_twice(self) -> None:
        self.assertIn("port: given twice", self.refused("port=1\nport=1"))

    def test_values(self) -> None:
        for key, value in (
            ("network", "moonnet"),
            ("validator-id", "../key"),
            ("validator-id", ""),
            ("port", "70000"),
            ("port", "-1"),
            ("port", "١"),
            ("bind", "example.org"),
            ("peers", "localhost"),
            ("peers", "localhost:1,"),
            ("peers", "::1:5"),
            ("rpc-bind", "127.0.0.1:x"),
            ("rpc-bind", "[::1"),
            ("rpcauth", "bob"),
            ("rpcallowip", "here"),
            ("rpcwhitelist", "bob"),
            ("maxmempool", "0"),
            ("loglevel", "loud"),
            ("loglevel", "info,warn"),
            ("loglevel", "info,kitchen:debug"),
            ("loglevel", "p2p:info,p2p:debug"),
            ("logformat", "xml"),
            ("mindiskfree", "-1"),
            ("datadir", ""),
        ):
            self.assertIn(key, self.refused(f"{key}={value}"), value)

    def test_pairs(self) -> None:
        self.assertIn("rpcpassword", self.refused("rpcuser=alice"))
        self.assertIn("rpcuser", self.refused("rpcpassword=x"))
        self.assertIn("rpctlskey", self.refused("rpctlscert=x"))

    def test_https_always_but_on_loopback_by_choice(self) -> None:
        data = self.home / "data"
        own = TlsFiles(data / "rpc.cert", data / "rpc.key", own=True)
        admins = TlsFiles(Path("/c"), Path("/k"))
        files = "rpctlscert=/c\nrpctlskey=/k\n"
        for text, expected in (
            ("", None),
            ("rpctls=0", None),
            ("rpctls=1", own),
            ("rpc-bind=10.0.0.1:1", own),
            ("rpc-bind=127.0.0.1:1,::", own),
            (files, admins),
            (files + "rpctls=1", admins),
        ):
            config = self.load(f"datadir={data}\n{text}")
            self.assertEqual(config.rpc.tls, expected, text)
        self.assertIn("loopback", self.refused("rpctls=0\nrpc-bind=127.0.0.1:1,10.0.0.1:1"))
        self.assertIn("contradict", self.refused(f"rpctls=0\n{files}"))
        self.assertIn("rpctls", self.refused("rpctls=yes"))

    def test_unreadable_files(self) -> None:
        self.assertRaises(ConfigError, read_config, self.home / "absent.conf")
        self.assertRaises(ConfigError, read_config, self.home)
        binary = self.home / "binary.conf"
        binary.write_bytes(b"port=\xff\n")
        self.assertRaises(ConfigError, read_config, binary)
        binary.write_bytes(b"#" * ((1 << 20) + 1))
        self.assertRaises(ConfigError, read_config, binary)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, content: bytes) -> None:
        path = Path(self.mktemp())
        path.write_bytes(content)
        try:
            read_config(path)
        except ConfigError as error:
            self.assertNotIn("\n", str(error))

    def test_paths_that_are_none(self) -> None:
        for value in ("~nobody-of-that-name/data", "a\0b"):
            with self.assertRaises(ConfigError):
                load_config({"datadir": [value]}, self.file(""))

    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from([o.name for o in OPTIONS]), st.text(max_size=30))
    def test_any_value_is_taken_or_refused(self, name: str, value: str) -> None:
        try:
            load_config({name: [value]}, self.file(""))
        except ConfigError as error:
            self.assertEqual(len(str(error).splitlines()), 1)


class CatchingUpTests(ConfigCase):
    """How a node comes to history, and how much of it stays."""

    def test_checkpoints(self) -> None:
        one, other = "ab" * 32, "cd" * 32
        config = self.load(f"checkpoint=10:{one}\ncheckpoint=2000:{other}\n")
        self.assertEqual(
            config.checkpoints, ((10, bytes.fromhex(one)), (2_000, bytes.fromhex(other)))
        )
        self.assertEqual(self.load().checkpoints, ())

    def test_bad_checkpoints(self) -> None:
        good = "ab" * 32
        for text in ("10", f":{good}", f"0:{good}", f"x:{good}", "10:abcd", f"10:{good}00"):
            self.assertIn("checkpoint", self.refused(f"checkpoint={text}\n"))
        twice = self.refused(f"checkpoint=10:{good}\ncheckpoint=10:{'cd' * 32}\n")
        self.assertEqual(twice, "checkpoint: two hashes for one height")

    def test_snapshot_and_pruning(self) -> None:
        config = self.load("snapshotsync=1\nprune=1100\n")
        self.assertEqual((config.snapshot_sync, config.prune), (True, 1_100))
        self.assertEqual((self.load().snapshot_sync, self.load().prune), (False, 0))
        self.assertIn("prune", self.refused("prune=1099\n"))
        self.assertIn("snapshotsync", self.refused("snapshotsync=2\n"))
