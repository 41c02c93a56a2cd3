"""HTTPS: the certificate that a node makes, and clients that trust it or not, on real sockets."""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import socket
import ssl
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from timecoin.client.blocking import BlockingClient, RpcUnreachable
from timecoin.params import Network
from timecoin.rpc import tls as tls_module
from timecoin.rpc.auth import Login
from timecoin.rpc.service import RpcService, RpcSettings
from timecoin.rpc.subscriptions import Streams, Subscriptions
from timecoin.rpc.tls import TlsError, TlsFiles, ensure_certificate, tls_options

REACTOR: Any = global_reactor
NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
HELP = json.dumps({"jsonrpc": "2.0", "method": "help", "id": 1}).encode()


class MadeCertificateTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.files = TlsFiles(folder / "rpc.cert", folder / "rpc.key", own=True)
        self.said: list[str] = []
        self.patch(tls_module, "_log", self)

    def info(self, text: str, **values: str) -> None:
        """Plays the log."""
        self.said.append(text.format(**values))

    def ensure(self, *hosts: str, now: datetime.datetime = NOW) -> x509.Certificate:
        ensure_certificate(self.files, hosts, now)
        return x509.load_pem_x509_certificate(self.files.certificate.read_bytes())

    def names(self, certificate: x509.Certificate) -> list[str]:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return [str(name.value) for name in found.value]

    def test_made_once(self) -> None:
        made = self.ensure("127.0.0.1", "192.0.2.7", "::", "0.0.0.0")
        self.assertEqual(self.names(made), ["localhost", "127.0.0.1", "::1", "192.0.2.7"])
        self.assertEqual(stat.S_IMODE(self.files.key.stat().st_mode), 0o600)
        self.assertEqual(self.ensure("192.0.2.7", now=NOW + DAY), made)
        self.assertEqual(len(self.said), 1)
        self.assertIn(f"{self.files.certificate} made; good until 2032-04-05", self.said[0])

    def test_renewed_under_the_same_key(self) -> None:
        made, key = self.ensure(), self.files.key.read_bytes()
        near = made.not_valid_after_utc - 31 * DAY
        self.assertEqual(self.ensure(now=near), made)
        for now, why in (
            (near + 2 * DAY, "was about to expire"),
            (made.not_valid_after_utc + 900 * DAY, "had expired"),
        ):
            renewed = self.ensure(now=now)
            self.assertGreater(renewed.not_valid_after_utc, now)
            self.assertEqual(self.files.key.read_bytes(), key)
            self.assertIn(f"renewed, because the old one {why}", self.said[-1])

    def test_renewed_for_other_addresses_and_another_key(self) -> None:
        self.ensure()
        self.assertIn("192.0.2.7", self.names(self.ensure("192.0.2.7")))
        self.assertIn("named other addresses", self.said[-1])
        self.files.key.unlink()
        self.ensure("192.0.2.7")
        self.assertIn("was for another key", self.said[-1])

    def test_killed_between_key_and_certificate(self) -> None:
        made = self.ensure()
        self.files.certificate.unlink()
        self.assertEqual(self.ensure().public_key(), made.public_key())

    def test_a_link_left_by_another_is_not_followed(self) -> None:
        target = self.files.key.with_name("target")
        self.files.key.with_name("rpc.key.tmp").symlink_to(target)
        self.ensure()
        self.assertFalse(target.exists())

    def test_unusable_files_are_left_alone(self) -> None:
        self.files.key.write_text("nonsense")
        self.assertRaises(TlsError, self.ensure)
        self.assertEqual(self.files.key.read_text(), "nonsense")
        self.assertFalse(self.files.certificate.exists())
        self.files.key.unlink()
        self.ensure()
        self.files.certificate.write_text("nonsense")
        self.assertRaises(TlsError, self.ensure)
        self.assertEqual(self.files.certificate.read_text(), "nonsense")

    def test_a_curve_that_nobody_knows(self) -> None:
        """Found by fuzzing: the library has an exception of its own for it."""
        curve = bytes.fromhex("06082a8648ce3d030107")
        self._change_certificate(curve, curve[:-1] + b"\x7f")
        self.assertRaises(TlsError, tls_options, self.files)
        self.assertRaises(TlsError, self.ensure)

    def test_a_name_that_is_no_text(self) -> None:
        """Found by fuzzing: one library reads it, the other does not."""
        self._change_certificate(b"timecoin RPC", b"\xfftimecoin RP")
        self.assertRaises(TlsError, tls_options, self.files)

    def _change_certificate(self, what: bytes, to: bytes) -> None:
        made = self.ensure().public_bytes(Encoding.DER)
        self.assertIn(what, made)
        lines = base64.encodebytes(made.replace(what, to))
        begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
        self.files.certificate.write_bytes(begin + lines + end)

    def test_a_key_that_others_can_read_is_refused(self) -> None:
        self.ensure()
        self.files.key.chmod(0o640)
        error = self.assertRaises(TlsError, self.ensure)
        self.assertIn("can be read by others (mode 0640)", str(error))

    def test_a_directory_that_is_missing(self) -> None:
        nowhere = self.files.key.with_name("nowhere")
        files = TlsFiles(nowhere / "rpc.cert", nowhere / "rpc.key", own=True)
        self.assertRaises(TlsError, ensure_certificate, files, (), NOW)


