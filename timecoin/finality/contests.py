"""The visible conflict sets, one Snowball each (PROTOCOL 5).

A set holds transactions that are joined by conflicts, directly or through others: a transaction
with several inputs may conflict with several that do not conflict with each other. One of them is
accepted first; the others follow when the pool has dropped what it made void.
"""

from __future__ import annotations

from collections.abc import ValuesView
from dataclasses import dataclass

from timecoin.finality.parameters import MAX_CANDIDATES, MAX_CONTESTS
from timecoin.finality.snowball import Snowball
from timecoin.mempool.pool import Pool
from timecoin.params import FinalityParams


@dataclass(slots=True)
class Contest:
    """A conflict set that is known since the tip was ``height``.

    ``rest_until_ms`` and ``pauses`` pace polls that decide nothing.
    """

    snowball: Snowball
    height: int
    rest_until_ms: int = 0
    pauses: int = 0


class Contests:
    """Conflict sets by their members; bounded, and a set ends with its conflict."""

    def __init__(self, params: FinalityParams, pool: Pool) -> None:
        self._params = params
        self._pool = pool
        self._next = 0
        self._contests: dict[int, Contest] = {}
        self._number_of: dict[bytes, int] = {}
        self._news = False

    def __len__(self) -> int:
        return len(self._contests)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._number_of

    def join(self, txid: bytes, height: int) -> None:
        """Bring ``txid`` of the pool together with the transactions that it conflicts with.

        ``height`` is the tip's. When all places are taken ``txid`` stays outside, which only means
        that it is not voted for.
        """
        conflicts = self._pool.conflicts(txid)
        if not conflicts:
            return
        members = (*conflicts, txid)
        numbers = list(
            dict.fromkeys(self._number_of[item] for item in members if item in self._number_of)
        )
        if not numbers:
            if len(self._contests) >= MAX_CONTESTS:
                return
            self._next += 1
            self._contests[self._next] = Contest(Snowball(conflicts[0], self._params), height)
            self._number_of[conflicts[0]] = self._next
            numbers = [self._next]
        for other in numbers[1:]:
            self._merge(other, numbers[0])
        contest = self._contests[numbers[0]]
        for member in members:
            known = member in self._number_of
            if not known and len(contest.snowball.candidates) < MAX_CANDIDATES:
                self._number_of[member] = numbers[0]
                contest.snowball.add(member)
                contest.rest_until_ms = contest.pauses = 0
                self._news = True
            entry = self._pool.entry(member)
            if entry is not None and entry.pinned:
                self.pin(member)

    @property
    def has_news(self) -> bool:
        """Whether a conflict has been added that no poll has begun to decide."""
        return self._news

    def forget_news(self) -> None:
        """A poll about what is new begins."""
        self._news = False

    def pin(self, txid: bytes) -> None:
        """``txid`` is locked or certified here: what it competes with has lost, for this node."""
        number = self._number_of.get(txid)
        if number is not None and self._contests[number].snowball.accepted is None:
            self._contests[number].snowball.pin(txid)

    def drop(self, txid: bytes) -> None:
        """``txid`` waits no longer."""
        number = self._number_of.pop(txid, None)
        if number is None:
            return
        snowball = self._contests[number].snowball
        if len(snowball.candidates) > 2:
            snowball.remove(txid)
            return
        for member in snowball.candidates:
            self._number_of.pop(member, None)
        del self._contests[number]

    def preference(self, txid: bytes) -> bytes:
        """What this node prefers to ``txid``, or that itself.

        A conflict that found no place among the contests is decided for whoever came first.
        """
        number = self._number_of.get(txid)
        if number is not None:
            return self._contests[number].snowball.preference
        conflicts = self._pool.conflicts(txid)
        return conflicts[0] if conflicts else txid

    def is_accepted(self, txid: bytes) -> bool:
        """Whether ``txid`` is locally accepted against its known conflicts."""
        number = self._number_of.get(txid)
        return number is not None and self._contests[number].snowball.accepted == txid

    def all(self) -> ValuesView[Contest]:
        """Every set, decided or not."""
        return self._contests.values()

    def open(self) -> tuple[Contest, ...]:
        """The sets in which nothing is accepted yet, the longest undisturbed first."""
        undecided = [c for c in self._contests.values() if c.snowball.accepted is None]
        return tuple(sorted(undecided, key=lambda contest: contest.rest_until_ms))

    def _merge(self, source: int, target: int) -> None:
        merged, contest = self._contests.pop(source), self._contests[target]
        contest.height = min(contest.height, merged.height)
        gone, kept = merged.snowball, contest.snowball
        for txid in gone.candidates:
            self._number_of[txid] = target
            kept.add(txid)
        if kept.accepted is None and gone.accepted is not None:
            kept.pin(gone.accepted)
