"""What a supervisor hears of a node: against a socket of our own, by a clock that we turn."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from timecoin.node.sdnotify import STATUS_INTERVAL_S, SystemdService, systemd_service

READ_BYTES = 4096


class Supervisor:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.address = address

    def heard(self) -> list[str]:
        """The datagrams since the last call."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(READ_BYTES).decode())
            except BlockingIOError:
                return found


class SystemdServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.height = 0
        self.alive = True

    def supervisor(self, address: str | None = None) -> Supervisor:
        made = Supervisor(address or f"{os.path.relpath(self.mktemp())}.sock")
        self.addCleanup(made.socket.close)
        return made

    def service(self, supervisor: Supervisor, **variables: str) -> SystemdService:
        made = systemd_service(
            self.clock,
            {"NOTIFY_SOCKET": supervisor.address} | variables,
            lambda: f"height {self.height}",
            lambda: self.alive,
        )
        assert made is not None
        return made

    def test_a_life(self) -> None:
        """Ready when the loop turns, signs of life at half the watchdog's time, then the end."""
        supervisor = self.supervisor()
        service = self.service(supervisor, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
        service.startService()
        self.assertEqual(supervisor.heard(), [])
        self.clock.advance(0)
        self.assertEqual(supervisor.heard(), ["READY=1", "WATCHDOG=1\nSTATUS=height 0"])
        self.height = 7
        self.clock.advance(1.5)
        self.assertEqual(supervisor.heard(), ["WATCHDOG=1\nSTATUS=height 7"])
        service.stopService()
        self.assertEqual(supervisor.heard(), ["STOPPING=1\nSTATUS=stopping"])
        self.clock.advance(10)
        self.assertEqual(supervisor.heard(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_loop_that_hangs_is_silent(self) -> None:
        supervisor = self.supervisor()
        service = self.service(supervisor, WATCHDOG_USEC="3000000")
        service.startService()
        self.clock.advance(0)
        supervisor.heard()
        self.clock.advance(1.4)
        self.assertEqual(supervisor.heard(), [])
        self.clock.advance(8)
        self.assertEqual(len(supervisor.heard()), 1, "missed turns are not made up for")
        service.stopService()

    def test_a_part_that_hangs(self) -> None:
        """RPC may still answer: systemd is not told that the node lives."""
        supervisor = self.supervisor()
        service = self.service(supervisor, WATCHDOG_USEC="3000000")
        service.startService()
        self.clock.advance(0)
        supervisor.heard()
        self.alive = False
        self.clock.advance(1.5)
        self.assertEqual(supervisor.heard(), ["STATUS=height 0"])
        self.alive = True
        self.clock.advance(1.5)
        self.assertEqual(supervisor.heard(), ["WATCHDOG=1\nSTATUS=height 0"])
        service.stopService()

    def test_stopped_before_the_loop_turned(self) -> None:
        supervisor = self.supervisor()
        service = self.service(supervisor)
        service.startService()
        service.stopService()
        self.clock.advance(1)
        self.assertEqual(supervisor.heard(), ["STOPPING=1\nSTATUS=stopping"])

    def test_without_a_watchdog_for_this_process(self) -> None:
        for variables in (
            {},
            {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid() + 1)},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "soon"},
        ):
            supervisor = self.supervisor()
            service = self.service(supervisor, **variables)
            service.startService()
            self.clock.advance(0)
            self.clock.advance(STATUS_INTERVAL_S)
            self.assertEqual(
                supervisor.heard(), ["READY=1", "STATUS=height 0", "STATUS=height 0"], variables
            )
            service.stopService()

    def test_abstract_address(self) -> None:
        supervisor = self.supervisor(f"@timecoin-test-{os.getpid()}")
        service = self.service(supervisor)
        service.startService()
        self.clock.advance(0)
        self.assertIn("READY=1", supervisor.heard())
        service.stopService()

    def test_nobody_listens(self) -> None:
        """The node goes on: it is told once that nobody hears it."""
        supervisor = self.supervisor()
        service = self.service(supervisor)
        supervisor.socket.close()
        Path(supervisor.address).unlink()
        with capturedLogs() as events:
            service.startService()
            self.clock.advance(0)
            self.clock.advance(STATUS_INTERVAL_S)
            service.stopService()
        self.assertEqual(len(events), 1)
        self.assertIn("No such file", str(events[0]["error"]))

    def test_not_under_systemd(self) -> None:
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "1"}):
            self.assertIsNone(systemd_service(self.clock, environ, str, lambda: True))
