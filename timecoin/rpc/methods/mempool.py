"""The pool: what waits to be archived."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from timecoin import params
from timecoin.ledger.transaction import outpoint
from timecoin.mempool.entry import PoolEntry
from timecoin.mempool.policy import PoolLimits
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import FinalityReader, PoolReader
from timecoin.rpc.rendering import Json
from timecoin.rpc.turns import in_turns
from timecoin.rpc.valuetypes import Hash

BYTES_PER_KILOBYTE = 1_000


class MempoolMethods:
    """Reads the pool."""

    def __init__(
        self, pool: PoolReader, limits: PoolLimits, finality: FinalityReader, clock: IReactorTime
    ) -> None:
        self._pool = pool
        self._limits = limits
        self._finality = finality
        self._clock = clock

    @rpc_method()
    def getmempoolinfo(self) -> Json:
        """Size and limits of the pool.

        pending: not yet certified; finalized: final, waiting for a block. usage is what maxmempool
        bounds: the bytes of all transactions. Fees are TIME per 1,000 bytes; minfee is the least
        of one transaction.
        """
        stats = self._pool.stats()
        rate = amount_json(params.MIN_FEE_RATE_UNITS_PER_BYTE * BYTES_PER_KILOBYTE)
        return {
            "loaded": True,
            "size": stats.pending + stats.certified,
            "pending": stats.pending,
            "certified": stats.certified,
            "finalized": self._finality.final_waiting(),
            "bytes": stats.bytes,
            "usage": stats.bytes,
            "maxmempool": self._limits.max_bytes,
            "maxpending": self._limits.max_pending,
            "mempoolminfee": rate,
            "minrelaytxfee": rate,
            "minfee": amount_json(params.MIN_FEE_UNITS),
            "orphans": stats.orphans,
            "conflicts": stats.conflicts,
        }

    @rpc_method()
    async def getrawmempool(
        self, verbose: bool = False, mempool_sequence: bool = False
    ) -> list[str] | Json:
        """The waiting transactions in order of arrival: their txids, or an object by txid."""
        if mempool_sequence:
            raise RpcError(INVALID_PARAMETER, "mempool_sequence: not supported")
        txids = self._pool.txids()
        if not verbose:
            return [txid.hex() for txid in txids]
        shown: Json = {}
        async for txid in in_turns(self._clock, txids):
            entry = self._pool.entry(txid)
            if entry is not None:
                shown[txid.hex()] = self._entry_json(entry)
        return shown

    @rpc_method()
    def getmempoolentry(self, txid: Hash) -> Json:
        """One waiting transaction as the verbose getrawmempool shows it."""
        entry = self._pool.entry(txid)
        if entry is None:
            raise RpcError(NOT_FOUND, "Transaction not in mempool")
        return self._entry_json(entry)

    def _entry_json(self, entry: PoolEntry) -> Json:
        tx = entry.tx
        status = self._finality.status(tx.txid)
        parents = dict.fromkeys(
            item.prev_txid for item in tx.inputs if self._pool.entry(item.prev_txid) is not None
        )
        children = [
            spender.hex()
            for index in range(len(tx.outputs))
            for spender in self._pool.spenders(outpoint(tx.txid, index))
        ]
        return {
            "size": entry.size,
            "vsize": entry.size,
            "wtxid": tx.wtxid.hex(),
            "fee": amount_json(entry.fee_units),
            "fees": {"base": amount_json(entry.fee_units)},
            "time": entry.received_ms // 1000,
            "status": None if status is None else status.status.value,
            "locked": entry.locked,
            "certified": entry.certified,
            "depends": [parent.hex() for parent in parents],
            "spentby": children,
            "conflicts": [txid.hex() for txid in self._pool.conflicts(tx.txid)],
        }
