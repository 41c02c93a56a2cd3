"""The RPC interface as a Twisted service: listens, and stops gracefully."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from timecoin.rpc.auth import LOOPBACK, Gate, IPNetwork, Login, Logins
from timecoin.rpc.connection import BoundedTls, ConnectionLimits
from timecoin.rpc.cookie import Cookie
from timecoin.rpc.methods.control import HelpMethods
from timecoin.rpc.ports import CallMeter, MetricsText
from timecoin.rpc.reception import Reception, StrangerLimits
from timecoin.rpc.server import JsonRpcServer, ServerLimits
from timecoin.rpc.site import MetricsDoor, Report, make_site
from timecoin.rpc.subscriptions import Streams
from timecoin.rpc.throttle import LoginThrottle
from timecoin.rpc.tls import TlsError, TlsFiles, ensure_certificate, tls_options
from timecoin.rpc.websocket import WebSocketDoor, WebSocketLimits

STOP_GRACE_S = 5.0
"""Running calls may take this long to finish when the node stops."""
CLOSE_GRACE_S = 1.0
"""Written answers may take this long to leave after that."""


class RpcStartError(Exception):
    """The interface cannot start; one line for the operator."""


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """What an operator chooses (``rpc*`` options).

    ``bind``: addresses (IPv4, IPv6 or ``localhost``) and ports. Without ``tls`` only loopback
    addresses are taken. ``whitelist``: methods by user; see :class:`timecoin.rpc.auth.Logins`.
    """

    bind: tuple[tuple[str, int], ...]
    logins: tuple[Login, ...] = ()
    cookie_path: Path | None = None
    allowed: tuple[IPNetwork, ...] = LOOPBACK
    whitelist: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tls: TlsFiles | None = None
    server: ServerLimits = field(default_factory=ServerLimits)
    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
    strangers: StrangerLimits = field(default_factory=StrangerLimits)
    websocket: WebSocketLimits = field(default_factory=WebSocketLimits)


class RpcService(Service):
    """Serves the methods of ``groups`` and ``help``, ``/ws``, ``/status`` and ``/health``."""

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTCP,
        settings: RpcSettings,
        groups: Sequence[object],
        *,
        streams: Streams,
        status: Report,
        health: Report,
        metrics: MetricsText | None = None,
        on_call: CallMeter | None = None,
    ) -> None:
        """``on_call`` hears of every answered call; without ``metrics`` that page is missing."""
        self.setName("rpc")
        if not settings.logins and settings.cookie_path is None:
            raise RpcStartError("rpc: nobody could log in: set rpcuser, rpcauth or a cookie file")
        clock = IReactorTime(reactor)
        self._reactor = reactor
        self._clock = clock
        self._settings = settings
        self._logins = Logins(settings.logins, settings.whitelist)
        self.throttle = LoginThrottle(clock)
        reception = Reception(clock, settings.strangers)
        gate = Gate(self._logins, self.throttle, settings.allowed, reception.logged_in)
        self.server = JsonRpcServer(clock, gate, settings.server, on_call)
        self.server.publish(HelpMethods(self.server.methods), *groups)
        self.websocket = WebSocketDoor(clock, gate, streams, settings.websocket)
        self._site = make_site(
            self.server,
            websocket=self.websocket,
            status=status,
            health=health,
            metrics=None if metrics is None else MetricsDoor(gate, metrics),
            reactor=clock,
            limits=settings.connection,
            reception=reception,
        )
        self._cookie = Cookie(settings.cookie_path) if settings.cookie_path else None
        self._cookie_login: Login | None = None
        self._ports: list[IListeningPort] = []

    @property
    def under_way(self) -> int:
        """HTTP requests being answered now."""
        return self.server.under_way

    @property
    def failed_logins(self) -> int:
        """Wrong users or passwords since the start."""
        return self.throttle.failed_total

    @property
    def websockets(self) -> int:
        """Open WebSocket connections."""
        return self.websocket.clients

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where it listens: hosts and the real ports (for a port 0 asked for)."""
        hosts = [port.getHost() for port in self._ports]
        return tuple(
            (host.host, host.port) for host in hosts if isinstance(host, IPv4Address | IPv6Address)
        )

    def startService(self) -> None:
        """Listen on every address and write the cookie; :class:`RpcStartError` leaves neither."""
        try:
            factory = self._factory()
            for host, port in self._settings.bind:
                self._ports.append(self._listen(host, port, factory))
            if self._cookie is not None:
                self._cookie_login = self._cookie.create()
                self._logins.add(self._cookie_login)
        except (RpcStartError, OSError) as error:
            for listening in self._ports:
                listening.stopListening()
            self._ports.clear()
            if isinstance(error, OSError):
                raise RpcStartError(f"rpc: cannot write the cookie: {error}") from error
            raise
        super().startService()
        scheme = "https" if self._settings.tls else "http"
        for host, port in self.addresses:
            shown = f"[{host}]" if ":" in host else host
            self.log.info("listening on {url}", url=f"{scheme}://{shown}:{port}/")

    def stopService(self) -> Deferred[None]:
        """Stop listening, let running calls finish for 5 s, then close every connection."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        self.websocket.close()
        try:
            await self.server.close().addTimeout(STOP_GRACE_S, self._clock)
        except TimeoutError:
            self.log.warn("{count} calls cut off", count=self.server.under_way)
            self.server.cancel_all()
        await self._site.close(CLOSE_GRACE_S)
        if self._cookie is not None and self._cookie_login is not None:
            self._cookie.remove()
            self._logins.discard(self._cookie_login)
            self._cookie_login = None

    def _listen(self, host: str, port: int, factory: ServerFactory[Any]) -> IListeningPort:
        interface = _interface(host)
        if self._settings.tls is None and not _is_loopback(interface):
            raise RpcStartError(
                f"rpc: {host} is not a loopback address: set a TLS certificate and key"
            )
        try:
            return self._reactor.listenTCP(port, factory, interface=interface)
        except CannotListenError as error:
            raise RpcStartError(
                f"rpc: cannot listen on {host}:{port}: {error.socketError}"
            ) from error

    def _factory(self) -> ServerFactory[Any]:
        if self._settings.tls is None:
            return self._site
        try:
            if self._settings.tls.own:
                hosts = [_interface(host) for host, _ in self._settings.bind]
                now = datetime.fromtimestamp(self._clock.seconds(), UTC)
                ensure_certificate(self._settings.tls, hosts, now)
            options = tls_options(self._settings.tls)
        except TlsError as error:
            raise RpcStartError(f"rpc: {error}") from error
        return cast("ServerFactory[Any]", BoundedTls(options, False, self._site))


def _interface(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
