"""Who gets through the TLS handshake, and what both ends know afterwards."""

from __future__ import annotations

import contextlib
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, X509, load_certificate
from OpenSSL.crypto import Error as OpenSSLError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.loopback import LoopbackCase, Node, RawTls
from timecoin.crypto.keys import SigningKey
from timecoin.p2p import tls
from timecoin.p2p.messages import HELLO
from timecoin.p2p.tls import NodeTls, exporter_value, peer_key, self_signed


def context(certificate: x509.Certificate | None = None, key: object = None) -> SSL.Context:
    """A client's context that takes any server."""
    made = SSL.Context(SSL.TLS_METHOD)
    if certificate is not None:
        made.use_certificate(certificate)
        made.use_privatekey(key)  # type: ignore[arg-type]
    return made


def p256_certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Self-signed, but of another kind of key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "timecoin-node")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    return certificate, key


class PlainClient(Protocol):
    """Does not speak TLS."""

    def __init__(self) -> None:
        """Not connected yet."""
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Say something else."""
        assert self.transport is not None
        self.transport.write(b"GET / HTTP/1.0\r\n\r\n")

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Tell."""
        self.lost.callback(None)


class MemoryTests(SynchronousTestCase):
    """Two ends joined in memory."""

    def handshake(self, one: NodeTls, other: NodeTls) -> tuple[SSL.Connection, SSL.Connection]:
        """Carry bytes until both are done."""
        client = one.clientConnectionForTLS(None)  # type: ignore[arg-type]
        server = other.serverConnectionForTLS(None)  # type: ignore[arg-type]
        client.set_connect_state()
        server.set_accept_state()
        for _ in range(4):
            for end, target in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    end.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    target.bio_write(end.bio_read(1 << 16))
        return client, server

    def test_both_know_the_other(self) -> None:
        """Keys are the seeds' public keys; the exporter value is shared and new each time."""
        one, other = NodeTls(b"\x01" * 32), NodeTls(b"\x02" * 32)
        client, server = self.handshake(one, other)
        self.assertEqual(peer_key(client), other.node_id)
        self.assertEqual(peer_key(server), one.node_id)
        self.assertEqual(one.node_id, SigningKey(b"\x01" * 32).public)
        self.assertEqual(client.get_protocol_version_name(), "TLSv1.3")
        self.assertEqual(exporter_value(client), exporter_value(server))
        self.assertEqual(len(exporter_value(client)), 32)
        again, _ = self.handshake(one, other)
        self.assertNotEqual(exporter_value(client), exporter_value(again))

    def test_certificate_is_a_function_of_the_key(self) -> None:
        """Nothing in it tells when or where it was made."""
        key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
        self.assertEqual(self_signed(key), self_signed(key))


def carry(client: SSL.Connection, server: SSL.Connection) -> list[str]:
    """Hand bytes over until nothing changes; what each end that failed said."""
    failed: list[str] = []
    for _ in range(6):
        for end, target in ((client, server), (server, client)):
            try:
                end.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                failed.append(type(error).__name__)
            with contextlib.suppress(SSL.WantReadError, SSL.Error):
                target.bio_write(end.bio_read(1 << 16))
    return failed


