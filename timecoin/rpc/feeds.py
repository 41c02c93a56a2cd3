"""What happens in the node, as subscribers are told: made only while somebody listens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from timecoin.chain.addresses import owner_script
from timecoin.chain.commit import BlockConnected
from timecoin.finality.events import Status, StatusChanged
from timecoin.ledger.transaction import Transaction, TxOutput, outpoint
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.ports import PoolReader
from timecoin.rpc.rendering import Json, script_address, transaction_json
from timecoin.rpc.subscriptions import (
    ADDRESS,
    BLOCKS,
    FINALITY,
    TRANSACTIONS,
    Subscriptions,
    Topic,
)
from timecoin.wallet.history import FindOutput

MAX_WATCHED = 10_000
"""Waiting transactions remembered because they touch a subscribed address."""

_ENDED = (Status.ARCHIVED, Status.REJECTED, Status.EXPIRED)


@dataclass(frozen=True, slots=True)
class Touch:
    """What a transaction does to one subscribed address, in units."""

    script: bytes
    received_units: int
    sent_units: int


class Feeds:
    """Turns signals of the node into notifications."""

    def __init__(self, subscriptions: Subscriptions, pool: PoolReader, lookup: Lookup) -> None:
        self._subscriptions = subscriptions
        self._pool = pool
        self._lookup = lookup
        self._watched: OrderedDict[bytes, tuple[Touch, ...]] = OrderedDict()

    def on_status(self, change: StatusChanged) -> None:
        """A transaction has come to another status: ``transactions``, ``finality``, ``address``."""
        subscriptions = self._subscriptions
        if change.status is Status.SEEN and subscriptions.listens(TRANSACTIONS):
            entry = self._pool.entry(change.txid)
            if entry is not None:  # it may have been refused in the same turn
                shown = transaction_json(entry.tx, self._lookup.network, self._lookup.output)
                subscriptions.publish(Topic(TRANSACTIONS), shown)
        if subscriptions.listens(FINALITY):
            shown = {"txid": change.txid.hex(), **_status_json(change)}
            subscriptions.publish(Topic(FINALITY), shown)
            subscriptions.publish(Topic(FINALITY, change.txid), shown)
        # What is archived is told by its block, which also holds what never waited here.
        if subscriptions.listens(ADDRESS) and change.status is not Status.ARCHIVED:
            for touch in self._touches(change):
                self._publish_touch(change.txid, touch, _status_json(change))
        if change.status in _ENDED:
            self._watched.pop(change.txid, None)

    def on_block(self, connected: BlockConnected) -> None:
        """A block is final: ``blocks``, and ``address`` for what it archives."""
        block = connected.block
        if self._subscriptions.listens(BLOCKS):
            self._subscriptions.publish(Topic(BLOCKS), _block_json(connected))
        if not self._subscriptions.listens(ADDRESS):
            return
        transactions = (*connected.transactions, block.body.reward)
        outputs = {point: TxOutput(utxo.value, utxo.script) for point, utxo in connected.spent}
        for tx in transactions:
            for index, output in enumerate(tx.outputs):
                outputs[outpoint(tx.txid, index)] = output
        shown = {
            "status": Status.ARCHIVED.value,
            "finalized": True,
            "time_ms": block.header.timestamp_ms,
            "height": block.height,
            "blockhash": block.hash.hex(),
        }
        for tx in transactions:
            for touch in self._touches_of(tx, outputs.get):
                self._publish_touch(tx.txid, touch, shown)

    def _touches(self, change: StatusChanged) -> Sequence[Touch]:
        """As remembered, since a rejected transaction is in the pool no more; else by its body."""
        known = self._watched.get(change.txid)
        entry = self._pool.entry(change.txid)
        if entry is None:
            return known or ()
        found = self._touches_of(entry.tx, self._lookup.output)
        if found:
            self._watched[change.txid] = found
            if len(self._watched) > MAX_WATCHED:
                self._watched.popitem(last=False)
        return found

    def _touches_of(self, tx: Transaction, find_output: FindOutput) -> tuple[Touch, ...]:
        """One for each subscribed address among inputs and outputs."""
        received: dict[bytes, int] = {}
        sent: dict[bytes, int] = {}
        spent = [find_output(point) for point in tx.outpoints]
        for sums, outputs in ((received, tx.outputs), (sent, spent)):
            for output in outputs:
                owner = None if output is None else owner_script(output.lock_script)
                if output is not None and owner is not None:
                    if self._subscriptions.has(Topic(ADDRESS, owner)):
                        sums[owner] = sums.get(owner, 0) + output.value
        return tuple(
            Touch(script, received.get(script, 0), sent.get(script, 0))
            for script in dict.fromkeys((*received, *sent))
        )

    def _publish_touch(self, txid: bytes, touch: Touch, shown: Json) -> None:
        result = {
            "address": script_address(self._lookup.network, touch.script),
            "txid": txid.hex(),
            "received": amount_json(touch.received_units),
            "sent": amount_json(touch.sent_units),
            **shown,
        }
        self._subscriptions.publish(Topic(ADDRESS, touch.script), result)


def _status_json(change: StatusChanged) -> Json:
    return {
        "status": change.status.value,
        "finalized": change.status.finalized,
        "time_ms": change.at_ms,
    }


def _block_json(connected: BlockConnected) -> Json:
    header = connected.block.header
    return {
        "hash": connected.block.hash.hex(),
        "height": header.height,
        "previousblockhash": header.prev_hash.hex(),
        "time": header.timestamp_ms // 1000,
        "timestamp_ms": header.timestamp_ms,
        "slot": header.slot,
        "round": header.round,
        "producer": header.producer.hex(),
        "nTx": 1 + len(connected.transactions),
    }