class ServedTests(TestCase):
    """One server with a certificate of its own making; blocking clients in threads."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.cert = folder / "rpc.cert"
        self.settings = RpcSettings(
            bind=(("127.0.0.1", 0),),
            logins=(Login.from_password("alice", "right"),),
            tls=TlsFiles(self.cert, folder / "rpc.key", own=True),
        )
        self.service = self.start(self.settings)
        _, self.port = self.service.addresses[0]

    def start(self, settings: RpcSettings) -> RpcService:
        service = RpcService(
            REACTOR,
            settings,
            (),
            streams=Streams(Network.DEVNET, Subscriptions()),
            status=lambda: {"height": 0},
            health=lambda: {"healthy": True},
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def help_from(self, host: str, tls_cert: Path | None) -> Deferred[str]:
        def call() -> str:
            client = BlockingClient(
                f"https://{host}:{self.port}/", "alice", "right", 10.0, tls_cert
            )
            try:
                return str(client.call("help"))
            finally:
                client.close()

        return deferToThread(call)

    async def test_by_name_and_by_address(self) -> None:
        for host in ("localhost", "127.0.0.1"):
            self.assertIn("help", await self.help_from(host, self.cert))

    async def test_ipv6(self) -> None:
        service = self.start(replace(self.settings, bind=(("::1", 0),)))
        _, self.port = service.addresses[0]
        self.assertIn("help", await self.help_from("[::1]", self.cert))

    async def test_a_certificate_that_is_not_pinned_is_refused(self) -> None:
        error = await self.assertFailure(self.help_from("127.0.0.1", None), RpcUnreachable)
        self.assertIn("certificate verify failed", str(error))
        other = self.cert.with_name("other.cert")
        files = TlsFiles(other, self.cert.with_name("other.key"), own=True)
        ensure_certificate(files, ("127.0.0.1",), datetime.datetime.now(datetime.UTC))
        error = await self.assertFailure(self.help_from("127.0.0.1", other), RpcUnreachable)
        self.assertIn("certificate verify failed", str(error))

    async def test_an_address_that_is_not_named_is_refused(self) -> None:
        service = self.start(replace(self.settings, bind=(("127.0.0.1", 0), ("0.0.0.0", 0))))
        _, self.port = service.addresses[1]
        error = await self.assertFailure(self.help_from("127.0.0.2", self.cert), RpcUnreachable)
        self.assertIn("127.0.0.2", str(error))

    async def test_a_certificate_file_that_is_missing(self) -> None:
        absent = self.cert.with_name("absent")
        await self.assertFailure(self.help_from("127.0.0.1", absent), RpcUnreachable)

    async def test_plain_http_to_the_tls_port_ends(self) -> None:
        def ask() -> str:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/", body=HELP)
                connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                return type(error).__name__
            finally:
                connection.close()
            return "answered"

        ended = await deferToThread(ask)
        self.assertNotIn(ended, ("answered", "TimeoutError"))
        self.assertIn("help", await self.help_from("127.0.0.1", self.cert))

    async def test_tls_1_1_is_refused(self) -> None:
        def version(highest: ssl.TLSVersion) -> str | None:
            context = ssl.create_default_context(cafile=self.cert)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = highest
            with (
                socket.create_connection(("127.0.0.1", self.port), 10) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                return secure.version()

        self.assertEqual(await deferToThread(version, ssl.TLSVersion.TLSv1_3), "TLSv1.3")
        self.assertEqual(await deferToThread(version, ssl.TLSVersion.TLSv1_2), "TLSv1.2")
        await self.assertFailure(deferToThread(version, ssl.TLSVersion.TLSv1_1), OSError)
