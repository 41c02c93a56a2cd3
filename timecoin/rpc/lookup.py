"""Finds transactions and outputs wherever this node holds them: pool, chain, genesis."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.chain.views import ChainViews
from timecoin.ledger.genesis import Genesis, genesis_utxos
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput, split_outpoint
from timecoin.params import Network
from timecoin.rpc.ports import PoolReader
from timecoin.rpc.rendering import Json


@dataclass(frozen=True, slots=True)
class Place:
    """The block that archived a transaction."""

    height: int
    block_hash: bytes
    index: int
    """Position in the block as ``getblock`` lists it: the reward is 0, as Bitcoin's coinbase."""
    time_ms: int
    confirmations: int


@dataclass(frozen=True, slots=True)
class Found:
    """A transaction; ``place`` None while it waits, ``received_ms`` None once it is archived."""

    tx: Transaction
    place: Place | None
    received_ms: int | None

    @property
    def confirmations(self) -> int:
        """Blocks from the archiving one to the tip; 0 before."""
        return 0 if self.place is None else self.place.confirmations

    def place_json(self) -> Json:
        """Where it stands, in Bitcoin Core's names; times are Unix seconds."""
        shown: Json = {"confirmations": self.confirmations}
        if self.received_ms is not None:
            shown["time"] = shown["timereceived"] = self.received_ms // 1000
        if self.place is None:
            return shown
        return {
            **shown,
            "time": self.place.time_ms // 1000,
            "blockhash": self.place.block_hash.hex(),
            "blockheight": self.place.height,
            "blockindex": self.place.index,
            "blocktime": self.place.time_ms // 1000,
        }


class Lookup:
    """Read-only access by txid and outpoint."""

    def __init__(self, genesis: Genesis, views: ChainViews, pool: PoolReader) -> None:
        self.network = Network(genesis.network)
        self._views = views
        self._pool = pool
        self._allocations = {
            point: TxOutput(utxo.value, utxo.script) for point, utxo in genesis_utxos(genesis)
        }

    def transaction(self, txid: bytes) -> Found | None:
        """The transaction ``txid``, waiting or archived."""
        entry = self._pool.entry(txid)
        if entry is not None:
            return Found(entry.tx, None, entry.received_ms)
        archived = self._views.transaction(txid)
        if archived is None:
            return None
        header = self._views.header(archived.height)
        assert header is not None  # the chain has just named this height
        place = Place(
            height=archived.height,
            block_hash=archived.block_hash,
            index=0 if archived.reward else archived.position + 1,
            time_ms=header.timestamp_ms,
            confirmations=self.confirmations(archived.height),
        )
        return Found(archived.tx, place, None)

    def output(self, point: Outpoint) -> TxOutput | None:
        """The output that ``point`` names, spent or not."""
        unspent = self._views.utxo(point)
        if unspent is not None:  # without the transaction that made it, which may be a large one
            return TxOutput(unspent.value, unspent.script)
        allocated = self._allocations.get(point)
        if allocated is not None:
            return allocated
        txid, index = split_outpoint(point)
        entry = self._pool.entry(txid)
        if entry is not None:
            tx = entry.tx
        else:
            archived = self._views.transaction(txid)
            if archived is None:
                return None
            tx = archived.tx
        return tx.outputs[index] if index < len(tx.outputs) else None

    def confirmations(self, height: int) -> int:
        """Blocks from ``height`` to the tip, both counted."""
        return self._views.tip.height - height + 1
