"""The envelope of JSON-RPC: what a body asks, and how it is answered (specification 2.0, 4 to 6).

A request without ``jsonrpc``, or with ``"1.0"``, is one of Bitcoin's older clients: it is answered
in their form, ``{result, error, id}``, and is never a notification.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from timecoin.rpc.errors import INVALID_REQUEST, PARSE_ERROR, RpcError
from timecoin.rpc.jsonvalues import loads, plain_number


@dataclass(frozen=True, slots=True)
class Call:
    """One valid request object."""

    method: str
    params: object
    id: object
    legacy: bool
    notification: bool

    def result(self, value: object) -> dict[str, object]:
        """The answer that carries ``value``."""
        if self.legacy:
            return {"result": value, "error": None, "id": self.id}
        return {"jsonrpc": "2.0", "result": value, "id": self.id}

    def error(self, error: RpcError) -> dict[str, object]:
        """The answer that carries ``error``."""
        if self.legacy:
            return {"result": None, "error": error_object(error), "id": self.id}
        return error_answer(error, self.id)


@dataclass(frozen=True, slots=True)
class Invalid:
    """One request object that is none, with its id where that could be read."""

    reason: str
    id: object = None

    def answer(self) -> dict[str, object]:
        """Error -32600."""
        return error_answer(RpcError(INVALID_REQUEST, f"Invalid Request: {self.reason}"), self.id)


@dataclass(frozen=True, slots=True)
class Batch:
    """Several request objects in one body; ``items`` is never empty."""

    items: tuple[Call | Invalid, ...]


def error_object(error: RpcError) -> dict[str, object]:
    """``{code, message, data?}``."""
    members: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        members["data"] = error.data
    return members


def error_answer(error: RpcError, id: object = None) -> dict[str, object]:
    """A 2.0 error answer; the id is null where the request's could not be read."""
    return {"jsonrpc": "2.0", "error": error_object(error), "id": id}


def _is_id(value: object) -> bool:
    if isinstance(value, Decimal):
        try:
            plain_number(value)
        except ValueError:
            return False
        return True
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def read_request(value: object) -> Call | Invalid:
    """The request object that ``value`` is."""
    if not isinstance(value, dict):
        return Invalid("not an object")
    id = value.get("id")
    if not _is_id(id):
        return Invalid("id is not a string, number or null")
    version = value.get("jsonrpc")
    legacy = version == "1.0" or "jsonrpc" not in value
    if not legacy and version != "2.0":
        return Invalid('jsonrpc is not "2.0"', id)
    method = value.get("method")
    if not isinstance(method, str):
        return Invalid("method is not a string", id)
    params = value.get("params", [])
    if not (isinstance(params, list | dict) or (legacy and params is None)):
        return Invalid("params is not an array or object", id)
    return Call(method, params, id, legacy, notification=not legacy and "id" not in value)


def read_body(body: bytes, max_batch: int) -> Call | Invalid | Batch:
    """What an HTTP body asks; :class:`RpcError` -32700 if it is not JSON.

    An empty batch, and one of more than ``max_batch`` entries, is one invalid request.
    """
    try:
        value = loads(body)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, "Parse error") from error
    if not isinstance(value, list):
        return read_request(value)
    if not value:
        return Invalid("empty batch")
    if len(value) > max_batch:
        return Invalid(f"more than {max_batch} entries in a batch")
    return Batch(tuple(read_request(item) for item in value))
