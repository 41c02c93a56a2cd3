"""A client of ``/ws``: subscribes, then hands on what the node tells."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure

CONNECT_TIMEOUT_S = 30
MAX_MESSAGE_BYTES = 16 << 20
NORMAL = 1000

Notification = Mapping[str, Any]
"""``subscription``, ``topic`` and ``result`` of one message; numbers are ``Decimal`` or ``int``."""


class WatchFailed(Exception):
    """The node cannot be reached, refuses, or has ended the connection; one line.

    ``refused``: it answered, with an error.
    """

    def __init__(self, reason: str, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Target:
    """A node's interface, and a login for it."""

    url: str
    user: str
    password: str
    tls_cert: Path | None

    def endpoint(self, reactor: IReactorTime) -> IStreamClientEndpoint:
        """Where to connect; :class:`WatchFailed` for a certificate that cannot be read."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WatchFailed(f"{self.url!r} is no http or https url")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        plain = HostnameEndpoint(reactor, parts.hostname, port, timeout=CONNECT_TIMEOUT_S)
        if not secure:
            return plain
        trust = platformTrust()
        if self.tls_cert is not None:
            try:
                own = Certificate.loadPEM(self.tls_cert.read_bytes())
            except OSError as error:
                raise WatchFailed(f"cannot read {self.tls_cert}: {error.strerror}") from error
            trust = trustRootFromCertificates([own])
        return wrapClientTLS(optionsForClientTLS(parts.hostname, trust), plain)

    @property
    def socket_url(self) -> str:
        """The address of the WebSocket."""
        parts = urlsplit(self.url)
        return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/ws"


class Watcher(WebSocketClientProtocol):
    """One connection; ``ended`` fires with :class:`WatchFailed`, or None after :meth:`leave`."""

    def __init__(
        self, subscriptions: Sequence[Mapping[str, str]], heard: Callable[[Notification], None]
    ) -> None:
        super().__init__()
        self.ended: Deferred[None] = Deferred()
        self._subscriptions = subscriptions
        self._heard = heard
        self._leaving = False
        self._refusal: str | None = None

    def leave(self) -> None:
        """End the connection: enough was heard."""
        self._leaving = True
        self.sendClose(NORMAL)

    def onOpen(self) -> None:
        """Subscribe."""
        for number, params in enumerate(self._subscriptions):
            call = {"jsonrpc": "2.0", "id": number, "method": "subscribe", "params": params}
            self.sendMessage(json.dumps(call).encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A notification is handed on; a refused subscription ends the connection."""
        if self._leaving or self._refusal is not None:
            return
        match json.loads(payload, parse_float=Decimal):
            case {"method": "subscription", "params": params}:
                self._heard(params)
            case {"error": {"message": message}}:
                self._refusal = str(message)
                self.sendClose(NORMAL)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone."""
        if self._refusal is not None:
            self.ended.errback(WatchFailed(self._refusal, refused=True))
        elif self._leaving:
            self.ended.callback(None)
        else:
            self.ended.errback(WatchFailed(f"the connection has ended: {reason or code}"))


async def watch(
    reactor: IReactorTime,
    target: Target,
    subscriptions: Sequence[Mapping[str, str]],
    heard: Callable[[Notification], bool],
) -> None:
    """Tell ``heard`` every notification until it answers False; :class:`WatchFailed`."""

    def hear(notification: Notification) -> None:
        if not heard(notification):
            watcher.leave()

    endpoint = target.endpoint(reactor)
    watcher = Watcher(subscriptions, hear)
    token = base64.b64encode(f"{target.user}:{target.password}".encode()).decode("ascii")
    factory = WebSocketClientFactory(
        target.socket_url, headers={"Authorization": f"Basic {token}"}, reactor=reactor
    )
    factory.setProtocolOptions(maxMessagePayloadSize=MAX_MESSAGE_BYTES)
    factory.protocol = lambda: watcher  # type: ignore[assignment]  # a class, says autobahn
    try:
        await endpoint.connect(factory)
    except Exception as error:
        reason = Failure(error).getErrorMessage() or type(error).__name__
        raise WatchFailed(f"{target.url}: {reason}") from error
    await watcher.ended
