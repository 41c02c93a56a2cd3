"""What the parts of finality share."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from timecoin.crypto.keys import Verify
from timecoin.finality.committee import Committee
from timecoin.finality.pace import Pace
from timecoin.finality.parameters import FRESH_TIP_MS, MAX_PATIENCE
from timecoin.finality.ports import FinalityChain, FindBody
from timecoin.finality.questions import Questions
from timecoin.finality.schedule import Schedule
from timecoin.mempool.pool import Pool
from timecoin.params import FinalityParams


class Requests:
    """Numbers for queries, in a row from a random start."""

    def __init__(self, rng: Random) -> None:
        self._first = self._next = rng.getrandbits(32)

    def take(self) -> int:
        """The next number."""
        self._next += 1
        return self._next - 1

    def was_issued(self, request: int) -> bool:
        """Whether :meth:`take` has ever returned ``request``."""
        return self._first <= request < self._next


@dataclass(slots=True)
class Context:
    """The chain, the pool and the members around one machine; parts keep their own state."""

    chain_id: bytes
    params: FinalityParams
    chain: FinalityChain
    pool: Pool
    find: FindBody
    committee: Committee
    schedule: Schedule
    pace: Pace
    requests: Requests
    rng: Random
    verify: Verify
    catching_up: bool = False
    tip_since_ms: int = 0
    """When this node connected its tip."""
    patience_ms: int = field(init=False)
    """How long a poll waits for answers: more once some came too late, as over slow links."""

    questions: Questions = field(init=False)

    def __post_init__(self) -> None:
        self.patience_ms = self.params.answer_timeout_ms
        self.questions = Questions(self.params.repoll_ms)

    def answered_late(self) -> None:
        """A member's answer came when its poll was over."""
        limit_ms = MAX_PATIENCE * self.params.answer_timeout_ms
        self.patience_ms = min(limit_ms, 2 * self.patience_ms)

    def anchor(self, now_ms: int) -> int:
        """The anchor for a poll begun now: a tip that others may not have yet is not used."""
        tip = self.chain.tip_height
        if tip > 0 and now_ms - self.tip_since_ms < FRESH_TIP_MS:
            return tip - 1
        return tip

    def is_current(self, anchor: int) -> bool:
        """Whether this node answers questions asked at ``anchor``: its tip, or the one before."""
        return self.chain.tip_height - 1 <= anchor <= self.chain.tip_height

    def is_stale(self, now_ms: int) -> bool:
        """Whether the tip is older than two slots, so that its members may be no longer."""
        return now_ms - self.chain.tip_time_ms > 2 * self.chain.slot_ms

    def jitter(self, delay_ms: int) -> int:
        """``delay_ms`` and up to half of it more, so that members do not act all at once."""
        return delay_ms + self.rng.randrange(delay_ms // 2 + 1)
