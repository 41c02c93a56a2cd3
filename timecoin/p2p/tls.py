"""TLS 1.3 between nodes: the key of a self-signed Ed25519 certificate is the node's identity.

Both ends present a certificate. Nothing in it but the key has a meaning: no name, no date, no
issuer. TLS proves that the peer holds the private key (RFC 8446, CertificateVerify); whether such
a key is welcome is decided above.
"""

from __future__ import annotations

import datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, X509, dump_publickey
from OpenSSL.crypto import Error as OpenSSLError
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IPushProducer,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

EXPORTER_LABEL = b"EXPORTER-timecoin-v1"
EXPORTER_BYTES = 32
KEY_BYTES = 32
_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""What comes before the key in its SubjectPublicKeyInfo (RFC 8410)."""


class TlsTransport(Protocol):
    """What a connection uses of Twisted's TLS transport."""

    def write(self, data: bytes) -> None:
        """Send; the writes of one reactor turn are joined."""

    def getHandle(self) -> SSL.Connection:
        """OpenSSL's end of the connection."""

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Ask to be told when the buffer is full and when it has room."""

    def unregisterProducer(self) -> None:
        """Ask no more."""

    def pauseProducing(self) -> None:
        """Read no more from the connection."""

    def resumeProducing(self) -> None:
        """Read again."""

    def loseConnection(self) -> None:
        """Close after all that was written is sent."""

    def abortConnection(self) -> None:
        """Close now."""


def self_signed(key: Ed25519PrivateKey) -> x509.Certificate:
    """The certificate of a node key: the same bytes each time, valid for ever in practice."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "timecoin-node")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC))
        .sign(key, None)  # Ed25519 has no separate hash
    )


def _is_node_certificate(
    connection: SSL.Connection, certificate: X509, error: int, depth: int, ok: int
) -> bool:
    # A chain means nothing here: the leaf's key is the peer. So OpenSSL's verdict, which can only
    # be "self-signed" or "not yet valid", does not count.
    return depth == 0 and _node_key(certificate) is not None


def _node_key(certificate: X509) -> bytes | None:
    """The Ed25519 key of a certificate; None for any other key, and for one that is unreadable.

    Nothing else of the certificate is parsed: its names, dates and extensions are a stranger's.
    """
    try:
        encoded = dump_publickey(FILETYPE_ASN1, certificate.get_pubkey())
    except OpenSSLError:
        return None
    if len(encoded) != len(_ED25519) + KEY_BYTES or not encoded.startswith(_ED25519):
        return None
    return encoded[len(_ED25519) :]


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLClientConnectionCreator)
class NodeTls:
    """Makes the TLS end of every connection of a node; one context serves them all."""

    def __init__(self, seed: bytes) -> None:
        """``seed`` is the node key's 32-byte Ed25519 seed."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        self.node_id = key.public_key().public_bytes_raw()
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # idle links are many: 22 kB less for each
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate(self_signed(key))
        context.use_privatekey(key)
        context.check_privatekey()
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _is_node_certificate)
        self._context = context

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The answering end (IOpenSSLServerConnectionCreator)."""
        return SSL.Connection(self._context, None)

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The calling end (IOpenSSLClientConnectionCreator)."""
        return SSL.Connection(self._context, None)


def peer_key(connection: SSL.Connection) -> bytes:
    """The node id at the other end of a connection whose handshake is done."""
    certificate = connection.get_peer_certificate()
    assert certificate is not None, "the handshake demands a certificate"
    key = _node_key(certificate)
    assert key is not None, "the handshake demands an Ed25519 key"
    return key


def exporter_value(connection: SSL.Connection) -> bytes:
    """A secret of this one connection, equal at both ends (RFC 8446, section 7.5)."""
    return connection.export_keying_material(EXPORTER_LABEL, EXPORTER_BYTES, b"")
