"""Who spends what among the waiting transactions: conflicts in O(1)."""

from __future__ import annotations

from timecoin.ledger.transaction import Outpoint, Transaction


class Spends:
    """Spending txids by outpoint, in order of arrival."""

    def __init__(self) -> None:
        self._spenders: dict[Outpoint, dict[bytes, None]] = {}
        self._contested = 0

    def add(self, tx: Transaction) -> None:
        """Note the inputs of ``tx``."""
        for point in tx.outpoints:
            spenders = self._spenders.setdefault(point, {})
            spenders[tx.txid] = None
            self._contested += len(spenders) == 2

    def remove(self, tx: Transaction) -> None:
        """Forget the inputs of ``tx``, which was added before."""
        for point in tx.outpoints:
            spenders = self._spenders[point]
            del spenders[tx.txid]
            self._contested -= len(spenders) == 1
            if not spenders:
                del self._spenders[point]

    def spenders(self, point: Outpoint) -> tuple[bytes, ...]:
        """Txids that spend ``point``, first come first."""
        return tuple(self._spenders.get(point, ()))

    def conflicts(self, tx: Transaction) -> tuple[bytes, ...]:
        """Txids other than ``tx`` that spend one of its inputs, first come first."""
        found: dict[bytes, None] = {}
        for point in tx.outpoints:
            found.update(dict.fromkeys(self._spenders.get(point, ())))
        found.pop(tx.txid, None)
        return tuple(found)

    def contested(self) -> int:
        """Number of outpoints with more than one spender."""
        return self._contested
