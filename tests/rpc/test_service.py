"""The service on real sockets: start, calls over HTTP and HTTPS, graceful stop; bad settings."""

from __future__ import annotations

import datetime
import ipaddress
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import treq
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from treq.client import HTTPClient
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers

from timecoin.params import Network
from timecoin.rpc import service as service_module
from timecoin.rpc.auth import Login
from timecoin.rpc.connection import ConnectionLimits
from timecoin.rpc.method import rpc_method
from timecoin.rpc.reception import StrangerLimits
from timecoin.rpc.service import RpcService, RpcSettings, RpcStartError
from timecoin.rpc.subscriptions import Streams, Subscriptions
from timecoin.rpc.tls import TlsFiles

REACTOR: Any = global_reactor
HERE = (("127.0.0.1", 0),)


class Methods:
    """One method that waits until told."""

    def __init__(self) -> None:
        self.started: Deferred[None] = Deferred()
        self.finish: Deferred[str] = Deferred()

    @rpc_method()
    async def wait(self) -> str:
        """Answer when told."""
        self.started.callback(None)
        return await self.finish


def write_certificate(folder: Path) -> TlsFiles:
    """A self-signed P-256 certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(folder / "rpc.cert", folder / "rpc.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


class ServiceTestCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.methods = Methods()
        self.settings = RpcSettings(bind=HERE, logins=(Login.from_password("alice", "right"),))
        self.pool = HTTPConnectionPool(REACTOR)
        self.addCleanup(self.pool.closeCachedConnections)
        self.http = HTTPClient(Agent(REACTOR, pool=self.pool))

    def service(self, settings: RpcSettings) -> RpcService:
        return RpcService(
            REACTOR,
            settings,
            [self.methods],
            streams=Streams(Network.DEVNET, Subscriptions()),
            status=lambda: {"height": 0},
            health=lambda: {"healthy": True},
        )

    def start(self, settings: RpcSettings) -> RpcService:
        service = self.service(settings)
        service.startService()
        self.addCleanup(lambda: service.stopService() if service.running else None)
        return service

    def url(self, service: RpcService, scheme: str = "http") -> str:
        host, port = service.addresses[0]
        return f"{scheme}://{host}:{port}/"

    def post(self, url: str, method: str, auth: tuple[str, str]) -> Deferred[Any]:
        body = json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode()
        headers = Headers({"content-type": ["application/json"]})
        posted: Deferred[Any] = self.http.post(url, data=body, auth=auth, headers=headers)
        return posted


class RunningTests(ServiceTestCase):
    async def test_cookie(self) -> None:
        cookie = self.folder / ".cookie"
        service = self.start(RpcSettings(bind=HERE, cookie_path=cookie))
        user, password = cookie.read_text().split(":")
        response = await self.post(self.url(service), "help", (user, password))
        self.assertEqual(response.code, 200)
        answer = await treq.json_content(response)
        self.assertEqual(answer["result"], "help [command]\nrpc.discover\nwait")
        await service.stopService()
        self.assertFalse(cookie.exists())

    async def test_who_has_logged_in_does_not_wait_for_strangers(self) -> None:
        """Of those one request a minute would be served."""
        few = StrangerLimits(requests_per_minute=1, requests_burst=1)
        service = self.start(replace(self.settings, strangers=few))
        for _ in range(3):
            response = await self.post(self.url(service), "help", ("alice", "right"))
            self.assertEqual(response.code, 200)
            await response.content()

    async def test_two_addresses(self) -> None:
        service = self.start(replace(self.settings, bind=(("localhost", 0), ("127.0.0.2", 0))))
        for host, port in service.addresses:
            response = await self.http.get(f"http://{host}:{port}/status")
            self.assertEqual(await treq.json_content(response), {"height": 0})
        self.assertEqual([host for host, _ in service.addresses], ["127.0.0.1", "127.0.0.2"])

    async def test_stop_lets_a_running_call_finish(self) -> None:
        service = self.start(self.settings)
        waiting = self.post(self.url(service), "wait", ("alice", "right"))
        await self.methods.started
        stopped = service.stopService()
        self.assertFalse(stopped.called)
        self.methods.finish.callback("done")
        response = await waiting
        self.assertEqual((await treq.json_content(response))["result"], "done")
        await stopped

    async def test_stop_does_not_wait_for_ever(self) -> None:
        self.patch(service_module, "STOP_GRACE_S", 0.05)
        service = self.start(self.settings)
        waiting = self.post(self.url(service), "wait", ("alice", "right"))
        await self.methods.started
        await service.stopService()
        await self.assertFailure(waiting, Exception)
        self.assertTrue(self.methods.finish.called)

    async def test_tls(self) -> None:
        files = write_certificate(self.folder)
        service = self.start(replace(self.settings, tls=files))
        certificate = Certificate.loadPEM(files.certificate.read_bytes())
        policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates([certificate]))
        self.http = HTTPClient(Agent(REACTOR, contextFactory=policy, pool=self.pool))
        response = await self.post(self.url(service, "https"), "help", ("alice", "right"))
        self.assertEqual(response.code, 200)
        await treq.content(response)
        await service.stopService()

    async def test_who_is_not_let_in_costs_no_tls(self) -> None:
        full = ConnectionLimits(max_connections=0)
        tls = write_certificate(self.folder)
        service = self.start(replace(self.settings, tls=tls, connection=full))
        endpoint = TCP4ClientEndpoint(REACTOR, *service.addresses[0])
        caller = cast(Caller, await endpoint.connect(Factory.forProtocol(Caller)))
        await caller.gone
        self.assertEqual(caller.heard, b"")


class Caller(Protocol):
    """Says how TLS begins and hears what comes of it."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()
        self.heard = b""

    def connectionMade(self) -> None:
        """The head of a record."""
        assert self.transport is not None
        self.transport.write(b"\x16\x03\x01")

    def dataReceived(self, data: bytes) -> None:
        """Keep."""
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cut off."""
        self.gone.callback(None)


class StartErrorTests(ServiceTestCase):
    def refused(self, settings: RpcSettings) -> str:
        service = self.service(settings)
        error = self.assertRaises(RpcStartError, service.startService)
        self.assertFalse(service.running)
        self.assertEqual(service.addresses, ())
        return str(error)

    async def test_port_in_use(self) -> None:
        service = self.start(self.settings)
        _, port = service.addresses[0]
        cookie = self.folder / ".cookie"
        message = self.refused(
            RpcSettings(bind=(("127.0.0.1", 0), ("127.0.0.1", port)), cookie_path=cookie)
        )
        self.assertIn(f"rpc: cannot listen on 127.0.0.1:{port}", message)
        self.assertIn("in use", message)
        self.assertFalse(cookie.exists())

    def test_plain_http_beyond_loopback(self) -> None:
        for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
            self.assertIn("TLS", self.refused(replace(self.settings, bind=((host, 0),))))

    def test_cookie_that_cannot_be_written(self) -> None:
        message = self.refused(RpcSettings(bind=HERE, cookie_path=self.folder / "no" / ".cookie"))
        self.assertIn("cookie", message)

    def test_bad_certificate(self) -> None:
        files = write_certificate(self.folder)
        other = self.folder / "other"
        other.mkdir()
        wrong_key = TlsFiles(files.certificate, write_certificate(other).key)
        missing = TlsFiles(self.folder / "none", files.key)
        swapped = TlsFiles(files.key, files.certificate)
        for tls in (wrong_key, missing, swapped):
            self.assertIn("TLS certificate", self.refused(replace(self.settings, tls=tls)))

    def test_nobody_could_log_in(self) -> None:
        self.assertRaises(RpcStartError, self.service, RpcSettings(bind=HERE))
