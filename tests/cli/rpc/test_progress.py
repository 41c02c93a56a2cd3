"""Progress is shown on a terminal, from what the node says, and never disturbs the call."""

from __future__ import annotations

import io
import threading
from decimal import Decimal
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tests.client.answering import AnsweringServer, failure, result
from timecoin.cli.output.screen import Screen
from timecoin.cli.rpc import progress as module
from timecoin.cli.rpc.connection import Given
from timecoin.cli.rpc.progress import follow, progress
from timecoin.cli.rpc.session import Session
from timecoin.client.blocking import BlockingClient


class ProgressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = AnsweringServer.serving(self)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.patch(module, "ASK_EVERY_S", 0.001)
        self.err = io.StringIO()

    def session(self, terminal: bool) -> Session:
        console = Console(file=self.err, force_terminal=terminal, width=100)
        self.patch(Screen, "of_process", lambda tables, raw: Screen(console, console, True))
        return Session(Given(rpc_url=self.url, rpc_user="a", rpc_password="b"))

    def test_how_far_a_rescan_is(self) -> None:
        """Until it is over: 0.25, then 0.5, then nothing is said any more."""
        over = threading.Event()
        shown: list[float] = []
        said: list[object] = [{"progress": 0.25}, {"progress": 0.5}, False]

        def answer(call: dict[str, Any]) -> tuple[int, bytes]:
            if len(said) == 1:
                over.set()
            return result(call, {"scanning": said.pop(0)})

        self.server.answer = answer
        follow(BlockingClient(self.url, "a", "b"), over, shown.append)
        self.assertEqual(shown, [0.25, 0.5])

    def test_a_node_that_does_not_tell(self) -> None:
        self.server.answer = lambda call: failure(call, {"code": -32601, "message": "no method"})
        follow(BlockingClient(self.url, "a", "b"), threading.Event(), lambda done: None)
        self.assertEqual(len(self.server.seen), 1)

    def test_a_bar_for_a_rescan(self) -> None:
        asked = threading.Event()

        def answer(call: dict[str, Any]) -> tuple[int, bytes]:
            asked.set()
            return result(call, {"scanning": {"progress": str(Decimal("0.5"))}})

        self.server.answer = answer
        with progress(self.session(True), "rescanblockchain"):
            self.assertTrue(asked.wait(20))
        self.assertIn("searching the chain", self.err.getvalue())

    def test_nothing_without_a_terminal(self) -> None:
        for method in ("rescanblockchain", "waittransactionfinality"):
            with progress(self.session(False), method):
                pass
        self.assertEqual((self.err.getvalue(), self.server.seen), ("", []))

    def test_what_is_quick_shows_nothing(self) -> None:
        with progress(self.session(True), "getblockcount"):
            pass
        self.assertEqual(self.err.getvalue(), "")
        with progress(self.session(True), "waittransactionfinality"):
            pass
        self.assertIn("until it is final", self.err.getvalue())
