"""Snowball on one conflict set: whom to lock first (PROTOCOL 5; arXiv 1906.08936).

Safety never rests on this: locks, quorums and receipts carry it. Invariants: the preference is a
candidate; counters only grow; ``confidence`` is the number of polls in a row that ``last`` won;
once accepted, nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from timecoin.params import FinalityParams

UNDECIDED_POLLS = 3
"""After so many polls in a row without a winner, ties fall to the lowest txid."""


def alpha_of(sample: int, params: FinalityParams) -> int:
    """Answers for one transaction that make a poll of ``sample`` members successful.

    A member alone is its own majority; no sample can give more answers than it has members.
    """
    if sample >= params.sample_size:
        return params.alpha
    return min(sample, (sample + 1) // 2 + 1)


class Snowball:
    """Preference, counters and confidence of one conflict set."""

    def __init__(self, first: bytes, params: FinalityParams) -> None:
        """``first``: the txid seen first, preferred until polls say otherwise."""
        self._params = params
        self._counters: dict[bytes, int] = {first: 0}
        self._last: bytes | None = None
        self._undecided = 0
        self.preference = first
        self.confidence = 0
        self.accepted: bytes | None = None

    @property
    def candidates(self) -> tuple[bytes, ...]:
        """The conflicting txids, first come first."""
        return tuple(self._counters)

    def add(self, txid: bytes) -> None:
        """Another candidate; a new one changes no preference."""
        self._counters.setdefault(txid, 0)

    def remove(self, txid: bytes) -> None:
        """A candidate that has become void; one must remain."""
        del self._counters[txid]
        if self._last == txid:
            self._last, self.confidence = None, 0
        if self.accepted == txid:
            self.accepted = None
        if self.preference == txid:
            self.preference = self._leader()

    def pin(self, txid: bytes) -> None:
        """``txid`` is locked or certified here: it is accepted without further polls."""
        self.preference = self.accepted = txid

    def record_poll(self, answers: Mapping[bytes, int], missing: int, sample: int) -> bytes | None:
        """Count one poll: ``answers`` by txid, the own preference included; ``missing`` of
        ``sample`` members did not say. Returns what is accepted, if anything is.

        A poll that fails only because answers are missing changes neither confidence nor counters.
        """
        if self.accepted is not None:
            return self.accepted
        alpha = alpha_of(sample, self._params)
        best = max(self._counters, key=lambda txid: (answers.get(txid, 0), txid == self.preference))
        votes = answers.get(best, 0)
        if votes >= alpha:
            self._succeed(best)
            return self.accepted
        self._undecided += 1
        if votes + missing < alpha:
            self._last, self.confidence = None, 0
        if self._undecided >= UNDECIDED_POLLS:
            self._undecided = 0
            self.preference = self._leader()
        return None

    def _succeed(self, txid: bytes) -> None:
        self._undecided = 0
        self._counters[txid] += 1
        self.confidence = self.confidence + 1 if self._last == txid else 1
        self._last = txid
        if self._counters[txid] > self._counters[self.preference]:
            self.preference = txid
        if self.confidence >= self._params.confidence and self.preference == txid:
            self.accepted = txid

    def _leader(self) -> bytes:
        """The candidate with the highest counter; of several, the lowest txid."""
        return min(self._counters, key=lambda txid: (-self._counters[txid], txid))
