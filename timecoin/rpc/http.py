"""Refusals below JSON-RPC, and JSON as the body of an HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from twisted.web.iweb import IRequest

from timecoin.rpc.jsonvalues import dumps


class HttpRefusal(Exception):
    """A request that gets no JSON-RPC answer."""

    def __init__(
        self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{int(status)} {reason}")
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


def json_answer(request: IRequest, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> bytes:
    """Set status and headers for the JSON text ``body``, which is returned for writing.

    The content type is exact, without a charset: clients compare it.
    """
    request.setResponseCode(int(status))
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"cache-control", b"no-store")
    return body


def refusal_answer(request: IRequest, refusal: HttpRefusal) -> bytes:
    """Set status and headers of ``refusal``; returns its body, ``{"error": reason}``."""
    for name, value in refusal.headers.items():
        request.setHeader(name.encode("ascii"), value.encode("ascii"))
    return json_answer(request, dumps({"error": refusal.reason}), refusal.status)
