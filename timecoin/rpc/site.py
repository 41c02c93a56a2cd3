"""The routes: JSON-RPC, and what monitoring may read without a login."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from timecoin.rpc.connection import BoundedSite, ConnectionLimits
from timecoin.rpc.http import HttpRefusal, json_answer, refusal_answer
from timecoin.rpc.jsonvalues import dumps
from timecoin.rpc.server import JsonRpcServer
from timecoin.rpc.websocket import WebSocketDoor

Report = Callable[[], Mapping[str, object]]
"""What ``/status`` or ``/health`` shows now: JSON values without any secret."""


def make_resource(
    rpc: JsonRpcServer, websocket: WebSocketDoor, status: Report, health: Report
) -> KleinResource:
    """``POST /rpc``, ``POST /``, ``GET /ws``, ``GET /status``, ``GET /health``.

    ``health`` must hold ``healthy``: true answers 200, false 503.
    """
    app = Klein()

    @app.route("/rpc", methods=["POST"])
    @app.route("/", methods=["POST"])
    def call(request: IRequest) -> JsonRpcServer:
        return rpc

    @app.route("/ws", methods=["GET"])
    async def upgrade(request: Request) -> IResource:
        return await websocket.admit(request)

    @app.route("/status", methods=["GET"])
    def show_status(request: IRequest) -> bytes:
        return json_answer(request, dumps(dict(status())))

    @app.route("/health", methods=["GET"])
    def show_health(request: IRequest) -> bytes:
        report = health()
        code = HTTPStatus.OK if report["healthy"] is True else HTTPStatus.SERVICE_UNAVAILABLE
        return json_answer(request, dumps(dict(report)), code)

    @app.handle_errors(HttpRefusal)
    def refuse_upgrade(request: IRequest, failure: Failure) -> bytes:
        assert isinstance(failure.value, HttpRefusal)
        return refusal_answer(request, failure.value)

    @app.handle_errors(HTTPException)
    def refuse(request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, HTTPException)
        headers = {}
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        code = HTTPStatus(error.code or HTTPStatus.NOT_FOUND)
        return refusal_answer(request, HttpRefusal(code, code.phrase.lower(), headers))

    return app.resource()


def make_site(
    rpc: JsonRpcServer,
    *,
    websocket: WebSocketDoor,
    status: Report,
    health: Report,
    reactor: IReactorTime,
    limits: ConnectionLimits,
) -> BoundedSite:
    """The site that serves :func:`make_resource` over bounded connections."""
    return BoundedSite(make_resource(rpc, websocket, status, health), limits, reactor)
