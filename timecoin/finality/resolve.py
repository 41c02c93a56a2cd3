"""Stuck double spends: which pairs a block may resolve, and for whom (PROTOCOL 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from timecoin import params
from timecoin.finality.certificates import Certificates
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
    """Finds pairs on which this node's lock has waited long enough."""

    def __init__(
        self,
        context: Context,
        voter: Voter,
        intake: Intake,
        certificates: Certificates,
    ) -> None:
        self._context = context
        self._voter = voter
        self._intake = intake
        self._certificates = certificates

    def find(self) -> Iterator[StuckPair]:
        """Pairs whose lock is at least four blocks old, oldest locks first."""
        ripe = self._context.chain.tip_height - params.RESOLUTION_AGE_BLOCKS
        locks = [(lock.height, p, lock.txid) for p, lock in self._voter.locks()]
        taken: dict[Outpoint, None] = {}
        for _, point, txid in sorted(item for item in locks if item[0] <= ripe):
            pair = None if point in taken else self._pair(point, txid)
            if pair is not None and not any(p in taken for p in pair.winner.outpoints):
                taken.update(dict.fromkeys(pair.winner.outpoints))
                yield pair

    def _pair(self, point: Outpoint, locked: bytes) -> StuckPair | None:
        """The spends of ``point``: a valid one, the locked one if possible, against another."""
        valid = self._valid_spends(point, locked)
        void = self._intake.void(locked)
        losers = valid if void is None or point not in void.outpoints else [*valid, void]
        for winner in valid:
            loser = next((tx for tx in losers if tx.txid != winner.txid), None)
            if loser is not None and self._may_win(winner):
                return StuckPair(winner, point, loser)
        return None

    def _valid_spends(self, point: Outpoint, locked: bytes) -> list[Transaction]:
        txids = self._context.pool.spenders(point)
        ordered = sorted(txids, key=lambda txid: txid != locked)
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
