"""What the options before the command's name say, and the calls made with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from timecoin.cli.output.screen import Screen
from timecoin.cli.rpc.connection import Connection, Given
from timecoin.cli.rpc.failures import CallRefused, CannotConnect
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable
from timecoin.rpc.errors import WARMING_UP

RETRY_S = 0.5
DEFAULT_TIMEOUT_S = 900.0
PROBE = "uptime"


@dataclass(slots=True)
class Session:
    """One run of the command."""

    given: Given = field(default_factory=Given)
    tables: bool | None = None
    raw: bool = False
    wait: bool = False
    wait_timeout_s: float | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    connection: Connection = field(init=False)
    _client: BlockingClient | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.connection = Connection(self.given)

    @property
    def screen(self) -> Screen:
        """Where results go."""
        return Screen.of_process(self.tables, self.raw)

    def call(self, method: str, params: Mapping[str, object], timeout_s: float = 0.0) -> Any:
        """The result of ``method``; :class:`CallRefused` or :class:`CannotConnect`.

        With ``--rpc-wait`` it is sent once the node answers, and again while that is catching up:
        it has done nothing then. ``timeout_s`` extends the time allowed by default.
        """
        allowed_s = max(self.timeout_s, timeout_s)
        if not self.wait:
            return self._once(method, params, allowed_s)
        deadline = None if self.wait_timeout_s is None else time.monotonic() + self.wait_timeout_s
        with self.screen.waiting(f"waiting for {self.connection.url}"):
            self._until_it_answers(deadline)
            while True:
                try:
                    return self._once(method, params, allowed_s)
                except CallRefused as error:
                    if error.code != WARMING_UP or _is_over(deadline):
                        raise
                time.sleep(RETRY_S)

    def _until_it_answers(self, deadline: float | None) -> None:
        """Ask something harmless until there is an answer, be it a refusal."""
        while True:
            try:
                self._once(PROBE, {}, self.timeout_s)
            except CallRefused:
                return
            except CannotConnect as error:
                if error.status is not None and error.status != 503:
                    return
                if _is_over(deadline):
                    raise
                self.close()  # the next cookie may be another
            else:
                return
            time.sleep(RETRY_S)

    def _once(self, method: str, params: Mapping[str, object], timeout_s: float) -> Any:
        if self._client is None:
            self._client = self.connection.client(self.timeout_s)
        try:
            return self._client.call(method, params, timeout_s)
        except RpcCallError as error:
            raise CallRefused(error) from error
        except RpcUnreachable as error:
            raise CannotConnect.because(error) from error

    def close(self) -> None:
        """Give up the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


pass_session = click.make_pass_decorator(Session, ensure=True)
