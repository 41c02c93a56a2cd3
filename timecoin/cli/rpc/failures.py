"""How a call can fail, with the exit status of each way (2 is click's, for usage)."""

from __future__ import annotations

import click

from timecoin.cli.output.sanitize import visible
from timecoin.client.blocking import RpcCallError, RpcUnreachable

_HTTP = {
    401: "the login was refused",
    403: "this user or this address may not call that",
    413: "the request is too large",
    429: "too many failed logins: wait",
    503: "the node is busy, or stops",
}


class CallRefused(click.ClickException):
    """The node answered with an error."""

    exit_code = 1

    def __init__(self, error: RpcCallError) -> None:
        super().__init__(visible(str(error)))
        self.code = error.code


class CannotConnect(click.ClickException):
    """No usable answer."""

    exit_code = 3

    def __init__(self, reason: str, status: int | None = None) -> None:
        """``status``: that of HTTP, when it was the only answer."""
        super().__init__(reason)
        self.status = status

    @classmethod
    def because(cls, error: RpcUnreachable) -> CannotConnect:
        """What to tell of ``error``."""
        meaning = _HTTP.get(error.status or 0)
        advice = f": {meaning}" if meaning else ""
        return cls(f"cannot connect: {error}{advice}", error.status)
