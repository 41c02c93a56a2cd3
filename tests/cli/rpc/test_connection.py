"""Where the node answers and who asks, from the settings that the daemon reads."""

from __future__ import annotations

import os
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.rpc import connection
from timecoin.cli.rpc.connection import Connection, Given, read_cookie
from timecoin.cli.rpc.failures import CannotConnect
from timecoin.params import RPC_PORT, Network


class ConnectionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.datadir = Path(self.mktemp()).absolute()
        self.datadir.mkdir()

    def connection(self, *lines: str, **given: str) -> Connection:
        (self.datadir / "timecoin.conf").write_text("\n".join(("network=devnet", *lines)))
        return Connection(Given(datadir=str(self.datadir), **given))  # type: ignore[arg-type]


class UrlTests(ConnectionCase):
    def test_defaults(self) -> None:
        port = RPC_PORT[Network.DEVNET]
        self.assertEqual(self.connection().url, f"http://127.0.0.1:{port}/")

    def test_network_of_the_command_line_wins(self) -> None:
        port = RPC_PORT[Network.TESTNET]
        self.assertEqual(self.connection(network="testnet").url, f"http://127.0.0.1:{port}/")

    def test_as_configured(self) -> None:
        for bind, url in (
            ("127.0.0.1:8081", "http://127.0.0.1:8081/"),
            ("[::1]:8081", "http://[::1]:8081/"),
            ("192.0.2.1:7,127.0.0.1:8", "https://127.0.0.1:8/"),
            ("0.0.0.0:9", "https://127.0.0.1:9/"),
            ("[::]:9", "https://[::1]:9/"),
            ("192.0.2.1:7", "https://192.0.2.1:7/"),
        ):
            self.assertEqual(self.connection(f"rpc-bind={bind}").url, url)

    def test_the_given_one_wins(self) -> None:
        url = "https://example.net:1/"
        self.assertEqual(self.connection("rpc-bind=127.0.0.1:8", rpc_url=url).url, url)

    def test_a_named_file(self) -> None:
        other = self.datadir / "other.conf"
        other.write_text("network=devnet\nrpc-bind=127.0.0.1:5\n")
        self.assertEqual(self.connection(config=str(other)).url, "http://127.0.0.1:5/")

    def test_a_bad_file(self) -> None:
        error = self.assertRaises(click.UsageError, lambda: self.connection("what=1").url)
        self.assertIn("what: unknown key", error.message)


class SystemTests(ConnectionCase):
    """The service of this machine, for those who name no node and have none."""

    def setUp(self) -> None:
        super().setUp()
        self.system = self.datadir / "system.conf"
        self.system.write_text("network=testnet\nrpc-bind=127.0.0.1:5\n")
        self.patch(connection, "SYSTEM_CONFIG", self.system)
        self.patch(os, "environ", os.environ | {"HOME": str(self.datadir)})

    def test_who_names_nothing(self) -> None:
        self.assertEqual(Connection(Given()).url, "http://127.0.0.1:5/")
        self.assertIs(Connection(Given()).config.network, Network.TESTNET)

    def test_who_names_a_node(self) -> None:
        url = f"http://127.0.0.1:{RPC_PORT[Network.DEVNET]}/"
        self.assertEqual(Connection(Given(network="devnet")).url, url)
        self.assertEqual(Connection(Given(datadir=str(self.datadir), network="devnet")).url, url)
        self.assertIsNone(Connection(Given(rpc_url="https://example.net:1/")).config_path)

    def test_who_has_a_node(self) -> None:
        (self.datadir / ".timecoin" / "mainnet").mkdir(parents=True)
        self.assertIs(Connection(Given()).config.network, Network.MAINNET)

    def test_no_service(self) -> None:
        self.system.unlink()
        self.assertIs(Connection(Given()).config.network, Network.MAINNET)


class TrustTests(ConnectionCase):
    def test_the_certificate_that_the_node_made(self) -> None:
        connection = self.connection("rpctls=1")
        self.assertIsNone(connection.tls_cert)
        (self.datadir / "rpc.cert").touch()
        self.assertEqual(connection.tls_cert, self.datadir / "rpc.cert")

    def test_that_of_the_administrator_is_for_authorities(self) -> None:
        (self.datadir / "rpc.cert").touch()
        connection = self.connection("rpctlscert=/a.pem", "rpctlskey=/b.pem")
        self.assertIsNone(connection.tls_cert)


class LoginTests(ConnectionCase):
    def test_the_cookie(self) -> None:
        (self.datadir / ".cookie").write_text("__cookie__:ab:cd")
        self.assertEqual(self.connection().login(), ("__cookie__", "ab:cd"))

    def test_a_cookie_elsewhere(self) -> None:
        (self.datadir / "biscuit").write_text("__cookie__:x")
        connection = self.connection(f"rpccookiefile={self.datadir / 'biscuit'}")
        self.assertEqual(connection.login(), ("__cookie__", "x"))

    def test_no_cookie(self) -> None:
        error = self.assertRaises(CannotConnect, self.connection().login)
        self.assertEqual(error.exit_code, 3)
        (self.datadir / ".cookie").write_text("no colon")
        self.assertRaises(CannotConnect, self.connection().login)
        (self.datadir / ".cookie").write_bytes(b"\xff:\xff")
        self.assertRaises(CannotConnect, read_cookie, self.datadir / ".cookie")

    def test_as_configured(self) -> None:
        lines = ("rpcuser=bob", "rpcpassword=pw")
        self.assertEqual(self.connection(*lines).login(), ("bob", "pw"))
        self.assertEqual(self.connection(*lines, rpc_user="bob").login(), ("bob", "pw"))

    def test_given_ones_win(self) -> None:
        lines = ("rpcuser=bob", "rpcpassword=pw")
        given = {"rpc_user": "eve", "rpc_password": "other"}
        self.assertEqual(self.connection(*lines, **given).login(), ("eve", "other"))
        self.assertEqual(self.connection(*lines, rpc_password="x").login(), ("bob", "x"))

    def test_a_user_without_password(self) -> None:
        """No terminal to ask at."""
        connection = self.connection("rpcuser=bob", "rpcpassword=pw", rpc_user="eve")
        self.patch_stdin_away()
        self.assertRaises(click.UsageError, connection.login)

    def test_a_password_without_user(self) -> None:
        self.assertRaises(click.UsageError, self.connection(rpc_password="x").login)

    def patch_stdin_away(self) -> None:
        import io
        import sys

        self.patch(sys, "stdin", io.StringIO())
