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

from timecoin.rpc.auth import Gate, is_loopback
from timecoin.rpc.connection import BoundedSite, ConnectionLimits
from timecoin.rpc.http import HttpRefusal, json_answer, refusal_answer
from timecoin.rpc.jsonvalues import dumps
from timecoin.rpc.ports import MetricsText
from timecoin.rpc.reception import Reception
from timecoin.rpc.server import JsonRpcServer
from timecoin.rpc.websocket import WebSocketDoor

Report = Callable[[], Mapping[str, object]]
"""What ``/status`` or ``/health`` shows now: JSON values without any secret."""


METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
"""The text format of Prometheus."""


def make_resource(
    rpc: JsonRpcServer,
    websocket: WebSocketDoor,
    status: Report,
    health: Report,
    metrics: MetricsDoor | None = None,
) -> KleinResource:
    """``POST /rpc``, ``POST /``, ``GET /ws``, ``/status``, ``/health`` and ``/metrics``.

    ``health`` must hold ``healthy``, ``live`` and ``ready``: true answers 200, false 503, to
    ``/health``, ``/health/live`` and ``/health/ready``. Without ``metrics`` that page is missing.
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
        return answer_health(request, "healthy")

    @app.route("/health/live", methods=["GET"])
    def show_live(request: IRequest) -> bytes:
        return answer_health(request, "live")

    @app.route("/health/ready", methods=["GET"])
    def show_ready(request: IRequest) -> bytes:
        return answer_health(request, "ready")

    def answer_health(request: IRequest, key: str) -> bytes:
        report = health()
        code = HTTPStatus.OK if report[key] is True else HTTPStatus.SERVICE_UNAVAILABLE
        return json_answer(request, dumps(dict(report)), code)

    if metrics is not None:

        @app.route("/metrics", methods=["GET"])
        async def show_metrics(request: Request) -> bytes:
            return await metrics.show(request)

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


class MetricsDoor:
    """``GET /metrics``: open to this machine, to others with a login."""

    def __init__(self, gate: Gate, text: MetricsText) -> None:
        self._gate = gate
        self._text = text

    async def show(self, request: Request) -> bytes:
        """The text; :class:`HttpRefusal` as for any call from elsewhere."""
        host = str(getattr(request.getClientAddress(), "host", ""))
        if not is_loopback(host):
            await self._gate.admit(host, request.getHeader(b"authorization"))
        text = self._text()
        request.setHeader(b"content-type", METRICS_TYPE)
        request.setHeader(b"content-length", b"%d" % len(text))
        request.setHeader(b"cache-control", b"no-store")
        return text


def make_site(
    rpc: JsonRpcServer,
    *,
    websocket: WebSocketDoor,
    status: Report,
    health: Report,
    metrics: MetricsDoor | None = None,
    reactor: IReactorTime,
    limits: ConnectionLimits,
    reception: Reception,
) -> BoundedSite:
    """The site that serves :func:`make_resource` over bounded connections."""
    resource = make_resource(rpc, websocket, status, health, metrics)
    return BoundedSite(resource, limits, reception, reactor)
