"""Following peers that are ahead (PROTOCOL 8): certified headers first, then the bodies to them.

A tip that a peer announces is hearsay: it leads to a question, nothing more. Only a header beyond
the tip whose precommit certificate holds makes this node one that catches up, and it stays so while
there is progress. A header binds its body by ``body_root`` and with it every transaction: what
peers deliver is compared with what a quorum signed, so that bodies may come from anyone and in any
order. Blocks are taken one at a time, each by the rules of the chain, each committed before the
next is judged.
"""

from __future__ import annotations

from timecoin.chain.headers import HeaderChain
from timecoin.chain.pastset import PastSet
from timecoin.codec import Wire
from timecoin.consensus.ports import FindBody
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    LinkDown,
    LinkUp,
    NewTip,
    Received,
    Send,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.mempool.exchange import BodiesFetched
from timecoin.sync.behind import HistoryFetch
from timecoin.sync.blocks import BlockFetch
from timecoin.sync.coins import CoinFetch
from timecoin.sync.events import CatchingUp, CoinsStored, HeadersStored, HistoryStored, SetBegun
from timecoin.sync.headers import HeaderFetch
from timecoin.sync.line import EMPTY_POINTS, LIE_POINTS, UNREQUESTED_POINTS, Line
from timecoin.sync.messages import (
    Bodies,
    Coins,
    GetBodies,
    GetCoins,
    GetHeaders,
    Headers,
    TipAnnounce,
)
from timecoin.sync.ports import OldHistory, SetLoader, SyncChain
from timecoin.sync.requests import Purpose, Request
from timecoin.sync.serve import bodies_page, coins_page, headers_page

ANNOUNCE_MS = 5_000
_ANNOUNCE_LATER = StartTimer(("announce",), ANNOUNCE_MS)
STUCK_MS = 30_000
"""Catching up without progress ends after so long; it begins anew with new proof."""


