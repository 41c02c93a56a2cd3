"""Fetching and serving transaction bodies by wtxid.

Blocks, certificates and queries name transactions; whoever lacks a body asks here. A body that
nobody asked for is charged to its sender.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from timecoin import params
from timecoin.ledger.transaction import Transaction
from timecoin.machine import (
    Blame,
    Effect,
    Emit,
    LinkDown,
    Praise,
    Received,
    Send,
    StartTimer,
    TimerFired,
)
from timecoin.mempool.messages import MAX_BODIES, GetTransactions, Transactions
from timecoin.signal import Signal

RETRY_MS = 1_000
MAX_WANTED = 50_000
MAX_CACHED_BYTES = 64_000_000
UNREQUESTED_POINTS = 5
USEFUL_POINTS = 1
"""Of an answer with bodies that were wanted."""


@dataclass(frozen=True, slots=True)
class BodiesWanted(Signal):
    """Get the bodies ``wtxids`` from ``peers``, tried in that order.

    A signal of whoever cannot judge a block without them, and the event that it becomes here.
    """

    peers: tuple[bytes, ...]
    wtxids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BodiesFetched(Signal):
    """Bodies that had been asked for have arrived; ``Exchange.find`` has them now."""

    wtxids: tuple[bytes, ...]


@dataclass(slots=True)
class _Wanted:
    """Peers to ask next for one body, and who was asked last."""

    peers: list[bytes]
    asked: dict[bytes, None]


class Exchange:
    """A machine; ``lookup`` finds bodies held elsewhere: the pool, then the store."""

    def __init__(self, lookup: Callable[[bytes], Transaction | None]) -> None:
        self._lookup = lookup
        self._wanted: dict[bytes, _Wanted] = {}
        self._cache: OrderedDict[bytes, Transaction] = OrderedDict()
        self._cached_bytes = 0

    def find(self, wtxid: bytes) -> Transaction | None:
        """The body ``wtxid``, wherever this node holds it."""
        found = self._cache.get(wtxid)
        return self._lookup(wtxid) if found is None else found

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event; time does not matter here."""
        match event:
            case BodiesWanted(peers, wtxids):
                return self._fetch(peers, wtxids)
            case Received(peer, GetTransactions(wtxids)):
                return self._serve(peer, wtxids)
            case Received(peer, Transactions(transactions)):
                return self._take(peer, transactions)
            case TimerFired(("exchange", peer)) if isinstance(peer, bytes):
                return self._pass_on(peer)
            case LinkDown(peer):
                return self._pass_on(peer)
        return []

    def _fetch(self, peers: tuple[bytes, ...], wtxids: tuple[bytes, ...]) -> list[Effect]:
        wanted: list[bytes] = []
        for wtxid in dict.fromkeys(wtxids):  # a block not yet judged may name one twice
            known = self._wanted.get(wtxid)
            if known is not None:
                known.peers.extend(
                    p for p in peers if p not in known.peers and p not in known.asked
                )
                if not known.asked:
                    wanted.append(wtxid)
            elif self.find(wtxid) is None and len(self._wanted) < MAX_WANTED:
                self._wanted[wtxid] = _Wanted(list(peers), {})
                wanted.append(wtxid)
        return self._ask(wanted)

    def _ask(self, wtxids: list[bytes]) -> list[Effect]:
        """Ask the next peer of each of ``wtxids``; what nobody is left to ask is forgotten."""
        by_peer: dict[bytes, list[bytes]] = {}
        for wtxid in wtxids:
            wanted = self._wanted[wtxid]
            if not wanted.peers:
                del self._wanted[wtxid]
                continue
            peer = wanted.peers.pop(0)
            wanted.asked[peer] = None
            by_peer.setdefault(peer, []).append(wtxid)
        effects: list[Effect] = []
        for peer, names in by_peer.items():
            for start in range(0, len(names), MAX_BODIES):
                effects.append(
                    Send(peer, GetTransactions(tuple(names[start : start + MAX_BODIES])))
                )
            effects.append(StartTimer(("exchange", peer), RETRY_MS))
        return effects

    def _pass_on(self, peer: bytes) -> list[Effect]:
        """``peer`` was asked last and has not delivered: ask the next one."""
        late = [
            wtxid
            for wtxid, wanted in self._wanted.items()
            if wanted.asked and next(reversed(wanted.asked)) == peer
        ]
        return self._ask(late)

    def _serve(self, peer: bytes, wtxids: tuple[bytes, ...]) -> list[Effect]:
        effects: list[Effect] = []
        page: list[Transaction] = []
        size = 0
        for wtxid in wtxids:
            tx = self.find(wtxid)
            if tx is None:
                continue
            if page and size + len(tx.encoded) > params.QUERY_MAX_BYTES:
                effects.append(Send(peer, Transactions(tuple(page))))
                page, size = [], 0
            page.append(tx)
            size += len(tx.encoded)
        if page:
            effects.append(Send(peer, Transactions(tuple(page))))
        return effects

    def _take(self, peer: bytes, transactions: tuple[Transaction, ...]) -> list[Effect]:
        effects: list[Effect] = []
        taken: list[bytes] = []
        size = 0
        for tx in transactions:
            wanted = self._wanted.get(tx.wtxid)
            if wanted is not None and peer in wanted.asked:
                del self._wanted[tx.wtxid]
                self._keep(tx)
                taken.append(tx.wtxid)
                size += len(tx.encoded)
            elif self.find(tx.wtxid) is None:
                effects.append(Blame(peer, UNREQUESTED_POINTS, "unrequested transaction body"))
        if size > params.QUERY_MAX_BYTES - params.MAX_TX_BYTES:
            # A full page: more is under way. A trickle buys its sender no time.
            effects.append(StartTimer(("exchange", peer), RETRY_MS))
        if taken:
            effects.append(Praise(peer, USEFUL_POINTS))
            effects.append(Emit(BodiesFetched(tuple(taken))))
        return effects

    def _keep(self, tx: Transaction) -> None:
        self._cache[tx.wtxid] = tx
        self._cached_bytes += len(tx.encoded)
        while self._cached_bytes > MAX_CACHED_BYTES:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= len(oldest.encoded)
