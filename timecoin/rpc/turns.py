"""Long answers in short pieces: votes never wait for a reader."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from timecoin.rpc.server import TURN_BUDGET_S

T = TypeVar("T")


async def in_turns(clock: IReactorTime, items: Iterable[T]) -> AsyncIterator[T]:
    """``items`` one after the other, with a turn of the reactor for others every 20 ms.

    What the items are made from may change in between.
    """
    began_s = clock.seconds()
    for item in items:
        yield item
        if clock.seconds() - began_s > TURN_BUDGET_S:
            next_turn: Deferred[None] = deferLater(clock, 0)
            await next_turn
            began_s = clock.seconds()
