"""Who may call: user and password, ``rpcauth`` lines, allowed addresses, allowed methods.

Passwords are kept as salted HMAC-SHA256, the form that Bitcoin Core's ``rpcauth.py`` writes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from timecoin.rpc.http import HttpRefusal
from timecoin.rpc.throttle import LoginThrottle

AUTHENTICATE = {"WWW-Authenticate": 'Basic realm="timecoin"'}

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[IPNetwork, ...] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)


def _digest(salt: str, password: str) -> str:
    return hmac.digest(salt.encode(), password.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Login:
    """One accepted user: ``hmac`` is HMAC-SHA256(salt, password) in hex."""

    user: str
    salt: str
    hmac: str

    @classmethod
    def from_password(cls, user: str, password: str) -> Login:
        """The login of ``rpcuser`` and ``rpcpassword``, under a fresh salt."""
        if not user or ":" in user:
            raise ValueError("rpcuser: a name without a colon is needed")
        if not password:
            raise ValueError("rpcpassword: must not be empty")
        salt = secrets.token_hex(16)
        return cls(user, salt, _digest(salt, password))

    @classmethod
    def from_rpcauth(cls, line: str) -> Login:
        """Read ``user:salt$hmac``, as Bitcoin Core's ``rpcauth.py`` prints it."""
        user, colon, rest = line.partition(":")
        salt, dollar, digest = rest.partition("$")
        if not (user and colon and salt and dollar) or not _is_sha256_hex(digest):
            raise ValueError("rpcauth: expected user:salt$hmac with 64 lower-case hex digits")
        return cls(user, salt, digest)


def _is_sha256_hex(text: str) -> bool:
    return len(text) == 64 and not text.strip("0123456789abcdef")


def is_loopback(address: str) -> bool:
    """Whether ``address`` is one of this machine alone; text that is no address is not."""
    parsed = _address(address)
    return parsed is not None and parsed.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in ``text``, an IPv4 one mapped into IPv6 as itself; None if it is none."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def parse_allowip(lines: Iterable[str]) -> tuple[IPNetwork, ...]:
    """Networks of ``rpcallowip`` lines (an address or a network), loopback always among them."""
    try:
        return LOOPBACK + tuple(ipaddress.ip_network(line.strip()) for line in lines)
    except ValueError as error:
        raise ValueError(f"rpcallowip: {error}") from error


def parse_whitelist(lines: Iterable[str]) -> dict[str, frozenset[str]]:
    """Methods by user from ``rpcwhitelist`` lines, ``user:method1,method2``.

    As in Bitcoin Core, lines for one user intersect.
    """
    allowed: dict[str, frozenset[str]] = {}
    for line in lines:
        user, colon, methods = line.partition(":")
        if not user or not colon:
            raise ValueError("rpcwhitelist: expected user:method,method")
        names = frozenset(name.strip() for name in methods.split(",") if name.strip())
        allowed[user] = allowed[user] & names if user in allowed else names
    return allowed


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user; ``methods`` None means all."""

    user: str
    methods: frozenset[str] | None = None

    def may_call(self, method: str) -> bool:
        """Whether the whitelist lets this user call ``method``."""
        return self.methods is None or method in self.methods


class Logins:
    """All accepted logins; checking takes the same time whoever asks.

    If ``whitelist`` names any user, those it does not name may call nothing (as Bitcoin Core).
    """

    def __init__(self, logins: Iterable[Login], whitelist: Mapping[str, frozenset[str]]) -> None:
        self._logins = list(logins)
        self._whitelist = dict(whitelist)

    def add(self, login: Login) -> None:
        """Accept one more, such as the cookie of this run."""
        self._logins.append(login)

    def discard(self, login: Login) -> None:
        """Accept this one no longer."""
        self._logins.remove(login)

    def check(self, user: str, password: str) -> Caller | None:
        """The caller, or None. Every login is compared in full, whichever matches."""
        matched = False
        for login in self._logins:
            same_user = hmac.compare_digest(login.user.encode(), user.encode())
            same_password = hmac.compare_digest(login.hmac, _digest(login.salt, password))
            matched |= same_user & same_password
        if not matched:
            return None
        methods = self._whitelist.get(user, frozenset()) if self._whitelist else None
        return Caller(user, methods)


def basic_credentials(header: bytes | None) -> tuple[str, str] | None:
    """User and password of an ``Authorization`` header (RFC 7617), or None if it has none."""
    if header is None:
        return None
    scheme, _, token = header.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        text = base64.b64decode(token.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def _nobody_asks(address: str) -> None:
    """Who logs in from where is nobody's concern."""


class Gate:
    """Everything a request must pass before its body is looked at."""

    def __init__(
        self,
        logins: Logins,
        throttle: LoginThrottle,
        allowed: tuple[IPNetwork, ...] = LOOPBACK,
        on_login: Callable[[str], None] = _nobody_asks,
    ) -> None:
        """``on_login`` hears the address of each request that is admitted."""
        self._logins = logins
        self._throttle = throttle
        self._on_login = on_login
        self._allowed = allowed

    async def admit(self, address: str, authorization: bytes | None) -> Caller:
        """The caller; :class:`HttpRefusal` 403 (address), 429 (guessing) or 401 (login)."""
        if not self._is_allowed(address):
            raise HttpRefusal(HTTPStatus.FORBIDDEN, "address not in rpcallowip")
        if authorization is None:
            raise HttpRefusal(HTTPStatus.UNAUTHORIZED, "login needed", AUTHENTICATE)
        self._throttle.check(address)
        credentials = basic_credentials(authorization)
        caller = self._logins.check(*credentials) if credentials else None
        if caller is None:
            await self._throttle.failed(address)
            raise HttpRefusal(HTTPStatus.UNAUTHORIZED, "wrong user or password", AUTHENTICATE)
        self._throttle.succeeded(address)
        self._on_login(address)
        return caller

    def _is_allowed(self, address: str) -> bool:
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._allowed)
