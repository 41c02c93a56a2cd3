"""Stuck double spends: which pairs a block may resolve, and for whom (PROTOCOL 5).

A double spend is stuck when members have locked different sides, and also when none has locked
any: if Snowball never ends (members disagree evenly, or too few answer), nobody votes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from timecoin import params
from timecoin.finality.certificates import Certificates
from timecoin.finality.contests import Contests
from timecoin.finality.context import Context
from timecoin.finality.intake import Intake
from timecoin.finality.votes import Voter
from timecoin.ledger.block import Resolution
from timecoin.ledger.transaction import Outpoint, Transaction


@dataclass(frozen=True, slots=True)
class StuckPair:
    """``winner`` may be archived without certificate; ``loser`` spends ``point`` too."""

    winner: Transaction
    point: Outpoint
    loser: Transaction

    def resolution(self) -> Resolution:
        """The pair as a block carries it."""
        return Resolution(self.winner.txid, self.point, self.loser)


class StuckPairs:
    """Finds pairs that have waited long enough for this node to propose a winner."""

    def __init__(
        self,
        context: Context,
        voter: Voter,
        contests: Contests,
        intake: Intake,
        certificates: Certificates,
    ) -> None:
        self._context = context
        self._voter = voter
        self._contests = contests
        self._intake = intake
        self._certificates = certificates

    def find(self) -> Iterator[StuckPair]:
        """Pairs whose lock, or else whose conflict, is at least four blocks old, oldest first."""
        ripe = self._context.chain.tip_height - params.RESOLUTION_AGE_BLOCKS
        sides = [(lock.height, point, lock.txid) for point, lock in self._voter.locks()]
        sides += self._unlocked()
        taken: dict[Outpoint, None] = {}
        for _, point, txid in sorted(side for side in sides if side[0] <= ripe):
            pair = None if point in taken else self._pair(point, txid)
            if pair is not None and not any(p in taken for p in pair.winner.outpoints):
                taken.update(dict.fromkeys(pair.winner.outpoints))
                yield pair

    def _unlocked(self) -> Iterator[tuple[int, Outpoint, bytes]]:
        """What contests are about and no lock is held on: since which tip, the preferred txid."""
        for contest in self._contests.all():
            waiting = [self._context.pool.get(txid) for txid in contest.snowball.candidates]
            for point in dict.fromkeys(p for tx in waiting if tx is not None for p in tx.outpoints):
                if self._voter.lock_of(point) is None:
                    yield contest.height, point, contest.snowball.preference

    def _pair(self, point: Outpoint, favoured: bytes) -> StuckPair | None:
        """The spends of ``point``: a valid one, the favoured if possible, against another."""
        valid = self._valid_spends(point, favoured)
        void = self._intake.void(favoured)
        losers = valid if void is None or point not in void.outpoints else [*valid, void]
        for winner in valid:
            loser = next((tx for tx in losers if tx.txid != winner.txid), None)
            if loser is not None and self._may_win(winner):
                return StuckPair(winner, point, loser)
        return None

    def _valid_spends(self, point: Outpoint, favoured: bytes) -> list[Transaction]:
        txids = self._context.pool.spenders(point)
        ordered = sorted(txids, key=lambda txid: txid != favoured)
        found = [self._context.pool.get(txid) for txid in ordered]
        return [tx for tx in found if tx is not None]

    def _may_win(self, tx: Transaction) -> bool:
        """Neither certified nor against a certificate held here (so nor against a receipt)."""
        return not self._certificates.covers(tx.txid) and self.certified_conflict(tx) is None

    def certified_conflict(self, tx: Transaction) -> bytes | None:
        """A certified, waiting transaction that ``tx`` conflicts with."""
        for point in tx.outpoints:
            for txid in self._context.pool.spenders(point):
                if txid != tx.txid and self._certificates.covers(txid):
                    return txid
        return None
