"""Control: what the interface offers, how long the node has run, and its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from twisted.internet.interfaces import IReactorTime

from timecoin.rpc.method import Method, rpc_method
from timecoin.rpc.openrpc import openrpc_document
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Text


class HelpMethods:
    """``help`` and ``rpc.discover``, from the same signatures that dispatch checks."""

    def __init__(self, published: Mapping[str, Method]) -> None:
        self._published = published

    @rpc_method()
    def help(self, command: Annotated[str, Text(max_chars=64)] | None = None) -> str:
        """List all commands, or describe one: its parameters, their types and its result."""
        if command is None:
            return "\n".join(self._published[name].usage for name in sorted(self._published))
        method = self._published.get(command)
        return f"help: unknown command: {command}" if method is None else method.help

    @rpc_method("rpc.discover")
    def discover(self) -> Json:
        """All methods as an OpenRPC document: parameters, their types, results, descriptions."""
        return openrpc_document(self._published[name] for name in sorted(self._published))


class ControlMethods:
    """The process as a whole."""

    def __init__(self, clock: IReactorTime, stop: Callable[[], None]) -> None:
        """``stop`` ends the node in order; uptime counts from now."""
        self._clock = clock
        self._stop = stop
        self._started_s = clock.seconds()

    @rpc_method()
    def uptime(self) -> int:
        """Seconds since the node started."""
        return int(self._clock.seconds() - self._started_s)

    @rpc_method()
    def stop(self) -> str:
        """Stop the node: calls under way are answered, everything is written, exit status 0."""
        self._clock.callLater(0, self._stop)
        return "timecoin stopping"
