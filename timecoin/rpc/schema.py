"""What a method's annotations say about its parameters, and the check that follows from it.

An annotation is a plain type (``int``, ``str``, ``bool``, ``object`` for anything, ``list[X]``,
``dict[str, X]``, ``X | Y``, ``X | None``) or ``Annotated[T, V]`` with a value type V, such as
:data:`timecoin.rpc.valuetypes.Hash`. Dispatch, ``help`` and the OpenRPC document all read the same
:class:`Signature`, so they cannot differ.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from twisted.internet.defer import Deferred

from timecoin.rpc.errors import INVALID_PARAMS, RpcError
from timecoin.rpc.jsonvalues import dumps
from timecoin.rpc.valuetypes import (
    Anything,
    Array,
    Boolean,
    Either,
    Integer,
    JsonSchema,
    Object,
    Text,
    ValueType,
)

MAX_NAME_SHOWN = 64
"""Characters of a client's own text that an error message repeats."""

_PLAIN: Mapping[object, ValueType] = {
    bool: Boolean(),
    int: Integer(),
    str: Text(),
    object: Anything(),
}


_RESULTS = (
    (types.NoneType, "null"),
    (bool, "boolean"),
    (int, "integer"),
    (Decimal, "number"),
    (str, "string"),
)


def value_type(annotation: object) -> ValueType:
    """The value type that ``annotation`` stands for; ``TypeError`` if there is none."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        for extra in arguments[1:]:
            if isinstance(extra, ValueType):
                return extra
    elif origin is list:
        return Array(value_type(arguments[0]))
    elif origin is dict and arguments[0] is str:
        return Object(value_type(arguments[1]))
    elif origin in (types.UnionType, typing.Union):
        return Either(tuple(value_type(part) for part in arguments))
    raise TypeError(f"no JSON type for the annotation {annotation!r}")


def result_schema(function: Callable[..., object]) -> JsonSchema:
    """JSON Schema of what ``function`` returns; ``TypeError`` without a JSON type for it."""
    hints = typing.get_type_hints(function)
    if "return" not in hints:
        raise TypeError(f"the result of {function!r} has no annotation")
    return _result_schema(hints["return"])


def _result_schema(annotation: object) -> JsonSchema:
    for kind, name in _RESULTS:
        if annotation is kind:
            return {"type": name}
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is object:
        return {}
    if origin is Deferred:
        return _result_schema(arguments[0])
    if origin is list:
        return {"type": "array", "items": _result_schema(arguments[0])}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": _result_schema(arguments[1])}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_result_schema(part) for part in arguments]}
    raise TypeError(f"no JSON type for the result {annotation!r}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; ``default`` is meaningful unless ``required``."""

    name: str
    type: ValueType
    required: bool
    default: object
    named_only: bool

    @property
    def usage(self) -> str:
        """As ``help`` prints it: brackets for optional, ``name=`` for named only."""
        text = f"{self.name}=..." if self.named_only else self.name
        return text if self.required else f"[{text}]"

    @property
    def schema(self) -> JsonSchema:
        """Its values as JSON Schema, with the default."""
        default = {} if self.default is None else {"default": self.default}
        return self.type.schema | default

    @property
    def description(self) -> str:
        """Name, type and default in one line."""
        if self.required:
            return f"{self.name}: {self.type.label}, required"
        default = "" if self.default is None else f", default {dumps(self.default).decode()}"
        return f"{self.name}: {self.type.label}, optional{default}"


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a method in order, and other names that clients may use for them."""

    parameters: tuple[Parameter, ...]
    aliases: Mapping[str, str]

    @classmethod
    def of(cls, function: Callable[..., object], aliases: Mapping[str, str]) -> Signature:
        """Read from the annotations; ``TypeError`` at once for what JSON-RPC cannot pass."""
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = tuple(
            _parameter(parameter, hints)
            for parameter in inspect.signature(function).parameters.values()
        )
        names = {parameter.name for parameter in parameters}
        if not names.issuperset(aliases.values()) or not names.isdisjoint(aliases):
            raise TypeError(f"aliases {dict(aliases)} do not fit the parameters")
        return cls(parameters, aliases)

    @property
    def usage(self) -> str:
        """The parameters as ``help`` shows them after the method's name."""
        return " ".join(parameter.usage for parameter in self.parameters)

    def read(self, params: object) -> dict[str, object]:
        """Python arguments by name from JSON ``params`` (list, object, or None for none).

        RPC errors: -32602 for too many, missing or unknown ones, then what the types raise.
        A null where a default exists means the default, as in Bitcoin.
        """
        given = self._by_position(params) if isinstance(params, list) else self._by_name(params)
        arguments = {}
        for parameter in self.parameters:
            value = given.get(parameter.name)
            if not parameter.required and value is None:
                continue
            if parameter.name not in given:
                raise RpcError(INVALID_PARAMS, f"missing parameter: {parameter.name}")
            arguments[parameter.name] = parameter.type.read(value, parameter.name)
        return arguments

    def _by_position(self, params: Sequence[object]) -> dict[str, object]:
        names = [parameter.name for parameter in self.parameters if not parameter.named_only]
        if len(params) > len(names):
            raise RpcError(
                INVALID_PARAMS,
                f"takes at most {len(names)} positional parameters, got {len(params)}",
            )
        return dict(zip(names, params, strict=False))

    def _by_name(self, params: object) -> dict[str, object]:
        given: dict[str, object] = {}
        if not isinstance(params, dict):
            return given
        known = {parameter.name for parameter in self.parameters}
        for name, value in params.items():
            target = self.aliases.get(name, name)
            if target not in known:
                raise RpcError(INVALID_PARAMS, f"unknown parameter: {name[:MAX_NAME_SHOWN]}")
            if target in given:
                raise RpcError(INVALID_PARAMS, f"parameter given twice: {target}")
            given[target] = value
        return given


def _parameter(parameter: inspect.Parameter, hints: Mapping[str, object]) -> Parameter:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(f"JSON-RPC cannot pass the parameter {parameter}")
    if parameter.name not in hints:
        raise TypeError(f"the parameter {parameter.name} has no annotation")
    required = parameter.default is parameter.empty
    annotation = hints[parameter.name]
    parts = typing.get_args(annotation)
    if types.NoneType in parts:
        if required:
            raise TypeError(f"the parameter {parameter.name} may be None but has no default")
        annotation = functools.reduce(
            operator.or_, (part for part in parts if part is not types.NoneType)
        )
    return Parameter(
        name=parameter.name,
        type=value_type(annotation),
        required=required,
        default=None if required else parameter.default,
        named_only=parameter.kind is parameter.KEYWORD_ONLY,
    )
