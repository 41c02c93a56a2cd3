"""Fetching a set of unspent outputs instead of all blocks, when the operator wants to start fast.

The set is that of a recent block whose header is certified. A page alone proves nothing, only all
of them together hash to ``utxo_root``: so they come from one peer as long as it answers, and a set
that is wrong in the end is charged to the one who sent all of it. After a change of peers nobody
can be charged: then those who took part come last in the next attempt.
"""

from __future__ import annotations

from itertools import pairwise

from timecoin.chain.headers import HeaderChain
from timecoin.chain.pastset import SERVED_DEPTH, SERVED_EVERY
from timecoin.machine import Effect, Emit
from timecoin.sync.events import CoinsSynced, SetWanted
from timecoin.sync.line import LIE_POINTS, Line
from timecoin.sync.messages import MAX_COINS, Coins, GetCoins
from timecoin.sync.ports import SetLoader, SyncChain
from timecoin.sync.requests import Purpose, Request

SHORT_CHAIN = 200
"""A chain with fewer blocks is fetched whole, which takes no longer."""


class CoinFetch:
    """Brings the set of a recent block to a chain that is still at genesis."""

    def __init__(
        self,
        chain: SyncChain,
        headers: HeaderChain,
        loader: SetLoader | None,
        line: Line,
    ) -> None:
        """``loader`` None: this node fetches all blocks."""
        self._chain = chain
        self._headers = headers
        self._loader = loader
        self._line = line
        self._undecided = loader is not None and chain.tip.height == 0
        self._pending = False
        self._source = b""
        self._sources: dict[bytes, None] = {}
        self._refused: dict[bytes, None] = {}

    @property
    def holds_blocks(self) -> bool:
        """Whether bodies have to wait: a set is being loaded, or may soon be."""
        return self._undecided

    def stored(self, whole: bool | None) -> None:
        """What was made known is at rest; ``whole``: see ``CoinsStored``."""
        self._pending = False
        if whole:
            self._undecided = False

    def wrong(self, now_ms: int) -> list[Effect]:
        """The set is not that of the block: charge who sent it, if that was one."""
        sources, self._sources, self._source = list(self._sources), {}, b""
        if len(sources) == 1:
            reason = "a set of unspent outputs that no block commits to"
            return self._line.lie(sources[0], LIE_POINTS, reason, now_ms)
        for peer in sources:
            self._line.peers.forget(peer, now_ms)
        return []

    def take(self, request: Request, answer: Coins, now_ms: int) -> list[Effect]:
        """The answer to ``request``."""
        peer, state = request.peer, None if self._loader is None else self._loader.state
        if not answer.items and not answer.last:
            self._refused[peer] = None
            return []
        self._line.peers.answered(peer, now_ms - request.asked_ms)
        if state is None or self._pending or request.first != state.height:
            return []
        message = request.message
        assert isinstance(message, GetCoins)
        points = [message.after, *(point for point, _ in answer.items)]
        if any(later <= earlier for earlier, later in pairwise(points)):
            return self._line.lie(peer, LIE_POINTS, "outputs out of order", now_ms)
        if not answer.last and len(answer.items) < MAX_COINS:
            return self._line.lie(peer, LIE_POINTS, "a page that is neither full nor last", now_ms)
        if message.after != state.cursor:
            return []  # late: another peer has brought it
        self._pending = True
        self._source = peer
        self._sources[peer] = None
        return [Emit(CoinsSynced(message.after, answer.items, answer.last))]

    def fetch(self, headers_busy: bool, now_ms: int) -> list[Effect]:
        """Choose the block when the headers are there; then ask for page after page."""
        if not self._undecided or self._loader is None or self._pending:
            return []
        top = self._headers.top.height
        if headers_busy or not self._headers.trusted or self._line.peers.ranked(top + 1, now_ms):
            return []  # the newest block is not known yet
        state = self._loader.state
        if state is None or top - state.height > SERVED_DEPTH:
            return self._begin(top, now_ms)
        if self._line.requests.open(Purpose.COINS):
            return []
        able = self._able(state.height, now_ms)
        if not able:
            # Nobody gives this set out any more: a newer one is chosen when there is one.
            newer = top - top % SERVED_EVERY
            return self._begin(top, now_ms) if self._refused and newer > state.height else []
        peer = self._source if self._source in able else able[0]
        after, height = state.cursor, state.height
        return self._line.ask(
            peer, Purpose.COINS, height, 1, now_ms, lambda n: GetCoins(n, height, after)
        )

    def _able(self, height: int, now_ms: int) -> list[bytes]:
        ranked = self._line.peers.ranked(height, now_ms)
        return [peer for peer in ranked if peer not in self._refused]

    def _begin(self, top: int, now_ms: int) -> list[Effect]:
        if top < SHORT_CHAIN:
            if self._line.peers.ranked(1, now_ms):
                self._undecided = False
            return []
        self._pending = True
        self._sources.clear()
        self._refused.clear()
        self._source = b""
        return [Emit(SetWanted(top - top % SERVED_EVERY))]
