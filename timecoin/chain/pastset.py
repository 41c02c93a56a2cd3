"""The UTXO set as it was after an earlier block, read page by page from the set of today.

What the blocks since have created is left out, what they have spent is put back: both stand in
their undo data. So a node can hand out the set of one height for as long as somebody needs to
fetch it, while its own goes on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from timecoin.ledger.connect import Coin, UtxoDiff
from timecoin.ledger.transaction import Outpoint
from timecoin.ledger.utxo import Utxo

SERVED_EVERY = 100
"""Sets of heights that this divides are given out: few differences serve many nodes."""
SERVED_DEPTH = 1_000
"""So many blocks below the tip, and no older."""
KEPT_DIFFERENCES = 2


class PresentSet(Protocol):
    """Port: the set after the tip, and what the last blocks did to it."""

    def utxos(self, after: Outpoint = b"") -> Iterator[Coin]:
        """The UTXO set in outpoint order, from behind ``after``."""

    def undo(self, height: int) -> UtxoDiff | None:
        """What the block at ``height`` spent and created."""


class PastSet:
    """Pages of earlier sets; the differences to the present one are kept for a few heights."""

    def __init__(self, present: PresentSet) -> None:
        self._present = present
        self._differences: OrderedDict[int, _Difference] = OrderedDict()

    def page(self, height: int, tip: int, after: Outpoint, limit: int) -> list[Coin] | None:
        """At most ``limit`` outputs behind ``after`` that were unspent after block ``height``.

        None for a height that is not served, or whose undo data is gone.
        """
        if height % SERVED_EVERY or not max(1, tip - SERVED_DEPTH) <= height <= tip:
            return None
        difference = self._differences.pop(height, None) or _Difference(height)
        if not difference.extend(self._present, tip):
            return None
        self._differences[height] = difference
        if len(self._differences) > KEPT_DIFFERENCES:
            self._differences.popitem(last=False)
        return list(islice(difference.merged(self._present.utxos(after), after), limit))


class _Difference:
    """What was otherwise after one block: the outputs of then, None for those of later."""

    def __init__(self, height: int) -> None:
        self._through = height
        self._coins: dict[Outpoint, Utxo | None] = {}
        self._points: list[Outpoint] = []

    def extend(self, present: PresentSet, tip: int) -> bool:
        """Take in the blocks up to ``tip``; False when one cannot be undone."""
        if self._through == tip:
            return True
        for height in range(self._through + 1, tip + 1):
            undo = present.undo(height)
            if undo is None:
                return False
            # The first that happened to an output after that block says what it was then.
            for point, utxo in undo.spent:
                self._coins.setdefault(point, utxo)
            for point, _ in undo.created:
                self._coins.setdefault(point, None)
            self._through = height
        self._points = sorted(self._coins)
        return True

    def merged(self, present: Iterator[Coin], after: Outpoint) -> Iterator[Coin]:
        """The set of then behind ``after``, from the ``present`` one behind it."""
        place = bisect_right(self._points, after)
        for point, utxo in present:
            while place < len(self._points) and self._points[place] < point:
                yield from self._then(self._points[place])
                place += 1
            if place < len(self._points) and self._points[place] == point:
                yield from self._then(point)
                place += 1
            else:
                yield point, utxo
        for point in self._points[place:]:
            yield from self._then(point)

    def _then(self, point: Outpoint) -> Iterator[Coin]:
        utxo = self._coins[point]
        if utxo is not None:
            yield point, utxo