class HostileCertificateTests(SynchronousTestCase):
    """Certificates of strangers: a key, or the end of the handshake; never another exception."""

    def call(self, certificate: X509, key: object) -> tuple[SSL.Connection, list[str]]:
        """The answering end after a call with this certificate, and who failed."""
        made = SSL.Context(SSL.TLS_METHOD)
        made.use_certificate(certificate)
        made.use_privatekey(key)  # type: ignore[arg-type]
        client = SSL.Connection(made, None)
        client.set_connect_state()
        server = NodeTls(b"\x02" * 32).serverConnectionForTLS(None)  # type: ignore[arg-type]
        server.set_accept_state()
        return server, carry(client, server)

    def test_other_kinds_of_keys(self) -> None:
        """One identity has one form."""
        for key in (
            ec.generate_private_key(ec.SECP256R1()),
            rsa.generate_private_key(65537, 2048),
            ed448.Ed448PrivateKey.generate(),
        ):
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "timecoin-node")])
            certificate = (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(name)
                .public_key(key.public_key())
                .serial_number(1)
                .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
                .not_valid_after(datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC))
                .sign(key, None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256())
            )
            _, failed = self.call(X509.from_cryptography(certificate), key)
            self.assertIn("Error", failed, type(key).__name__)

    def test_expired_and_of_the_future(self) -> None:
        """Dates mean nothing: a node whose clock is wrong is still itself."""
        key = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
        name = x509.Name([])
        for year in (1990, 2200):
            certificate = (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(name)
                .public_key(key.public_key())
                .serial_number(1)
                .not_valid_before(datetime.datetime(year, 1, 1, tzinfo=datetime.UTC))
                .not_valid_after(datetime.datetime(year, 2, 1, tzinfo=datetime.UTC))
                .sign(key, None)
            )
            server, failed = self.call(X509.from_cryptography(certificate), key)
            self.assertEqual((failed, peer_key(server)), ([], NodeTls(b"\x09" * 32).node_id))

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), min_size=1, max_size=6))
    def test_mutated(self, changes: list[tuple[int, int]]) -> None:
        """F23: whatever the bytes are, the handshake ends, or the key is the proved one."""
        key = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
        encoded = bytearray(self_signed(key).public_bytes(Encoding.DER))
        for at, change in changes:
            encoded[at % len(encoded)] ^= change
        try:
            certificate = load_certificate(FILETYPE_ASN1, bytes(encoded))
            server, failed = self.call(certificate, key)
        except (SSL.Error, OpenSSLError):
            return  # the caller's own OpenSSL would not send it
        if not failed:
            self.assertEqual(peer_key(server), NodeTls(b"\x09" * 32).node_id)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=8))
    def test_key_of_any_certificate(self, tail: bytes, cuts: list[int]) -> None:
        """The reader itself, on bytes that no caller's OpenSSL would send."""
        encoded = self_signed(Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)).public_bytes(
            Encoding.DER
        )
        for cut in cuts:
            at = cut % len(encoded)
            encoded = encoded[:at] + tail[:1] + encoded[at + 1 :]
        try:
            certificate = load_certificate(FILETYPE_ASN1, encoded + tail)
        except OpenSSLError:
            return
        found = tls._node_key(certificate)
        self.assertIn(None if found is None else len(found), (None, 32))

    def test_no_session_is_resumed(self) -> None:
        """Each link proves its keys anew: no ticket is sent, none is kept."""
        one, other = NodeTls(b"\x01" * 32), NodeTls(b"\x02" * 32)
        client = one.clientConnectionForTLS(None)  # type: ignore[arg-type]
        server = other.serverConnectionForTLS(None)  # type: ignore[arg-type]
        client.set_connect_state()
        server.set_accept_state()
        self.assertEqual(carry(client, server), [])
        server.send(b"x")
        client.bio_write(server.bio_read(1 << 16))
        self.assertEqual(client.recv(1), b"x")
        again = one.clientConnectionForTLS(None)  # type: ignore[arg-type]
        session = client.get_session()
        assert session is not None
        again.set_session(session)
        again.set_connect_state()
        fresh = other.serverConnectionForTLS(None)  # type: ignore[arg-type]
        fresh.set_accept_state()
        self.assertEqual(carry(again, fresh), [])
        self.assertEqual(peer_key(fresh), one.node_id, "proved by a certificate of its own")


class HandshakeTests(LoopbackCase):
    """Strangers at the door of a real service."""

    async def check_refused(self, made: SSL.Context) -> None:
        """The connection ends without a byte of the protocol."""
        node = self.start(Node(1))
        client = await self.connect(node, RawTls(made))
        self.assertEqual(await client.lost, "Error", "TLS itself must have ended it")
        self.assertEqual(client.frames, [])
        await self.until(lambda: node.connections() == 0)
        self.assertEqual(node.told.events, [])

    async def test_node_certificate(self) -> None:
        """The control: a raw client with a node key hears the hello."""
        node = self.start(Node(1))
        key = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
        client = await self.connect(node, RawTls(context(self_signed(key), key)))
        await self.until(lambda: client.frames)
        self.assertEqual(client.frames[0].kind, HELLO)

    async def test_no_certificate(self) -> None:
        """Nobody without a key."""
        await self.check_refused(context())

    async def test_p256_certificate(self) -> None:
        """No identity but Ed25519."""
        await self.check_refused(context(*p256_certificate()))

    async def test_tls_1_2(self) -> None:
        """No older TLS, even with a node key."""
        key = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
        made = context(self_signed(key), key)
        made.set_max_proto_version(SSL.TLS1_2_VERSION)
        await self.check_refused(made)

    async def test_no_tls(self) -> None:
        """Plain bytes end the connection; nobody can be blamed."""
        node = self.start(Node(1))
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", node.port)
        client = await endpoint.connect(Factory.forProtocol(PlainClient))
        assert isinstance(client, PlainClient)
        await client.lost
        await self.until(lambda: node.connections() == 0)
        self.assertEqual(node.told.events, [])
