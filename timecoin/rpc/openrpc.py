"""The methods as an OpenRPC document: made from what dispatch itself reads, so it cannot drift.

OpenRPC has no word for parameters that go by name only and for other names of a parameter: they
stand in ``x-named-only`` and ``x-aliases``.
"""

from __future__ import annotations

from collections.abc import Iterable

from timecoin import __version__
from timecoin.rpc.method import Method
from timecoin.rpc.schema import Parameter
from timecoin.rpc.valuetypes import JsonSchema

OPENRPC_VERSION = "1.3.2"
"""Of the specification at spec.open-rpc.org."""


def openrpc_document(methods: Iterable[Method]) -> JsonSchema:
    """The document that describes ``methods``, in their order."""
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "timecoin",
            "version": __version__,
            "description": "A TIME Coin node. Amounts are TIME, exact to 8 decimals.",
            "license": {"name": "MIT"},
        },
        "methods": [_method(method) for method in methods],
    }


def _method(method: Method) -> JsonSchema:
    summary = method.doc.split("\n\n", 1)[0]
    shown: JsonSchema = {
        "name": method.name,
        "summary": " ".join(summary.split()),
        "description": method.doc,
        "tags": [{"name": method.area}],
        "paramStructure": "either",
        "params": [_parameter(parameter) for parameter in method.signature.parameters],
        "result": {"name": "result", "schema": method.result_schema},
    }
    if method.signature.aliases:
        shown["x-aliases"] = dict(method.signature.aliases)
    return shown


def _parameter(parameter: Parameter) -> JsonSchema:
    shown: JsonSchema = {
        "name": parameter.name,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    if parameter.named_only:
        shown["x-named-only"] = True
    return shown
