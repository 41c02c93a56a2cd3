"""A small blocking JSON-RPC client: one kept-alive connection, used by one thread at a time."""

from __future__ import annotations

import base64
import http.client
import json
import select
import socket
import ssl
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

MAX_ANSWER_BYTES = 64 << 20

_ENCODER = msgspec.json.Encoder(decimal_format="number")  # the standard one knows no Decimal


class RpcCallError(Exception):
    """The node answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.message = message
        self.data = data


class RpcUnreachable(Exception):
    """No usable answer: nobody listens, a time-out, a refused login, or no JSON-RPC."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        """``status``: that of HTTP, when it was the only answer."""
        super().__init__(reason)
        self.status = status


class BlockingClient:
    """Calls the methods of one node. Amounts arrive as exact :class:`~decimal.Decimal`."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        timeout_s: float = 30.0,
        tls_cert: Path | None = None,
    ) -> None:
        """``url``: ``http://host:port/`` or ``https://...``; ``ValueError`` for another.

        ``tls_cert``: PEM file with the only certificate to trust; without it the system's
        authorities are. It is read when a connection is made.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http or https url")
        self.url = url
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path or "/"
        self._secure = parts.scheme == "https"
        self._tls_cert = tls_cert
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        self._timeout_s = timeout_s
        self._ids = count(1)
        self._connection: http.client.HTTPConnection | None = None

    def call(
        self,
        method: str,
        params: Sequence[object] | Mapping[str, object] = (),
        timeout_s: float | None = None,
    ) -> Any:
        """The result of ``method``; ``params`` by position or by name, amounts as ``Decimal``.

        :class:`RpcCallError` for the node's own refusal, :class:`RpcUnreachable` for no answer
        within ``timeout_s`` (by default the client's).
        """
        number = next(self._ids)
        request = {
            "jsonrpc": "2.0",
            "method": method,
            "params": dict(params) if isinstance(params, Mapping) else list(params),
            "id": number,
        }
        answer = self._exchange(_ENCODER.encode(request), timeout_s or self._timeout_s)
        match answer:
            case {"id": found, "result": result} if found == number:
                return result
            case {"error": {"code": int(code), "message": str(message), **rest}}:
                raise RpcCallError(code, message, rest.get("data"))
        raise RpcUnreachable(f"{self.url}: not an answer to this request")

    def get(self, path: str, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Status and body of ``GET path``, with the login; :class:`RpcUnreachable`."""
        try:
            return self._send("GET", path, None, timeout_s or self._timeout_s)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise RpcUnreachable(f"{self.url}: {_reason(error)}") from error

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes, timeout_s: float) -> object:
        try:
            status, raw = self._send("POST", self._path, body, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise RpcUnreachable(f"{self.url}: {_reason(error)}") from error
        if len(raw) > MAX_ANSWER_BYTES:
            self.close()
            raise RpcUnreachable(f"{self.url}: an answer above {MAX_ANSWER_BYTES} bytes")
        if status != http.client.OK:
            raise RpcUnreachable(f"{self.url}: HTTP status {status}", status)
        try:
            return json.loads(raw, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise RpcUnreachable(f"{self.url}: the answer is not JSON") from error

    def _send(
        self, verb: str, path: str, body: bytes | None, timeout_s: float
    ) -> tuple[int, bytes]:
        connection = self._connection
        if connection is None or _is_closed_by_peer(connection):
            self.close()
            connection = self._connection = self._connect(timeout_s)
        connection.sock.settimeout(timeout_s)
        connection.request(verb, path, body=body, headers=self._headers)
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER_BYTES + 1)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if not self._secure:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        else:
            tls = ssl.create_default_context(cafile=self._tls_cert)
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=tls
            )
        connection.connect()
        # Head and body are two writes: without this the second waits for the first's ACK.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _is_closed_by_peer(connection: http.client.HTTPConnection) -> bool:
    """Whether a kept connection has ended meanwhile.

    Found out before a request is sent: afterwards nobody knows whether it was carried out, and a
    payment must not be sent twice.
    """
    if connection.sock is None:
        return True
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return bool(readable)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
