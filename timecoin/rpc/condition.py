"""Whether this node can be relied on now: what health, warnings and refusals are made from."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from timecoin.chain.views import ChainViews
from timecoin.masternodes.clock import is_sound
from timecoin.rpc.errors import WARMING_UP, RpcError
from timecoin.rpc.ports import FinalityReader, SyncReader, Vitals

STALE_SLOTS = 2
"""A tip older than so many slots is a stall."""


class Kind(enum.Enum):
    """What can be wrong with a node."""

    MACHINES = "machines"
    LOOP = "loop"
    TIP = "tip"
    FORK = "fork"
    EMERGENCY = "emergency"
    ACCUSED = "accused"
    CLOCK = "clock"
    DISK = "disk"


DEAD = (Kind.MACHINES, Kind.LOOP)
"""Nothing but a restart mends these: the node is not live."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that an operator has to look at, told in one line."""

    kind: Kind
    text: str


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
        vitals: Vitals,
    ) -> None:
        """``running``: whether the loop that runs the node's machines has not been stopped.

        ``accused``: whether there is evidence that this node's voting key signed twice.
        """
        self._clock = clock
        self._slot_ms = slot_ms
        self._views = views
        self._finality = finality
        self._sync = sync
        self._running = running
        self._accused = accused
        self._vitals = vitals

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

    def problems(self) -> list[Problem]:
        """What an operator has to look at; empty for a healthy node."""
        found = []
        if not self._running():
            found.append(Problem(Kind.MACHINES, "the node's machines have stopped"))
        found += [
            Problem(Kind.LOOP, f"a loop has stopped: {name}")
            for name in self._vitals.stopped_loops()
        ]
        if self.tip_age_ms > STALE_SLOTS * self._slot_ms:
            age_s = self.tip_age_ms // 1000
            text = f"no block for {age_s} s: the tip is older than two slots"
            found.append(Problem(Kind.TIP, text))
        if self._accused():
            text = (
                "this node's voting key has signed twice: does another process use it? "
                "The masternode is about to be jailed"
            )
            found.append(Problem(Kind.ACCUSED, text))
        fork_height = self._views.fork_height
        if fork_height is not None:
            text = f"two blocks are certified at height {fork_height}: the chain has halted"
            found.append(Problem(Kind.FORK, text))
        for pair in self._finality.emergencies:
            first, second = pair.row.first.hex(), pair.row.second.hex()
            text = f"emergency: {first} and {second} are both certified"
            found.append(Problem(Kind.EMERGENCY, text))
        return found + self._surroundings()

    def _surroundings(self) -> list[Problem]:
        """Problems of the machine that the node runs on."""
        found = []
        offset_ms = self._vitals.clock_offset_ms()
        if not is_sound(offset_ms):
            side = "behind" if offset_ms > 0 else "ahead of"
            text = f"the clock is {abs(offset_ms) / 1000:.1f} s {side} the peers' median"
            found.append(Problem(Kind.CLOCK, text))
        free, needed = self._vitals.free_disk_bytes(), self._vitals.needed_disk_bytes
        if free < needed:
            text = f"{free // 1_000_000} MB free on disk, below the limit of {needed // 1_000_000}"
            found.append(Problem(Kind.DISK, text))
        return found

    def warnings(self) -> list[str]:
        """The problems as lines of text."""
        return [problem.text for problem in self.problems()]

    def require_current(self) -> None:
        """RPC error -28 while this node catches up: its word about coins is not current."""
        if self.catching_up:
            raise RpcError(
                WARMING_UP,
                f"catching up: block {self._views.tip.height} of at least {self.best_height}",
            )
