"""Transactions by hand: built, decoded, tried, priced; nothing is sent and no wallet is asked."""

from __future__ import annotations

from typing import Annotated

from twisted.internet.interfaces import IReactorTime

from timecoin import params
from timecoin.chain.views import ChainViews
from timecoin.codec import CodecError
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction, decode_transaction
from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import DECODE_ERROR, INVALID_PARAMETER, RpcError
from timecoin.rpc.feerate import FeeRate
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import PoolReader
from timecoin.rpc.rawbuild import unsigned_transaction
from timecoin.rpc.rendering import Json, transaction_json
from timecoin.rpc.turns import in_turns
from timecoin.rpc.valuetypes import Amount, Array, Hex, Integer, Text

TransactionHex = Annotated[bytes, Hex(1, params.MAX_TX_BYTES, label="hex", code=DECODE_ERROR)]
MAX_TRIED = 25
"""Transactions in one ``testmempoolaccept``, as in Bitcoin Core."""
MAX_TARGET_BLOCKS = 1_008
"""Bound of ``conf_target``, as in Bitcoin Core."""

LockTime = Annotated[int, Integer(0, 2**63 - 1, label="lock time")]
RawTransactions = Annotated[
    list[bytes], Array(Hex(1, params.MAX_TX_BYTES, label="hex", code=DECODE_ERROR), MAX_TRIED)
]
Blocks = Annotated[int, Integer(1, MAX_TARGET_BLOCKS, label="blocks")]
EstimateMode = Annotated[
    str,
    Text(
        choices=("unset", "economical", "conservative", "UNSET", "ECONOMICAL", "CONSERVATIVE"),
        label="mode",
    ),
]


def read_transaction(data: bytes) -> Transaction:
    """The transaction that ``data`` encodes; RPC error -22 when it is none."""
    try:
        return decode_transaction(data)
    except CodecError as error:
        raise RpcError(DECODE_ERROR, f"TX decode failed: {error}") from error


class RawTransactionMethods:
    """Needs no key."""

    def __init__(
        self,
        views: ChainViews,
        lookup: Lookup,
        pool: PoolReader,
        fee_rate: FeeRate,
        condition: Condition,
        clock: IReactorTime,
    ) -> None:
        self._views = views
        self._lookup = lookup
        self._pool = pool
        self._fee_rate = fee_rate
        self._condition = condition
        self._clock = clock

    @rpc_method()
    def createrawtransaction(
        self,
        inputs: list[dict[str, object]],
        outputs: dict[str, object] | list[dict[str, object]],
        locktime: LockTime = 0,
        replaceable: bool = False,
    ) -> str:
        """An unsigned transaction in hex, for signrawtransactionwithwallet.

        inputs: objects with txid, vout and sequence (optional). outputs: an object, or a list of
        objects with one member each, from an address to an amount, from data to hex, or (ours)
        from a lock script in hex to an amount. Replacing does not exist here. Errors: -5 no
        address, -8 a value out of range.
        """
        if replaceable:
            raise RpcError(INVALID_PARAMETER, "replaceable: not supported")
        tx = unsigned_transaction(self._lookup.network, inputs, outputs, locktime)
        return tx.encoded.hex()

    @rpc_method()
    def decoderawtransaction(self, hexstring: TransactionHex, iswitness: bool = True) -> Json:
        """What a transaction in hex says, valid or not, signed or not.

        Inputs that this node knows are shown with what they spend. iswitness has no meaning here.
        """
        tx = read_transaction(hexstring)
        return transaction_json(tx, self._lookup.network, self._lookup.output)

    @rpc_method()
    async def testmempoolaccept(
        self, rawtxs: RawTransactions, maxfeerate: Amount | None = None
    ) -> list[Json]:
        """Whether sendrawtransaction would take each of up to 25 transactions, alone, and why not.

        maxfeerate: the bound of sendrawtransaction. Nothing is sent. Errors: -22 not a
        transaction, -28 catching up.
        """
        transactions = [read_transaction(raw) for raw in rawtxs]
        self._condition.require_current()
        return [
            self._trial_json(tx, maxfeerate) async for tx in in_turns(self._clock, transactions)
        ]

    def _trial_json(self, tx: Transaction, max_units_per_kilobyte: int | None) -> Json:
        size = len(tx.encoded)
        shown: Json = {"txid": tx.txid.hex(), "wtxid": tx.wtxid.hex(), "allowed": False}
        if self._pool.entry(tx.txid) is not None:
            return shown | {"reject-reason": "txn-already-in-mempool"}
        if self._views.transaction(tx.txid) is not None:
            return shown | {"reject-reason": "txn-already-known"}
        try:
            fee_units = self._pool.probe(tx)
        except RuleBroken as broken:
            return shown | {"reject-reason": broken.rule, "reject-details": str(broken)}
        if max_units_per_kilobyte and fee_units * 1_000 > max_units_per_kilobyte * size:
            return shown | {"reject-reason": "max-fee-exceeded"}
        fees = {
            "base": amount_json(fee_units),
            "effective-feerate": amount_json(fee_units * 1_000 // size),
            "effective-includes": [tx.wtxid.hex()],
        }
        return shown | {"allowed": True, "vsize": size, "fees": fees}

    @rpc_method("estimatefee", "estimatesmartfee")
    def estimatefee(self, conf_target: Blocks = 1, estimate_mode: EstimateMode = "unset") -> Json:
        """The fee rate, in TIME per 1,000 bytes, at which a payment is taken now.

        It is the least one unless the pool is full; then what displaces its cheapest. Waiting
        longer saves nothing: blocks is 1 whatever the target. minfee is the least fee of one
        transaction.
        """
        rate = self._fee_rate.units_per_byte()
        return {
            "feerate": amount_json(rate * 1_000),
            "blocks": 1,
            "minfee": amount_json(params.MIN_FEE_UNITS),
        }
