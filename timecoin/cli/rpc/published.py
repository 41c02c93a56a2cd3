"""The RPC methods of this version, read from their signatures: no node is asked.

The server publishes the same :class:`~timecoin.rpc.method.Method`; ``help`` and ``rpc.discover``
are made from it, too.
"""

from __future__ import annotations

import functools
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module

from timecoin.rpc import methods
from timecoin.rpc.method import Method, methods_of


@functools.cache
def published_methods() -> Mapping[str, Mapping[str, Method]]:
    """Methods by name, by the group that they belong to (``chain``, ``wallet``, ...)."""
    groups: dict[str, Mapping[str, Method]] = {}
    for found in pkgutil.iter_modules(methods.__path__):
        module = import_module(f"{methods.__name__}.{found.name}")
        named = {
            method.name: method
            for group in _classes(module.__name__, vars(module))
            for method in methods_of(object.__new__(group))  # without parts: it is only looked at
        }
        if named:
            groups[found.name] = named
    return groups


def find_method(name: str) -> Method | None:
    """The method called ``name``, whatever its case."""
    lowered = name.lower()
    return next(
        (named[lowered] for named in published_methods().values() if lowered in named), None
    )


def _classes(module: str, members: Mapping[str, object]) -> Iterator[type]:
    for member in members.values():
        if inspect.isclass(member) and member.__module__ == module:
            yield member
