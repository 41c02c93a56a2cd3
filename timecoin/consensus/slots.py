"""Which slot has begun, and whose candidates have been collected, at one height (PROTOCOL 6)."""

from __future__ import annotations

from timecoin.consensus.ports import Tip
from timecoin.machine import Effect, StartTimer, StopTimer

SLOT_TIMER = "slot"
COLLECT_TIMER = "collect"


class Slots:
    """The slots after the tip's, as they begin by this node's clock."""

    def __init__(self, tip: Tip, slot_ms: int, collection_delay_ms: int) -> None:
        self._first = tip.slot + 1
        self._height = tip.height + 1
        self._slot_ms = slot_ms
        self._delay_ms = collection_delay_ms
        self.newest: int | None = None
        """The newest slot that has begun."""
        self.collected: int | None = None
        """The newest slot whose collection delay is over: its candidates give the turns."""

    def turn_page(self, now_ms: int) -> list[Effect]:
        """Enter the slot of ``now_ms`` if it is a new one; ask to be called when the next begins.

        A clock that was set back only makes this wait.
        """
        slot = now_ms // self._slot_ms
        effects: list[Effect] = []
        if slot >= self._first and (self.newest is None or slot > self.newest):
            self.newest = slot
            effects.append(StartTimer((COLLECT_TIMER, self._height, slot), self._delay_ms))
        after = self._first if self.newest is None else self.newest + 1
        wait_ms = max(after * self._slot_ms - now_ms, 1)
        effects.append(StartTimer((SLOT_TIMER, self._height), wait_ms))
        return effects

    def collect(self, slot: int) -> None:
        """The collection delay of ``slot`` is over."""
        self.collected = slot if self.collected is None else max(slot, self.collected)

    def stop(self) -> list[Effect]:
        """The height is over."""
        effects: list[Effect] = [StopTimer((SLOT_TIMER, self._height))]
        if self.newest is not None:
            effects.append(StopTimer((COLLECT_TIMER, self._height, self.newest)))
        return effects
