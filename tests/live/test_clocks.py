"""The clock of one machine is set while its node runs (FAULTS F18)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import start_network
from timecoin.cli.devnet import processes

NODES, LAST = 4, 3
SLOT_MS = 2_000
DAY_S = 86_400
BLOCKS = 3
PATIENCE_S = 120
"""Far more than it takes: the machine may be busy."""
SHIFTED = """
import os, time
_true = time.time
def _shifted():
    with open(os.environ["SHIFT"]) as file:
        return _true() + float(file.read())
time.time = _shifted
"""
"""What Python runs first in the process whose clock is set."""


class ClockTests(SynchronousTestCase):
    """Three others go on; the one is itself again when its clock is right."""

    def setUp(self) -> None:
        self.network = start_network(self, NODES, SLOT_MS)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SHIFTED, "utf-8")
        self.shift_path = folder / "shift"
        self.shift(0)
        processes.stop([self.network.nodes[LAST]])
        paths = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
        with patch.dict(os.environ, PYTHONPATH=paths, SHIFT=str(self.shift_path)):
            self.network.launch(LAST)
        self.network.wait_ready()
        self.clients = [node.client() for node in self.network.nodes]
        for client in self.clients:
            self.addCleanup(client.close)
        self.wait("all are members", self.whole)

    def shift(self, seconds: int) -> None:
        """The last node's clock is so much ahead from now on."""
        new = self.shift_path.with_suffix(".new")
        new.write_text(str(seconds), "utf-8")
        new.replace(self.shift_path)

    def wait(self, what: str, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not look():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.1)

    def whole(self) -> bool:
        """Whether all have one tip, all links, and all members."""
        states: list[Any] = [client.call("getconsensusinfo")["avs"] for client in self.clients]
        tips = {client.call("getbestblockhash") for client in self.clients}
        links = {client.call("getconnectioncount") for client in self.clients}
        members = {state["total_weight"] for state in states}
        return (len(tips), links, members) == (1, {NODES - 1}, {100 * NODES})

    def wait_for_a_ping(self) -> None:
        """The last node's timers go on: they have been started before."""

        def count() -> int:
            peers: list[Any] = self.clients[LAST].call("getpeerinfo")
            return sum(peer["messages"]["sent"]["Ping"] for peer in peers)

        before = count()
        self.wait("another ping", lambda: count() > before)

    def test_a_day_back_and_forth(self) -> None:
        for seconds in (-DAY_S, DAY_S):
            target = self.clients[0].call("getblockcount") + BLOCKS
            self.shift(seconds)
            self.wait_for_a_ping()
            while self.clients[0].call("getblockcount") < target:
                time.sleep(0.1)
            self.assertEqual(self.clients[LAST].call("getconnectioncount"), NODES - 1)
            self.shift(0)
            self.wait("it is back", self.whole)
            address = self.clients[0].call("getnewaddress")
            txid = self.clients[0].call("sendtoaddress", [address, "1"])
            state = self.clients[LAST].call("waittransactionfinality", [txid, 60])
            self.assertIs(state["finalized"], True)
        self.assertEqual(self.network.stop(), [])
