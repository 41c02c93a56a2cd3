"""Tells systemd how the node is: ready, alive, stopping (sd_notify(3)), with a line of status.

The watchdog is fed from the node's own loop, and only while its other loops turn too: a node that
hangs is ended by systemd and started again.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

STATUS_INTERVAL_S = 10.0
"""How often the line that `systemctl status` shows is written anew, at the least."""

_log = Logger("timecoin.node")


class Notifier:
    """Datagrams to the socket that the supervisor listens on."""

    def __init__(self, address: str) -> None:
        """``address`` is a path, or ``@name`` in the abstract namespace."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._failed = False

    def tell(self, *assignments: str) -> None:
        """Send ``NAME=value`` lines; what cannot be sent is logged once and given up."""
        try:
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if not self._failed:
                _log.warn("cannot tell systemd: {error}", error=error)
            self._failed = True

    def close(self) -> None:
        """Nothing is sent any more."""
        self._socket.close()


class SystemdService(Service):
    """The last of a node's services to start and the first to stop."""

    def __init__(
        self,
        clock: IReactorTime,
        notifier: Notifier,
        watchdog_s: float | None,
        status: Callable[[], str],
        alive: Callable[[], bool],
    ) -> None:
        """``watchdog_s``: after how long without a sign of life the node is ended.

        ``alive``: whether to give that sign.
        """
        self.setName("systemd")
        self._notifier = notifier
        self._status = status
        self._alive = alive
        self._watched = watchdog_s is not None
        self._interval_s = (
            STATUS_INTERVAL_S if watchdog_s is None else min(watchdog_s / 2, STATUS_INTERVAL_S)
        )
        self._clock = clock
        self._sign = LoopingCall(self._tell)
        self._sign.clock = clock

    def startService(self) -> None:
        """Ready, as soon as the loop turns."""
        super().startService()
        self._clock.callLater(0, self._ready)

    def stopService(self) -> None:
        """The supervisor learns that the node stops of its own will."""
        super().stopService()
        if self._sign.running:
            self._sign.stop()
        self._notifier.tell("STOPPING=1", "STATUS=stopping")
        self._notifier.close()

    def _ready(self) -> None:
        if self.running:
            self._notifier.tell("READY=1")
            self._sign.start(self._interval_s)

    def _tell(self) -> None:
        alive = ("WATCHDOG=1",) if self._watched and self._alive() else ()
        self._notifier.tell(*alive, f"STATUS={self._status()}")


def systemd_service(
    clock: IReactorTime,
    environ: Mapping[str, str],
    status: Callable[[], str],
    alive: Callable[[], bool],
) -> SystemdService | None:
    """The service that ``environ`` asks for; None where nobody listens.

    ``status`` makes one line about the node; ``alive`` says whether all its loops turn.
    """
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return None
    return SystemdService(clock, Notifier(address), _watchdog_s(environ), status, alive)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """The time between signs of life that is meant for this process, see sd_watchdog_enabled(3)."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isascii() and text.isdigit() and int(text) else None
