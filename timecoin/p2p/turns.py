"""Strangers are heard in turns, a few frames of each, and no more than a share of the processor.

One turn for each round of the reactor: between two of them, everybody else's messages are read and
timers fire, so a flood from however many links delays them by the work of one turn (PROTOCOL 7).
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from timecoin.p2p.tokens import TokenBucket


class Turn(Protocol):
    """Something that waits for its turn."""

    def take_turn(self) -> None:
        """Do a little; whoever has more to do waits for another turn."""


class Turns:
    """Who waits, in order; what they do is paid for from one bucket."""

    def __init__(self, clock: IReactorTime, bucket: TokenBucket) -> None:
        self._clock = clock
        self._bucket = bucket
        self._waiting: dict[Turn, None] = {}
        self._next: IDelayedCall | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def is_free(self) -> bool:
        """Whether nobody has to wait."""
        return not self._waiting and not self._debt_ms

    def spend(self, tokens: int) -> None:
        """Somebody has done so much."""
        self._bucket.spend(tokens, self._now_ms())

    def wait(self, turn: Turn) -> None:
        """``turn`` is taken when those have had theirs that wait already."""
        self._waiting[turn] = None
        self._arm()

    def leave(self, turn: Turn) -> None:
        """It has nothing to do any more."""
        self._waiting.pop(turn, None)
        if not self._waiting and self._next is not None:
            self._next.cancel()
            self._next = None

    @property
    def _debt_ms(self) -> int:
        return self._bucket.wait_ms(0, self._now_ms())

    def _arm(self) -> None:
        if self._waiting and self._next is None:
            self._next = self._clock.callLater(self._debt_ms / 1000, self._give)

    def _give(self) -> None:
        self._next = None
        if not self._debt_ms:
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            turn.take_turn()
        self._arm()

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)
