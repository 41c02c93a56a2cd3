"""The RPC methods of this version, read from their signatures: no node is asked.

The server publishes the same :class:`~timecoin.rpc.method.Method`; ``help``, ``rpc.discover`` and
docs/rpc.rst are made from it, too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from timecoin.rpc import reference
from timecoin.rpc.method import Method


@functools.cache
def published_methods() -> Mapping[str, Mapping[str, Method]]:
    """Methods by name, by the area that they belong to (``chain``, ``wallet``, ...)."""
    return {
        area: {method.name: method for method in listed}
        for area, listed in reference.published_methods().items()
    }


def find_method(name: str) -> Method | None:
    """The method called ``name``, whatever its case."""
    lowered = name.lower()
    return next(
        (named[lowered] for named in published_methods().values() if lowered in named), None
    )
