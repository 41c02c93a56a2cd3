"""Fetching the blocks behind a fast start afterwards, from the newest of them down to block 1.

Nothing waits for them: one question is open at a time, only while this node follows the tip, and
there is a pause after each answer. Bodies are compared with the certified headers as others are.
"""

from __future__ import annotations

from timecoin.chain.headers import HeaderChain
from timecoin.chain.history import OldBlock
from timecoin.consensus.ports import FindBody
from timecoin.ledger.block import Block
from timecoin.machine import Effect, Emit, StartTimer
from timecoin.mempool.exchange import BodiesWanted
from timecoin.sync.bodies import Fetched, fetched
from timecoin.sync.events import HistorySynced, UndoWanted
from timecoin.sync.line import LIE_POINTS, Line
from timecoin.sync.messages import Bodies, GetBodies
from timecoin.sync.ports import OldHistory
from timecoin.sync.requests import Purpose, Request

MAX_OLD_BLOCKS = 50
"""Bodies that one question asks for; fewer while the blocks are large."""
PAUSE_MS = 50
"""After each answer, and after each turn of finding undo data."""
MISSING_MS = 3_000
"""Transactions that did not come along are waited for so long; then the blocks are asked for
anew."""


class HistoryFetch:
    """Brings the blocks below the first body to what keeps them."""

    def __init__(
        self, headers: HeaderChain, history: OldHistory | None, find: FindBody, line: Line
    ) -> None:
        """``history`` None: this node does without them."""
        self._headers = headers
        self._history = history
        self._find = find
        self._line = line
        self._count = MAX_OLD_BLOCKS
        self._storing = False
        self._rest_until_ms = 0
        self._held: tuple[int, list[Fetched]] | None = None
        """Height of the first and the blocks whose transactions are not all here yet."""

    def stored(self, now_ms: int) -> list[Effect]:
        """What was made known last has been done."""
        self._storing = False
        return self._rest(PAUSE_MS, now_ms)

    def _rest(self, pause_ms: int, now_ms: int) -> list[Effect]:
        self._rest_until_ms = now_ms + pause_ms
        return [StartTimer(("behind",), pause_ms)]

    def arrived(self) -> list[Effect]:
        """Transactions have arrived: the blocks that are held may lack none any more."""
        if self._held is None or self._missing(self._held[1]):
            return []
        return self._known(*self._held)

    def fetch(self, now_ms: int) -> list[Effect]:
        """Go on where the store is; to be called when the node has nothing better to do."""
        history = self._history
        if history is None or self._storing or self._line.requests.open(Purpose.HISTORY):
            return []
        if now_ms < self._rest_until_ms or history.whole:
            return []
        self._held = None
        last = history.first_body - 1
        if not last:
            self._storing = True
            return [Emit(UndoWanted())]
        able = self._line.peers.ranked(last, now_ms, body=True)
        known = self._line.peers.get(able[0]) if able else None
        if known is None:
            return []
        first = max(1, known.first_body, last - self._count + 1)
        count = last - first + 1
        return self._line.ask(
            able[0],
            Purpose.HISTORY,
            first,
            count,
            now_ms,
            lambda number: GetBodies(number, first, count, True),
        )

    def refused(self, request: Request) -> list[Effect]:
        """``request.peer`` does not have them (any more): it may have pruned them just now."""
        known = self._line.peers.get(request.peer)
        if known is not None:
            known.first_body = request.last + 1
        return []

    def take(self, request: Request, answer: Bodies, now_ms: int) -> list[Effect]:
        """Keep the bodies that belong to our headers; who sent another one has made it up."""
        self._line.peers.answered(request.peer, now_ms - request.asked_ms)
        if len(answer.items) < request.count:
            # A page begins with the oldest, but the newest are what continues history downwards.
            self._count = len(answer.items)
            return self._rest(PAUSE_MS, now_ms)
        items = []
        for height, item in enumerate(answer.items, request.first):
            header = self._headers.header(height)
            assert header is not None  # certified before its body was asked for
            try:
                items.append(fetched(item, header, request.peer))
            except ValueError as error:
                return self._line.lie(request.peer, LIE_POINTS, str(error), now_ms)
        self._line.peers.credit_bodies(request.peer)
        self._count = min(MAX_OLD_BLOCKS, self._count + 1)
        missing = self._missing(items)
        if not missing:
            return self._known(request.first, items)
        self._held = (request.first, items)
        peers = self._line.peers.ranked(request.last, now_ms, body=True)
        sources = tuple(dict.fromkeys((request.peer, *peers)))
        wanted = Emit(BodiesWanted(sources, tuple(sorted(missing))))
        return [*self._rest(MISSING_MS, now_ms), wanted]

    def _known(self, first: int, items: list[Fetched]) -> list[Effect]:
        self._held = None
        self._storing = True
        blocks = tuple(self._old(height, item) for height, item in enumerate(items, first))
        return [Emit(HistorySynced(blocks))]

    def _missing(self, items: list[Fetched]) -> set[bytes]:
        return {
            entry.wtxid
            for item in items
            for entry in item.body.entries
            if entry.wtxid not in item.transactions and self._find(entry.wtxid) is None
        }

    def _old(self, height: int, item: Fetched) -> OldBlock:
        header = self._headers.header(height)
        assert header is not None
        found = (
            item.transactions.get(entry.wtxid) or self._find(entry.wtxid)
            for entry in item.body.entries
        )
        return OldBlock(Block(header, item.body), tuple(tx for tx in found if tx is not None))
