"""How far catching up is: a line in the log every ten seconds, and a bar on a terminal."""

from __future__ import annotations

from typing import TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from timecoin.chain.commit import BlockConnected
from timecoin.node.node import Node
from timecoin.node.wiring import observe
from timecoin.sync.events import (
    CatchingUp,
    CoinsSynced,
    HeadersSynced,
    HistorySynced,
    UndoWanted,
)

LINE_S = 10.0
BAR_S = 0.5
BAR_CELLS = 30

_log = Logger("timecoin.sync")
_store_log = Logger("timecoin.store")


def draw_bar(share: float) -> str:
    """A bar of fixed width, ``share`` of it full."""
    full = int(share * BAR_CELLS)
    return f"[{'#' * full}{'.' * (BAR_CELLS - full)}]"


class ReindexProgress:
    """How far a rebuild from the stored blocks is; it happens before the node begins."""

    def __init__(self, clock: IReactorTime, terminal: TextIO | None) -> None:
        """``terminal``: where the bar is drawn; None draws none."""
        self._clock = clock
        self._terminal = terminal
        self._line_s = self._bar_s = clock.seconds()

    def tell(self, height: int, tip: int) -> None:
        """``height`` of ``tip`` blocks are done."""
        now_s = self._clock.seconds()
        text = f"rebuilding from block {height} of {tip}, {100 * height / tip:.1f} %"
        if self._terminal is not None and (now_s - self._bar_s >= BAR_S or height == tip):
            self._bar_s = now_s
            self._terminal.write(f"{draw_bar(height / tip)} {text}\x1b[K\r")
            self._terminal.flush()
        if now_s - self._line_s >= LINE_S or height == tip:
            self._line_s = now_s
            _store_log.info("{progress}", progress=text)


class SyncProgress:
    """Hears what is fetched and says so, not too often."""

    def __init__(self, node: Node, clock: IReactorTime, terminal: TextIO | None) -> None:
        """``terminal``: where the bar is drawn; None draws none."""
        self._node = node
        self._clock = clock
        self._terminal = terminal
        self._active = False
        self._began_s = self._line_s = self._bar_s = clock.seconds()
        self._blocks = self._transactions = self._outputs = 0
        observe(node, CatchingUp, self._changed)
        observe(node, HeadersSynced, lambda _: self._tell())
        observe(node, CoinsSynced, self._loaded)
        observe(node, BlockConnected, self._connected)
        observe(node, HistorySynced, lambda _: self._tell_history())
        observe(node, UndoWanted, lambda _: self._tell_history())

    def _changed(self, change: CatchingUp) -> None:
        self._active = change.active
        self._began_s = self._line_s = self._clock.seconds()
        self._blocks = self._transactions = self._outputs = 0
        if not change.active:
            self._clear()

    def _loaded(self, page: CoinsSynced) -> None:
        self._outputs += len(page.coins)
        self._tell()

    def _connected(self, connected: BlockConnected) -> None:
        if not self._blocks:
            self._began_s = self._clock.seconds()  # headers have taken their own time
        self._blocks += 1
        self._transactions += len(connected.transactions)
        self._tell()

    def _tell(self) -> None:
        if self._active:
            self._say(self.share, self.text())

    def _tell_history(self) -> None:
        """What is fetched behind a fast start, while the node follows the tip."""
        history, tip = self._node.history, self._node.chain.tip_height
        if self._active or history is None:
            return
        if history.whole:
            _log.info("all blocks are here: history is whole")
            self._clear()
            return
        first, lacking = history.first_body, history.lacks_undo
        share = (tip - first + 1) / tip
        text = f"blocks from {first} on are here, {100 * share:.1f} % of history"
        if first == 1:
            text = f"all blocks are here, indexing {lacking.start} of {lacking.stop - 1}"
        self._say(share, text)

    def _say(self, share: float, text: str) -> None:
        """A bar twice a second, a line every ten seconds."""
        now_s = self._clock.seconds()
        if self._terminal is not None and now_s - self._bar_s >= BAR_S:
            self._bar_s = now_s
            # The carriage return lets a line of the log take the bar's place.
            self._terminal.write(f"{draw_bar(share)} {text}\x1b[K\r")
            self._terminal.flush()
        if now_s - self._line_s >= LINE_S:
            self._line_s = now_s
            _log.info("{progress}", progress=text)

    def _clear(self) -> None:
        if self._terminal is not None:
            self._terminal.write("\x1b[K")  # the rest of the bar
            self._terminal.flush()

    @property
    def share(self) -> float:
        """How much of the known history is here, 0 to 1."""
        top = self._node.sync.certified_height
        return self._node.chain.tip_height / top if top else 1.0

    def text(self) -> str:
        """Where it stands, how fast it goes, and how long it may take still."""
        height, top = self._node.chain.tip_height, self._node.sync.certified_height
        took_s = max(self._clock.seconds() - self._began_s, 0.001)
        if not self._blocks:
            loaded = f", {self._outputs} unspent outputs loaded" if self._outputs else ""
            return f"headers up to {top}{loaded}"
        left_s = (top - height) * took_s / self._blocks
        return (
            f"block {height} of {top}, {100 * self.share:.1f} %, "
            f"{self._blocks / took_s:.0f} blocks/s, "
            f"{self._transactions / took_s:.0f} transactions/s, {left_s:.0f} s left"
        )
