"""Transactions: sent, and looked at wherever this node holds them."""

from __future__ import annotations

from timecoin.chain.views import ChainViews
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.entry import Admission
from timecoin.params import COINBASE_MATURITY_BLOCKS
from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import (
    ALREADY_IN_CHAIN,
    INVALID_PARAMETER,
    MISSING_INPUTS,
    NOT_FOUND,
    RpcError,
)
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.lookup import Found, Lookup
from timecoin.rpc.method import rpc_method
from timecoin.rpc.methods.rawtransactions import TransactionHex, read_transaction
from timecoin.rpc.ports import FinalityReader, OwnEffect, Submit
from timecoin.rpc.refusal import refusal
from timecoin.rpc.rendering import Json, fee_of, script_address, transaction_json
from timecoin.rpc.valuetypes import Amount, Hash
from timecoin.rpc.weights import finality_weights
from timecoin.wallet.history import Detail, Effect

BYTES_PER_KILOBYTE = 1_000


class TransactionMethods:
    """Every transaction that this node knows."""

    def __init__(
        self,
        views: ChainViews,
        lookup: Lookup,
        finality: FinalityReader,
        condition: Condition,
        submit: Submit,
        own: OwnEffect,
    ) -> None:
        self._views = views
        self._lookup = lookup
        self._finality = finality
        self._condition = condition
        self._submit = submit
        self._own = own

    # sending

    @rpc_method("sendrawtransaction", "sendtransaction", aliases={"tx": "hexstring"})
    def sendrawtransaction(
        self, hexstring: TransactionHex, maxfeerate: Amount | None = None
    ) -> str:
        """Submit a signed transaction in hex; a known one is accepted again. Returns its txid.

        maxfeerate: refuse more than so many TIME per 1,000 bytes; 0 or none for no bound. Errors:
        -22 not a transaction, -25 missing inputs or too high a fee, -26 a rule is broken, -27
        archived already, -28 catching up.
        """
        tx = read_transaction(hexstring)
        self._condition.require_current()
        if self._views.transaction(tx.txid) is not None:
            raise RpcError(ALREADY_IN_CHAIN, "Transaction outputs already in utxo set")
        if maxfeerate:
            self._check_fee_rate(tx, maxfeerate)
        verdict = self._submit(tx)
        if verdict.admission not in (Admission.ACCEPTED, Admission.KNOWN):
            raise refusal(verdict)
        return tx.txid.hex()

    def _check_fee_rate(self, tx: Transaction, max_units_per_kilobyte: int) -> None:
        fee_units = fee_of(tx, self._lookup.output)
        if fee_units is None:  # an input is not known: submitting says so
            return
        if fee_units * BYTES_PER_KILOBYTE > max_units_per_kilobyte * len(tx.encoded):
            raise RpcError(MISSING_INPUTS, "Fee exceeds maximum configured by user (maxfeerate)")

    # looking

    @rpc_method(aliases={"verbose": "verbosity"})
    def getrawtransaction(
        self, txid: Hash, verbosity: bool | int = 0, blockhash: Hash | None = None
    ) -> str | Json:
        """A transaction in hex, or with verbosity 1 or 2 (or true) as an object.

        The object holds its finality, its fee, and for each input the output that it spends. With
        blockhash only the block of that hash is looked at.
        """
        if not 0 <= verbosity <= 2:
            raise RpcError(INVALID_PARAMETER, "verbosity: out of range 0 to 2")
        found = self._found(txid)
        if blockhash is not None:
            if self._views.height_of(blockhash) is None:
                raise RpcError(NOT_FOUND, "Block hash not found")
            if found.place is None or found.place.block_hash != blockhash:
                raise RpcError(NOT_FOUND, "No such transaction found in the provided block")
        if not verbosity:
            return found.tx.encoded.hex()
        return {
            **self._transaction_json(found),
            **found.place_json(),
            **self._finality_json(found.tx.txid),
        }

    @rpc_method()
    def gettransaction(
        self, txid: Hash, include_watchonly: bool = True, verbose: bool = False
    ) -> Json:
        """A transaction that this node knows, own or not, and what it means for the wallet.

        amount is what it brings to the wallet (negative: it pays) without the fee, which stands
        beside it and is negative, as in Bitcoin. verbose adds the decoded transaction.
        """
        found = self._found(txid)
        tx = found.tx
        shown: Json = {
            **self._effect_json(found),
            "txid": tx.txid.hex(),
            "wtxid": tx.wtxid.hex(),
            **found.place_json(),
            **self._finality_json(tx.txid),
        }
        decoded = self._transaction_json(found)
        shown |= {"vin": decoded["vin"], "vout": decoded["vout"], "hex": decoded["hex"]}
        if verbose:
            shown["decoded"] = decoded
        return shown

    def _effect_json(self, found: Found) -> Json:
        tx = found.tx
        effect = self._own.effect_of(tx, self._lookup.output)
        shown: Json = {"amount": amount_json(effect.net_units)}
        fee_units = fee_of(tx, self._lookup.output)
        if fee_units is not None:
            shown["fee"] = amount_json(-fee_units)
        shown["details"] = [self._detail_json(detail, effect, found) for detail in effect.details]
        return shown

    def _detail_json(self, detail: Detail, effect: Effect, found: Found) -> Json:
        sent = detail.category == "send"
        shown: Json = {
            "address": script_address(self._lookup.network, detail.lock_script),
            "category": detail.category,
            "amount": amount_json(-detail.units if sent else detail.units),
            "vout": detail.index,
        }
        if detail.category == "generate" and found.confirmations < COINBASE_MATURITY_BLOCKS:
            shown["category"] = "immature"
        if sent and effect.fee_units is not None:
            shown["fee"] = amount_json(-effect.fee_units)
        return shown

    def _found(self, txid: bytes) -> Found:
        found = self._lookup.transaction(txid)
        if found is None:
            raise RpcError(NOT_FOUND, "No such mempool or blockchain transaction")
        return found

    def _transaction_json(self, found: Found) -> Json:
        return transaction_json(found.tx, self._lookup.network, self._lookup.output)

    def _finality_json(self, txid: bytes) -> Json:
        status = self._finality.status(txid)
        if status is None:
            return {}
        seen_ms, final_ms = status.first_seen_ms, status.final_ms
        ms_to_final = None
        if seen_ms is not None and final_ms is not None:
            ms_to_final = final_ms - seen_ms
        return {
            "status": status.status.value,
            "finality": {
                **finality_weights(self._views, txid, status).json(),
                "ms_to_final": ms_to_final,
            },
        }
