"""Fetching the bodies of certified headers, from several peers at a time, and judging blocks."""

from __future__ import annotations

from timecoin.chain.headers import HeaderChain
from timecoin.consensus.ports import FindBody, MissingBodies
from timecoin.ledger.block import Block
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Effect, Emit, StartTimer
from timecoin.mempool.exchange import BodiesWanted
from timecoin.sync.bodies import PARALLEL, STALL_MS, BodyWindow, Fetched, fetched
from timecoin.sync.events import BlockSynced, HistoryRefused
from timecoin.sync.line import LIE_POINTS, Line
from timecoin.sync.messages import Bodies, GetBodies
from timecoin.sync.ports import SyncChain
from timecoin.sync.requests import Purpose, Request

BODIES_RETRY_MS = 3_000
REFUSED_PAUSE_MS = 30_000
"""After a certified block that breaks a rule here: the operator is told, and not too often."""
NEAR_BLOCKS = 2
"""Of the last blocks most transactions are held already: they are fetched as far as missing."""


class BlockFetch:
    """Brings the blocks of certified headers to the chain, one after the other."""

    def __init__(self, chain: SyncChain, headers: HeaderChain, find: FindBody, line: Line) -> None:
        self._chain = chain
        self._headers = headers
        self._find = find
        self._line = line
        self._window = BodyWindow()
        self._missing: dict[bytes, None] = {}
        self._committing = False
        self._paused_until_ms = 0

    def new_tip(self) -> None:
        """The chain has moved on."""
        self._committing = False
        self._missing.clear()
        self._window.drop_through(self._chain.tip.height)

    def drop(self) -> None:
        """Forget what was fetched."""
        self._window.clear()
        self._missing.clear()
        self._committing = False

    def found(self, wtxids: tuple[bytes, ...]) -> bool:
        """These transactions have arrived; whether the next block had waited for one of them."""
        before = len(self._missing)
        for wtxid in wtxids:
            self._missing.pop(wtxid, None)
        return len(self._missing) < before

    def look_again(self) -> None:
        """Transactions that are still missing are asked for anew."""
        self._missing.clear()

    def take(self, request: Request, answer: Bodies, now_ms: int) -> list[Effect]:
        """Keep the bodies that belong to our headers; who sent another one has made it up."""
        self._line.peers.answered(request.peer, now_ms - request.asked_ms)
        for height, item in enumerate(answer.items, request.first):
            header = self._headers.header(height)
            if header is None or height <= self._chain.tip.height:
                continue
            try:
                self._window.add(height, fetched(item, header, request.peer))
            except ValueError as error:
                return self._line.lie(request.peer, LIE_POINTS, str(error), now_ms)
            self._line.peers.credit_bodies(request.peer)
        return []

    def fetch(self, now_ms: int) -> list[Effect]:
        """Ask for ranges of bodies, each of a peer that has no such question open."""
        if not self._headers.trusted or now_ms < self._paused_until_ms:
            return []
        tip, top = self._chain.tip.height, self._headers.top.height
        effects: list[Effect] = []
        while len(asked := self._line.requests.open(Purpose.BODIES)) < PARALLEL:
            wanted = self._window.next_range(tip, top, asked, now_ms)
            if wanted is None:
                break
            first, count = wanted
            busy = {request.peer for request in asked}
            able = self._line.peers.ranked(first, now_ms, body=True)
            peer = next((name for name in able if name not in busy), None)
            known = None if peer is None else self._line.peers.get(peer)
            if peer is None or known is None:
                break
            count = min(count, known.height - first + 1)
            effects += self._ask(peer, first, count, top - tip > NEAR_BLOCKS, now_ms)
        if asked and self._window.get(tip + 1) is None:
            effects.append(StartTimer(("stalled",), STALL_MS))
        return effects

    def _ask(self, peer: bytes, first: int, count: int, whole: bool, now_ms: int) -> list[Effect]:
        return self._line.ask(
            peer,
            Purpose.BODIES,
            first,
            count,
            now_ms,
            lambda number: GetBodies(number, first, count, whole),
        )

    def judge(self, now_ms: int) -> list[Effect]:
        """Judge the block after the tip, if its body is here."""
        height = self._chain.tip.height + 1
        item = self._window.get(height)
        if item is None or self._committing or self._missing or now_ms < self._paused_until_ms:
            return []
        header, certificate = self._headers.header(height), self._headers.certificate(height)
        if header is None or certificate is None or header.body_root != item.body.root:
            self._window.clear()  # the headers ahead are others by now
            return []
        block = Block(header, item.body)
        try:
            checked = self._chain.check(block, _Find(item, self._find))
        except MissingBodies as missing:
            self._missing = dict.fromkeys(missing.wtxids)
            others = self._line.peers.ranked(height, now_ms, body=True)
            sources = tuple(dict.fromkeys((item.peer, *others)))
            return [
                StartTimer(("bodies",), BODIES_RETRY_MS),
                Emit(BodiesWanted(sources, missing.wtxids)),
            ]
        except RuleBroken as broken:
            self._window.clear()
            self._paused_until_ms = now_ms + REFUSED_PAUSE_MS
            return [Emit(HistoryRefused(block.height, block.hash, broken.rule, broken.detail))]
        self._committing = True
        return [Emit(BlockSynced(checked, certificate))]


class _Find:
    """Transactions that came with a block, then those that this node holds."""

    def __init__(self, item: Fetched, find: FindBody) -> None:
        self._item = item
        self._outer = find

    def __call__(self, wtxid: bytes) -> Transaction | None:
        return self._item.transactions.get(wtxid) or self._outer(wtxid)
