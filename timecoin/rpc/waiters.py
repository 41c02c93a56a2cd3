"""Calls that wait until a transaction is final: told by a signal, never by polling."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from timecoin.finality.events import Status, StatusChanged
from timecoin.rpc.errors import RATE_LIMITED, RpcError

MAX_WAITERS = 4_096

SETTLED = (Status.FINAL, Status.ARCHIVED, Status.REJECTED, Status.EXPIRED)
"""What ends a wait: it is final, or it will not be."""


class FinalityWaiters:
    """Waiting calls by txid, bounded in number."""

    def __init__(self, max_waiters: int = MAX_WAITERS) -> None:
        self._max_waiters = max_waiters
        self._waiting: dict[bytes, list[Deferred[Status]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def wait(self, txid: bytes) -> Deferred[Status]:
        """Fires with one of :data:`SETTLED`; cancelling it frees the place.

        RPC error -32005 when too many wait.
        """
        if self._count >= self._max_waiters:
            raise RpcError(RATE_LIMITED, f"{self._count} calls wait for finality already")
        waiting = self._waiting.setdefault(txid, [])
        deferred: Deferred[Status] = Deferred(self._forget(txid))
        waiting.append(deferred)
        self._count += 1
        return deferred

    def on_status(self, change: StatusChanged) -> None:
        """Wake those who wait for this transaction, if it is settled."""
        if change.status not in SETTLED:
            return
        woken = self._waiting.pop(change.txid, [])
        self._count -= len(woken)
        for deferred in woken:
            deferred.callback(change.status)

    def _forget(self, txid: bytes) -> Callable[[Deferred[Status]], None]:
        def forget(deferred: Deferred[Status]) -> None:
            waiting = self._waiting[txid]
            waiting.remove(deferred)
            self._count -= 1
            if not waiting:
                del self._waiting[txid]

        return forget
