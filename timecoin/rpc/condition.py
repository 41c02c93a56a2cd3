"""Whether this node can be relied on now: what health, warnings and refusals are made from."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from timecoin.chain.views import ChainViews
from timecoin.rpc.errors import WARMING_UP, RpcError
from timecoin.rpc.ports import FinalityReader, SyncReader

STALE_SLOTS = 2
"""A tip older than so many slots is a stall."""


class Condition:
    """Reads the chain, finality and sync; keeps nothing."""

    def __init__(
        self,
        clock: IReactorTime,
        slot_ms: int,
        views: ChainViews,
        finality: FinalityReader,
        sync: SyncReader,
        running: Callable[[], bool],
        accused: Callable[[], bool],
    ) -> None:
        """``running``: whether the loop that runs the node's machines still turns.

        ``accused``: whether there is evidence that this node's voting key signed twice.
        """
        self._clock = clock
        self._slot_ms = slot_ms
        self._views = views
        self._finality = finality
        self._sync = sync
        self._running = running
        self._accused = accused

    @property
    def now_ms(self) -> int:
        """Unix time by this node's clock."""
        return int(self._clock.seconds() * 1000)

    @property
    def catching_up(self) -> bool:
        """Whether peers have shown certified history beyond the tip."""
        return self._sync.active

    @property
    def best_height(self) -> int:
        """The highest block known to be final: the tip, or above it while catching up."""
        return self._sync.certified_height

    @property
    def tip_age_ms(self) -> int:
        """Time since the tip's slot began."""
        return self.now_ms - self._views.tip.slot_time

    def problems(self) -> list[str]:
        """What an operator has to look at, one line each; empty for a healthy node."""
        found = []
        if not self._running():
            found.append("the node's machines have stopped")
        if self.tip_age_ms > STALE_SLOTS * self._slot_ms:
            found.append(
                f"no block for {self.tip_age_ms // 1000} s: the tip is older than two slots"
            )
        if self._accused():
            found.append(
                "this node's voting key has signed twice: does another process use it? "
                "The masternode is about to be jailed"
            )
        fork_height = self._views.fork_height
        if fork_height is not None:
            found.append(f"two blocks are certified at height {fork_height}: the chain has halted")
        found += [
            f"emergency: {pair.row.first.hex()} and {pair.row.second.hex()} are both certified"
            for pair in self._finality.emergencies
        ]
        return found

    def require_current(self) -> None:
        """RPC error -28 while this node catches up: its word about coins is not current."""
        if self.catching_up:
            raise RpcError(
                WARMING_UP,
                f"catching up: block {self._views.tip.height} of at least {self.best_height}",
            )
