"""A published method: a plain (async) function, its names and its signature."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from timecoin.rpc.schema import Signature, result_schema
from timecoin.rpc.valuetypes import JsonSchema

F = TypeVar("F", bound=Callable[..., object])
_MARK = "__rpc_publication__"


@dataclass(frozen=True, slots=True)
class _Publication:
    names: tuple[str, ...]
    aliases: Mapping[str, str]


def rpc_method(*names: str, aliases: Mapping[str, str] | None = None) -> Callable[[F], F]:
    """Mark a function as an RPC method, called as it is or by each of ``names``.

    ``aliases`` maps other names that clients use for a parameter to its own. The annotations say
    what the parameters are (:mod:`timecoin.rpc.schema`), those after ``*`` are named only, and the
    docstring is what ``help`` prints. The result must be a JSON value (``Decimal`` included), or
    an awaitable of one; refusals are :class:`timecoin.rpc.errors.RpcError`.
    """

    def mark(function: F) -> F:
        publication = _Publication(names or (function.__name__,), dict(aliases or {}))
        setattr(function, _MARK, publication)
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Method:
    """One method under one name; calling it checks the parameters first."""

    name: str
    function: Callable[..., object]
    signature: Signature
    doc: str

    def __call__(self, params: object) -> object | Awaitable[object]:
        """Call with JSON ``params``: a list, an object, or None for none."""
        return self.function(**self.signature.read(params))

    @property
    def area(self) -> str:
        """The module that it stands in: ``chain``, ``wallet``, ..."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def result_schema(self) -> JsonSchema:
        """JSON Schema of its result, from the annotation."""
        return result_schema(self.function)

    @property
    def usage(self) -> str:
        """One line: the name and the parameters."""
        return f"{self.name} {self.signature.usage}".rstrip()

    @property
    def help(self) -> str:
        """Usage, docstring, and one line a parameter."""
        lines = [self.usage, "", self.doc]
        if self.signature.parameters:
            lines += ["", "Parameters:"]
            lines += [f"  {parameter.description}" for parameter in self.signature.parameters]
        return "\n".join(lines)


def methods_of(group: object) -> Iterator[Method]:
    """The marked methods of ``group``, one a name, in the order of their definition.

    ``TypeError`` for one without a docstring, with a signature that JSON-RPC cannot pass, or with a
    result that JSON cannot say.
    """
    for attribute in vars(type(group)):
        publication = getattr(getattr(type(group), attribute), _MARK, None)
        if publication is None:
            continue
        function = cast(Callable[..., object], getattr(group, attribute))
        doc = inspect.getdoc(function)
        if not doc:
            raise TypeError(f"the RPC method {attribute} has no docstring")
        result_schema(function)
        signature = Signature.of(function, publication.aliases)
        for name in publication.names:
            yield Method(name, function, signature, doc)
