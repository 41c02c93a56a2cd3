"""What catching up says of itself."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from timecoin.chain.commit import BlockConnected
from timecoin.chain.headers import CheckedHeaders
from timecoin.node.node import Node
from timecoin.node.progress import SyncProgress
from timecoin.signal import Signals
from timecoin.sync.events import CatchingUp, CoinsSynced, HeadersSynced, HistorySynced, UndoWanted


class ProgressTests(SynchronousTestCase):
    """A node of which only the height matters."""

    def setUp(self) -> None:
        self.clock, self.terminal = Clock(), StringIO()
        self.chain = SimpleNamespace(tip_height=0)
        self.signals = Signals()
        self.history = SimpleNamespace(first_body=301, lacks_undo=range(1, 301), whole=False)
        node = SimpleNamespace(
            chain=self.chain,
            sync=SimpleNamespace(certified_height=400),
            signals=self.signals,
            history=self.history,
        )
        SyncProgress(cast(Node, node), self.clock, self.terminal)
        self.lines: list[str] = []
        observer = cast(ILogObserver, self.note)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def note(self, event: LogEvent) -> None:
        if event.get("log_namespace") == "timecoin.sync":
            self.lines.append(formatEvent(event))

    def connect(self, transactions: int) -> None:
        self.chain.tip_height += 1
        connected = object.__new__(BlockConnected)  # listeners are found by class
        object.__setattr__(connected, "transactions", (None,) * transactions)
        self.signals.publish(connected)

    def test_a_line_every_ten_seconds(self) -> None:
        self.signals.publish(CatchingUp(True))
        for _ in range(100):
            self.clock.advance(0.25)
            self.connect(transactions=3)
        self.assertEqual(
            self.lines,
            [
                "block 40 of 400, 10.0 %, 4 blocks/s, 12 transactions/s, 88 s left",
                "block 80 of 400, 20.0 %, 4 blocks/s, 12 transactions/s, 79 s left",
            ],
        )

    def test_the_bar(self) -> None:
        self.signals.publish(CatchingUp(True))
        for _ in range(200):
            self.clock.advance(0.2)
            self.connect(transactions=1)
        bar = self.terminal.getvalue().split("\r")[-2]
        self.assertTrue(bar.startswith("[" + "#" * 14 + "." * 16 + "] block 19"), bar)
        self.signals.publish(CatchingUp(False))
        self.assertTrue(self.terminal.getvalue().endswith("\x1b[K"))

    def test_headers_and_outputs(self) -> None:
        self.signals.publish(CatchingUp(True))
        self.clock.advance(11)
        self.signals.publish(HeadersSynced(CheckedHeaders(())))
        self.clock.advance(11)
        coins = tuple((bytes(36), None) for _ in range(7))
        self.signals.publish(CoinsSynced(b"", coins, False))  # type: ignore[arg-type]
        self.assertEqual(
            self.lines, ["headers up to 400", "headers up to 400, 7 unspent outputs loaded"]
        )

    def test_blocks_behind_a_fast_start(self) -> None:
        self.chain.tip_height = 400
        self.clock.advance(11)
        self.signals.publish(HistorySynced(()))
        self.history.first_body = 1
        self.history.lacks_undo = range(21, 301)
        self.clock.advance(11)
        self.signals.publish(UndoWanted())
        self.history.lacks_undo, self.history.whole = range(0), True
        self.signals.publish(UndoWanted())
        self.assertEqual(
            self.lines,
            [
                "blocks from 301 on are here, 25.0 % of history",
                "all blocks are here, indexing 21 of 300",
                "all blocks are here: history is whole",
            ],
        )
        bars = self.terminal.getvalue().split("\r")
        self.assertTrue(bars[0].startswith("[" + "#" * 7 + "." * 23 + "] blocks from 301"), bars)
        self.assertEqual(bars[-1], "\x1b[K")

    def test_nothing_is_said_at_the_tip(self) -> None:
        for _ in range(100):
            self.clock.advance(1)
            self.connect(transactions=1)
        self.assertEqual((self.lines, self.terminal.getvalue()), ([], ""))
