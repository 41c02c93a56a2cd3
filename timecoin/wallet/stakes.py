"""Stakes that are to be given back: signed now, sent when their masternode has let go (PROTOCOL 4).

Rows of the wallet's store: ``"u" | wallet | outpoint`` -> the transaction that spends the stake.
The owner's key is needed once; the wallet may be locked when the time has come.
"""

from __future__ import annotations

from collections.abc import Iterable

from timecoin.ledger.transaction import Outpoint, Transaction, decode_transaction
from timecoin.wallet.ports import HistoryRows


class Unstaking:
    """The spends of stakes that wait, by outpoint."""

    def __init__(self, rows: HistoryRows, wallet: bytes) -> None:
        """``wallet``: the hash of its first key, as other rows have it."""
        self._rows = rows
        self._prefix = b"u" + wallet
        self._waiting = {
            key[len(self._prefix) :]: decode_transaction(value)
            for key, value in rows.scan(self._prefix)
        }

    def of(self, point: Outpoint) -> Transaction | None:
        """What is to give back the stake ``point``, if it is to be."""
        return self._waiting.get(point)

    def waiting(self) -> tuple[Transaction, ...]:
        """What is to be sent, longest waiting first."""
        return tuple(self._waiting.values())

    def put(self, point: Outpoint, tx: Transaction) -> None:
        """Send ``tx`` when the stake ``point`` may be spent; it replaces what waited for that."""
        self._rows.write([(self._prefix + point, tx.encoded)])
        self._waiting[point] = tx

    def forget(self, points: Iterable[Outpoint]) -> None:
        """``points`` are spent."""
        gone = [point for point in points if point in self._waiting]
        if gone:
            self._rows.write([(self._prefix + point, None) for point in gone])
            for point in gone:
                del self._waiting[point]
