"""Unspent outputs, asked for by outpoint."""

from __future__ import annotations

from typing import Annotated

from timecoin.chain.views import ChainViews
from timecoin.ledger.transaction import TxOutput, outpoint
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import PoolReader
from timecoin.rpc.rendering import Json, script_json
from timecoin.rpc.valuetypes import Hash, Integer

OutputIndex = Annotated[int, Integer(0, 2**32 - 1, label="index")]


class OutputMethods:
    """The set of unspent outputs."""

    def __init__(self, views: ChainViews, lookup: Lookup, pool: PoolReader) -> None:
        self._views = views
        self._lookup = lookup
        self._pool = pool

    @rpc_method()
    def gettxout(self, txid: Hash, n: OutputIndex, include_mempool: bool = True) -> Json | None:
        """An unspent output, or null if it is spent or unknown.

        With include_mempool those of waiting transactions are shown, with 0 confirmations, and
        what a waiting transaction spends is not.
        """
        point = outpoint(txid, n)
        if include_mempool and self._pool.spenders(point):
            return None
        utxo = self._views.utxo(point)
        if utxo is not None:
            confirmations = self._lookup.confirmations(utxo.height)
            found = TxOutput(utxo.value, utxo.script)
            return self._output_json(found, confirmations, utxo.coinbase)
        entry = self._pool.entry(txid) if include_mempool else None
        if entry is None or n >= len(entry.tx.outputs):
            return None
        return self._output_json(entry.tx.outputs[n], 0, False)

    def _output_json(self, output: TxOutput, confirmations: int, coinbase: bool) -> Json:
        return {
            "bestblock": self._views.tip.hash.hex(),
            "confirmations": confirmations,
            "value": amount_json(output.value),
            "scriptPubKey": script_json(self._lookup.network, output.lock_script),
            "coinbase": coinbase,
        }
