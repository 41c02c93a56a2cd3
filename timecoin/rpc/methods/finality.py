"""Finality of one transaction: asked for, or waited for."""

from __future__ import annotations

from typing import Annotated

from twisted.internet.defer import TimeoutError
from twisted.internet.interfaces import IReactorTime

from timecoin.chain.views import ChainViews
from timecoin.finality.events import Status, TxStatus
from timecoin.rpc.errors import FINALITY_TIMEOUT, NOT_FOUND, REJECTED, RpcError
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import FinalityReader
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Hash, Integer
from timecoin.rpc.waiters import FinalityWaiters
from timecoin.rpc.weights import finality_weights

WAIT_S = 300
MAX_WAIT_S = 3_600

Seconds = Annotated[int, Integer(0, MAX_WAIT_S, label="seconds")]


class FinalityWait:
    """Waits until a transaction is final; shared by the methods that can wait."""

    def __init__(
        self, clock: IReactorTime, finality: FinalityReader, waiters: FinalityWaiters
    ) -> None:
        self._clock = clock
        self._finality = finality
        self._waiters = waiters

    async def until_final(self, txid: bytes, timeout_s: int) -> int:
        """The milliseconds that it took.

        RPC error -11 after ``timeout_s``, -26 when the transaction is rejected or has expired.
        """
        began_s = self._clock.seconds()
        found = self._finality.status(txid)
        status = None if found is None else found.status
        if status is None or not (status.finalized or status is Status.REJECTED):
            try:
                waiting = self._waiters.wait(txid).addTimeout(timeout_s, self._clock)
                status = await waiting
            except TimeoutError as error:
                message = f"{txid.hex()} is not final after {timeout_s} s"
                raise RpcError(FINALITY_TIMEOUT, message, {"txid": txid.hex()}) from error
        if not status.finalized:
            message = f"{txid.hex()} is {status.value}: it will not be final"
            raise RpcError(REJECTED, message, {"txid": txid.hex(), "status": status.value})
        return int((self._clock.seconds() - began_s) * 1000)


class FinalityMethods:
    """How far a transaction has come."""

    def __init__(self, views: ChainViews, finality: FinalityReader, wait: FinalityWait) -> None:
        self._views = views
        self._finality = finality
        self._wait = wait

    @rpc_method()
    def gettransactionfinality(self, txid: Hash) -> Json:
        """The status of a transaction and the weights behind it.

        finalized is true from final on: a quorum has stored its certificate, or a block holds it.
        weight is that of its votes, receipts_weight that of the members known to store it, quorum
        what each of them needs.
        """
        status = self._finality.status(txid)
        if status is None:
            raise RpcError(NOT_FOUND, "No such transaction")
        return self._finality_json(txid, status)

    @rpc_method()
    async def waittransactionfinality(self, txid: Hash, timeout: Seconds = WAIT_S) -> Json:
        """Answer as soon as a transaction is final, with the time that it took here.

        It need not be known yet. Error -11 after timeout seconds, -26 when a conflicting
        transaction has won or it has expired.
        """
        wait_time_ms = await self._wait.until_final(txid, timeout)
        status = self._finality.status(txid)
        assert status is not None  # what was final is not forgotten in the same turn
        return {**self._finality_json(txid, status), "wait_time_ms": wait_time_ms}

    def _finality_json(self, txid: bytes, status: TxStatus) -> Json:
        height = status.archived_height
        tip_height = self._views.tip.height
        return {
            "txid": txid.hex(),
            "status": status.status.value,
            "finalized": status.status.finalized,
            "confirmations": 0 if height is None else tip_height - height + 1,
            **finality_weights(self._views, txid, status).json(),
        }
