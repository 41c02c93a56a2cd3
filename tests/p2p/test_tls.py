"""Who gets through the TLS handshake, and what both ends know afterwards."""

from __future__ import annotations

import contextlib
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.loopback import LoopbackCase, Node, RawTls
from timecoin.crypto.keys import SigningKey
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