class Sync:
    """A machine; ``find`` gives the transaction bodies that this node holds."""

    def __init__(
        self,
        chain: SyncChain,
        headers: HeaderChain,
        find: FindBody,
        loader: SetLoader | None = None,
        history: OldHistory | None = None,
    ) -> None:
        """``loader``: start from a set of unspent outputs, if the chain is at genesis.

        ``history``: what is fetched of the blocks before such a start, once it follows the tip.
        """
        self._chain = chain
        self._headers = headers
        self._line = Line()
        self._header_fetch = HeaderFetch(chain, headers, self._line)
        self._block_fetch = BlockFetch(chain, headers, find, self._line)
        self._coin_fetch = CoinFetch(chain, headers, loader, self._line)
        self._history_fetch = HistoryFetch(headers, history, find, self._line)
        self._past = PastSet(chain)
        self._active = False
        self._given_up = 0
        """Headers up to this height did not lead to blocks in time: they hold nobody any more."""

    @property
    def active(self) -> bool:
        """Whether this node catches up."""
        return self._active

    @property
    def certified_height(self) -> int:
        """The highest block known to be final: the tip's height, or above it."""
        return max(self._chain.tip.height, self._headers.top.height)

    def announced_height(self, peer: bytes) -> int | None:
        """The height of its tip that a linked peer told last; hearsay. None before it did."""
        known = self._line.peers.get(peer)
        return known.height or None if known is not None else None

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at ``now_ms``."""
        match event:
            case LinkUp(peer, _):
                return self._link_up(peer)
            case LinkDown(peer):
                self._line.peers.remove(peer)
                dropped = self._line.requests.drop_peer(peer)
                stops = [StopTimer(("late", request.number)) for request in dropped]
                return [*stops, *self._advance(now_ms)]
            case Received(peer, message):
                return self._received(peer, message, now_ms)
            case NewTip():
                return self._new_tip(now_ms)
            case HeadersStored():
                self._header_fetch.stored()
                return [*self._progress(), *self._settle(now_ms), _go_on()]
            case SetBegun():
                self._coin_fetch.stored(None)
                return [*self._progress(), _go_on()]
            case CoinsStored(whole):
                return self._coins_stored(whole, now_ms)
            case HistoryStored():
                return self._history_fetch.stored(now_ms)
            case BodiesFetched(wtxids):
                return self._bodies_fetched(wtxids, now_ms)
            case TimerFired(name):
                return self._timer(name, now_ms)
        return []

    def _received(self, peer: bytes, message: Wire, now_ms: int) -> list[Effect]:
        match message:
            case TipAnnounce():
                return self._announced(peer, message, now_ms)
            case GetHeaders():
                return [Send(peer, headers_page(self._chain, message))]
            case GetBodies():
                return [Send(peer, bodies_page(self._chain, message))]
            case GetCoins():
                return [Send(peer, coins_page(self._chain, self._past, message))]
            case Headers() | Bodies() | Coins():
                return [*self._answered(peer, message, now_ms), *self._advance(now_ms)]
        return []

    # peers and their tips

    def _tip_message(self) -> TipAnnounce:
        tip = self._chain.tip
        return TipAnnounce(tip.height, tip.hash, self._chain.first_body)

    def _announce(self) -> list[Effect]:
        return [Broadcast(self._tip_message()), _ANNOUNCE_LATER]

    def _link_up(self, peer: bytes) -> list[Effect]:
        effects: list[Effect] = [Send(peer, self._tip_message())]
        if not len(self._line.peers):
            effects.append(_ANNOUNCE_LATER)
        self._line.peers.add(peer)
        return effects

    def _announced(self, peer: bytes, told: TipAnnounce, now_ms: int) -> list[Effect]:
        known = self._line.peers.announced(peer, told.height, told.first_body)
        if known is None:
            return []
        effects: list[Effect] = []
        if known.quiet_until_ms <= now_ms:
            effects += self._header_fetch.announced(peer, told, now_ms)
        return [*effects, *self._advance(now_ms)]

    def _answered(self, peer: bytes, answer: Headers | Bodies | Coins, now_ms: int) -> list[Effect]:
        line = self._line
        request = line.requests.answered(peer, answer.request, *_PURPOSES[type(answer)])
        if request is None:
            return [Blame(peer, UNREQUESTED_POINTS, "an answer to no question")]
        stop = StopTimer(("late", request.number))
        if isinstance(answer, Coins):
            return [stop, *self._coin_fetch.take(request, answer, now_ms)]
        if len(answer.items) > request.count:
            return [stop, *line.lie(peer, LIE_POINTS, "more than was asked for", now_ms)]
        if not answer.items:
            return [stop, *self._nothing(request, now_ms)]
        if isinstance(answer, Bodies):
            old = request.purpose is Purpose.HISTORY
            fetch = self._history_fetch if old else self._block_fetch
            return [stop, *fetch.take(request, answer, now_ms)]
        return [stop, *self._header_fetch.take(request, answer, now_ms)]

    def _nothing(self, request: Request, now_ms: int) -> list[Effect]:
        if request.purpose is Purpose.HISTORY:
            return self._history_fetch.refused(request)
        reason = "announced a block that it does not have"
        return self._line.lie(request.peer, EMPTY_POINTS, reason, now_ms)

    def _bodies_fetched(self, wtxids: tuple[bytes, ...], now_ms: int) -> list[Effect]:
        behind = self._history_fetch.arrived()
        if not self._block_fetch.found(wtxids):
            return behind
        return [*behind, *self._progress(), *self._advance(now_ms)]

    # progress

    def _coins_stored(self, whole: bool | None, now_ms: int) -> list[Effect]:
        self._coin_fetch.stored(whole)
        charged = self._coin_fetch.wrong(now_ms) if whole is False else []
        if whole:
            self._headers.follow(self._chain.tip)
        return [*charged, *self._progress(), *self._settle(now_ms), _go_on()]

    def _new_tip(self, now_ms: int) -> list[Effect]:
        self._headers.follow(self._chain.tip)
        self._block_fetch.new_tip()
        effects = [*self._progress(), *self._settle(now_ms)]
        if self._active:
            return [*effects, _go_on()]
        return [*effects, *self._advance(now_ms), *self._announce()]

    def _progress(self) -> list[Effect]:
        return [StartTimer(("stuck",), STUCK_MS)] if self._active else []

    def _timer(self, name: tuple[str | int | bytes, ...], now_ms: int) -> list[Effect]:
        match name:
            case ("announce",):
                if not len(self._line.peers):
                    return []
                return [*self._announce(), *self._advance(now_ms)]
            case ("late", int(number)):
                request = self._line.requests.late(number)
                charged = [] if request is None else self._line.late(request, now_ms)
                return [*charged, *self._advance(now_ms)]
            case ("near",) | ("next",) | ("stalled",) | ("behind",):
                return self._advance(now_ms)
            case ("bodies",):
                self._block_fetch.look_again()
                return self._advance(now_ms)
            case ("stuck",):
                return self._start_anew(now_ms)
        return []

    def _start_anew(self, now_ms: int) -> list[Effect]:
        """No progress for too long: whoever holds us in this state has to prove it again."""
        self._drop()
        self._given_up = self._headers.top.height
        return self._advance(now_ms)

    def _drop(self) -> None:
        self._header_fetch.drop()
        self._block_fetch.drop()
        self._line.peers.doubt_all()

    def _advance(self, now_ms: int) -> list[Effect]:
        """Judge what is next, ask for more, and say whether we catch up."""
        if self._chain.fork_height is not None:
            self._drop()
            return self._settle(now_ms)
        return [
            *self._header_fetch.check(now_ms),
            *self._settle(now_ms),
            *self._block_fetch.judge(now_ms),
            *self._header_fetch.fetch(self._active, now_ms),
            *self._coin_fetch.fetch(self._header_fetch.busy, now_ms),
            *([] if self._coin_fetch.holds_blocks else self._block_fetch.fetch(now_ms)),
            *([] if self._active else self._history_fetch.fetch(now_ms)),
        ]

    def _settle(self, now_ms: int) -> list[Effect]:
        """Publish a change of the state that keeps this node from voting."""
        height, top = self._chain.tip.height, self._headers.top.height
        proved = top > height and top > self._given_up
        active = self._chain.fork_height is None and (
            proved or self._line.peers.any_proved_above(height, now_ms)
        )
        if active == self._active:
            return []
        self._active = active
        timer = StartTimer(("stuck",), STUCK_MS) if active else StopTimer(("stuck",))
        return [timer, Emit(CatchingUp(active))]


_PURPOSES: dict[type[Wire], tuple[Purpose, ...]] = {
    Headers: (Purpose.HEADERS, Purpose.PROBE),
    Bodies: (Purpose.BODIES, Purpose.HISTORY),
    Coins: (Purpose.COINS,),
}


def _go_on() -> Effect:
    """Go on in a turn of its own: a node that catches up answers others between blocks."""
    return StartTimer(("next",), 0)
