"""Control: what the interface offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from timecoin.rpc.method import Method, rpc_method
from timecoin.rpc.valuetypes import Text


class HelpMethods:
    """``help``, printed from the same signatures that dispatch checks."""

    def __init__(self, published: Mapping[str, Method]) -> None:
        self._published = published

    @rpc_method()
    def help(self, command: Annotated[str, Text(max_chars=64)] | None = None) -> str:
        """List all commands, or describe one: its parameters, their types and its result."""
        if command is None:
            return "\n".join(self._published[name].usage for name in sorted(self._published))
        method = self._published.get(command)
        return f"help: unknown command: {command}" if method is None else method.help
