"""Strict JSON-RPC 2.0 on txjsonrpc_ng's resource: batches, notifications, errors, limits.

txjsonrpc_ng finds the method (``jsonrpc_NAME``, sub-handlers for dotted names); its own ``render``
answers no batch, no notification and leaks exceptions, so this one replaces it.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request
from txjsonrpc_ng.jsonrpc import BaseSubhandler
from txjsonrpc_ng.jsonrpclib import Fault
from txjsonrpc_ng.web.jsonrpc import JSONRPC

from timecoin.rpc.auth import Caller, Gate
from timecoin.rpc.envelope import Batch, Call, Invalid, error_answer, read_body
from timecoin.rpc.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, RpcError
from timecoin.rpc.http import HttpRefusal, json_answer, refusal_answer
from timecoin.rpc.jsonvalues import dumps
from timecoin.rpc.method import Method, methods_of
from timecoin.rpc.ports import CallMeter
from timecoin.rpc.requestid import HEADER, begin_request

JSON_TYPES = frozenset(
    ("", "application/json", "application/json-rpc", "application/jsonrequest", "text/plain")
)
"""Content types taken for JSON; Bitcoin's clients send text/plain or none."""

TURN_BUDGET_S = 0.02
"""A batch yields to the reactor after this: votes never wait for a reader."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """``max_batch`` entries in a body (``rpcmaxbatch``); ``queue_depth`` requests at a time."""

    max_batch: int = 1_000
    queue_depth: int = 256


class _Serving:
    """One HTTP request under way; cancelling it cancels what its methods wait for."""

    def __init__(self) -> None:
        self.cancelled = False
        self.work: Deferred[None] | None = None

    def cancel(self) -> None:
        self.cancelled = True
        if self.work is not None:
            self.work.cancel()


class JsonRpcServer(JSONRPC):  # type: ignore[misc]  # txjsonrpc_ng is not typed
    """The resource behind ``POST /rpc`` and ``POST /``."""

    log = Logger()
    isLeaf = True

    def __init__(
        self,
        clock: IReactorTime,
        gate: Gate,
        limits: ServerLimits,
        on_call: CallMeter | None = None,
    ) -> None:
        """``on_call`` hears of every answered call."""
        super().__init__()
        self._on_call = on_call
        self._clock = clock
        self._gate = gate
        self._limits = limits
        self._methods: dict[str, Method] = {}
        self._serving: dict[_Serving, None] = {}
        self._closing = False
        self._idle: list[Deferred[None]] = []

    @property
    def methods(self) -> Mapping[str, Method]:
        """The published methods by name (a live view)."""
        return MappingProxyType(self._methods)

    @property
    def under_way(self) -> int:
        """HTTP requests being answered now."""
        return len(self._serving)

    def publish(self, *groups: object) -> None:
        """Publish the marked methods of each group; ``ValueError`` for a name used twice."""
        for group in groups:
            for method in methods_of(group):
                if method.name in self._methods:
                    raise ValueError(f"two RPC methods are called {method.name}")
                self._methods[method.name] = method
                handler: BaseSubhandler = self
                *prefixes, name = method.name.split(self.separator)
                for prefix in prefixes:
                    if handler.getSubHandler(prefix) is None:
                        handler.putSubHandler(prefix, BaseSubhandler())
                    handler = handler.getSubHandler(prefix)
                setattr(handler, f"jsonrpc_{name}", method)

    def _find(self, name: str) -> Method:
        try:
            found = self._getFunction(name)
        except Fault:
            found = None
        if not isinstance(found, Method):  # "__dir__" is txjsonrpc_ng's own
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        return found

    # --- from bytes to bytes

    async def answer(self, body: bytes, caller: Caller, serving: _Serving | None = None) -> bytes:
        """The JSON text that answers ``body``; empty if it holds notifications only.

        :class:`HttpRefusal` 403 if the caller may not call one of the methods; nothing has been
        called then.
        """
        serving = serving or _Serving()
        try:
            request = read_body(body, self._limits.max_batch)
        except RpcError as error:
            return dumps(error_answer(error))
        items = request.items if isinstance(request, Batch) else (request,)
        for item in items:
            if isinstance(item, Call) and not caller.may_call(item.method):
                raise HttpRefusal(HTTPStatus.FORBIDDEN, "method not in rpcwhitelist")
        if not isinstance(request, Batch):
            return await self._answer_one(request, serving) or b""
        answers = [text for text in await self._answer_all(items, serving) if text is not None]
        return b"[" + b",".join(answers) + b"]" if answers else b""

    async def _answer_all(
        self, items: tuple[Call | Invalid, ...], serving: _Serving
    ) -> list[bytes | None]:
        started: list[Deferred[bytes | None]] = []
        turn_began_s = self._clock.seconds()
        try:
            for item in items:
                started.append(Deferred.fromCoroutine(self._answer_one(item, serving)))
                if self._clock.seconds() - turn_began_s > TURN_BUDGET_S:
                    next_turn: Deferred[None] = deferLater(self._clock, 0)
                    await next_turn
                    turn_began_s = self._clock.seconds()
            return await gatherResults(started)
        except (CancelledError, FirstError):
            for work in started:
                work.addErrback(lambda _: None)
                work.cancel()
            raise

    async def _answer_one(self, item: Call | Invalid, serving: _Serving) -> bytes | None:
        if isinstance(item, Invalid):
            return dumps(item.answer())
        began_s = self._clock.seconds()
        try:
            text, failure = await self._call(item)
        except Exception:
            if serving.cancelled:
                raise
            failure = self._internal_error(item.method)
            text = dumps(item.error(failure))
        if self._on_call is not None and item.method in self._methods:
            seconds = self._clock.seconds() - began_s
            self._on_call(item.method, seconds, None if failure is None else failure.code)
        return None if item.notification else text

    async def _call(self, call: Call) -> tuple[bytes, RpcError | None]:
        """The answer, and the error in it if there is one."""
        try:
            result = self._find(call.method)(call.params)
            if inspect.isawaitable(result):
                result = await result
            return dumps(call.result(result)), None
        except RpcError as error:
            return dumps(call.error(error)), error

    def _internal_error(self, method: str) -> RpcError:
        error_id = secrets.token_hex(8)
        self.log.failure(
            "internal error {error_id} in {method!r}", error_id=error_id, method=method
        )
        return RpcError(INTERNAL_ERROR, "Internal error", {"error_id": error_id})

    # --- HTTP

    def render(self, request: Request) -> int:
        """Answer one HTTP request; a client that leaves cancels its calls."""
        serving = _Serving()
        request.notifyFinish().addErrback(lambda _: serving.cancel())
        work = serving.work = Deferred.fromCoroutine(self._serve(request, serving))
        work.addErrback(self._failed, request, serving)
        work.addCallback(self._served, serving)
        return NOT_DONE_YET

    async def _serve(self, request: Request, serving: _Serving) -> None:
        request.setHeader(HEADER, begin_request(request.getHeader(HEADER)))
        try:
            caller = await self._admit(request)
            self._serving[serving] = None
            assert request.content is not None  # set before the body arrives
            request.content.seek(0)
            body = await self.answer(request.content.read(), caller, serving)
        except HttpRefusal as refusal:
            body = refusal_answer(request, refusal)
        else:
            if body:
                json_answer(request, body)
            else:
                request.setResponseCode(int(HTTPStatus.NO_CONTENT))
        if not serving.cancelled:
            request.write(body)
            request.finish()

    async def _admit(self, request: Request) -> Caller:
        host = getattr(request.getClientAddress(), "host", "")
        caller = await self._gate.admit(host, request.getHeader(b"authorization"))
        _check_content_type(request)
        if self._closing or len(self._serving) >= self._limits.queue_depth:
            reason = "stopping" if self._closing else "work queue full"
            raise HttpRefusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "1"})
        return caller

    def _failed(self, failure: Failure, request: Request, serving: _Serving) -> None:
        if serving.cancelled:
            return
        self.log.failure("request failed", failure=failure)
        refusal = HttpRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        request.write(refusal_answer(request, refusal))
        request.finish()

    def _served(self, _: None, serving: _Serving) -> None:
        self._serving.pop(serving, None)
        if not self._serving:
            waiting, self._idle = self._idle, []
            for done in waiting:
                done.callback(None)

    # --- stopping

    def close(self) -> Deferred[None]:
        """Take no more requests (503); fires when the running ones are answered."""
        self._closing = True
        done: Deferred[None] = Deferred()
        if self._serving:
            self._idle.append(done)
        else:
            done.callback(None)
        return done

    def cancel_all(self) -> None:
        """Cancel what still runs; those clients get no answer."""
        for serving in list(self._serving):
            serving.cancel()


def _check_content_type(request: Request) -> None:
    declared = (request.getHeader(b"content-type") or b"").decode("latin-1")
    if declared.partition(";")[0].strip().lower() not in JSON_TYPES:
        raise HttpRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
    encoding = (request.getHeader(b"content-encoding") or b"identity").lower()
    if encoding != b"identity":
        raise HttpRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body uncompressed")
