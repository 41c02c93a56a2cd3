"""HTTPS: the administrator's certificate, or one of the node's own, made at the first start."""

from __future__ import annotations

import datetime
import ipaddress
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger

VALID_DAYS = 825
"""A made certificate is good for so long: more is refused by some clients."""
RENEW_DAYS = 30
"""It is renewed at a start so long before its end."""
CLOCK_SKEW = datetime.timedelta(hours=1)
ALWAYS_NAMED = ("127.0.0.1", "::1")

_UNUSABLE = (
    OSError,
    ValueError,
    TypeError,
    SSL.Error,
    crypto.Error,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
)
"""What the libraries raise for files that are none of ours."""

_log = Logger("timecoin.rpc")


class TlsError(Exception):
    """A certificate or key that cannot be used or made; one line for the operator."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the certificate (with its chain after it) and the private key."""

    certificate: Path
    key: Path
    own: bool = False
    """Made by this node where missing, and renewed; else both are the administrator's."""


def tls_options(files: TlsFiles) -> CertificateOptions:
    """TLS 1.2 or newer with these files; :class:`TlsError`."""
    try:
        first, *chain = x509.load_pem_x509_certificates(files.certificate.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), password=None)
        options = CertificateOptions(
            privateKey=key,  # type: ignore[arg-type]  # Twisted declares pyOpenSSL's own types
            certificate=first,  # type: ignore[arg-type]
            extraCertChain=chain,  # type: ignore[arg-type]
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        options.getContext()
    except _UNUSABLE as error:
        raise TlsError(f"TLS certificate or key: {error}") from error
    return options


def ensure_certificate(files: TlsFiles, hosts: Sequence[str], now: datetime.datetime) -> None:
    """Make the node's own key and certificate where they are missing.

    The certificate names ``localhost``, the loopback addresses and ``hosts``. It is renewed, under
    the same key, shortly before its end and when it names another set of hosts. :class:`TlsError`
    when a file cannot be used or written.
    """
    try:
        key = _read_key(files.key) if files.key.exists() else _make_key(files.key)
        wanted = _names(hosts)
        reason = "made"
        if files.certificate.exists():
            found = x509.load_pem_x509_certificate(files.certificate.read_bytes())
            stale = _stale(found, key, wanted, now)
            if stale is None:
                return
            reason = f"renewed, because the old one {stale}"
        made = _self_signed(key, wanted, now)
        _write(files.certificate, made.public_bytes(Encoding.PEM), 0o644)
    except _UNUSABLE as error:
        raise TlsError(f"TLS certificate or key: {error}") from error
    _log.info(
        "certificate {path} {reason}; good until {end}, SHA-256 {fingerprint}",
        path=str(files.certificate),
        reason=reason,
        end=made.not_valid_after_utc.date().isoformat(),
        fingerprint=made.fingerprint(hashes.SHA256()).hex(),
    )


def _stale(
    found: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    wanted: list[x509.GeneralName],
    now: datetime.datetime,
) -> str | None:
    """Why a certificate has to be replaced, if it has."""
    if found.public_key() != key.public_key():
        return "was for another key"
    if found.not_valid_after_utc <= now:
        return "had expired"
    if found.not_valid_after_utc - now < datetime.timedelta(days=RENEW_DAYS):
        return "was about to expire"
    named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return None if list(named) == wanted else "named other addresses"


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """``localhost``, loopback, then those of ``hosts`` that somebody could ask for."""
    addresses = [ipaddress.ip_address(host) for host in (*ALWAYS_NAMED, *hosts)]
    named = dict.fromkeys(address for address in addresses if not address.is_unspecified)
    return [x509.DNSName("localhost"), *(x509.IPAddress(address) for address in named)]


def _self_signed(
    key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], now: datetime.datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "timecoin RPC")])
    public = key.public_key()
    key_id = x509.SubjectKeyIdentifier.from_public_key(public)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(server, critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(key, hashes.SHA256())
    )


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise TlsError(f"{path} can be read by others (mode {mode:04o}); chmod 600 it")
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} is no key of this node's making: remove it or set rpctlskey")
    return key


def _make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(path, text, 0o600)
    return key


def _write(path: Path, content: bytes, mode: int) -> None:
    """Appears under its name only when whole; never readable beyond ``mode`` on the way."""
    partial = path.with_name(path.name + ".tmp")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
