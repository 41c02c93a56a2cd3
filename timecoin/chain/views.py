"""Reading accepted history, for RPC and explorers: immutable answers, no way to write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from timecoin.chain.commit import Chain
from timecoin.chain.ports import ChainStore
from timecoin.consensus.ports import Tip
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.block import Block, Header
from timecoin.ledger.check import NULL_TXID
from timecoin.ledger.connect import UtxoDiff
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.ledger.utxo import Utxo, utxo_element
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BlockCertificate


@dataclass(frozen=True, slots=True)
class ArchivedTransaction:
    """A transaction and the block that archived it."""

    tx: Transaction
    height: int
    block_hash: bytes
    position: int
    """Index among the block's entries; the reward stands behind the last one."""
    reward: bool


@dataclass(frozen=True, slots=True)
class UtxoAudit:
    """The UTXO set, counted and hashed anew, beside what the chain says of it."""

    height: int
    block_hash: bytes
    outputs: int
    total_units: int
    supply_units: int
    utxo_root: bytes
    """Of the walk; :attr:`chain_root` is what the chain keeps and its tip commits to."""
    chain_root: bytes

    @property
    def sound(self) -> bool:
        """Whether supply is the sum of the set, and the set is the one that the tip commits to."""
        return self.total_units == self.supply_units and self.utxo_root == self.chain_root


class ChainViews:
    """What others may know of history. Heights out of range give None."""

    def __init__(self, chain: Chain, store: ChainStore) -> None:
        self._chain = chain
        self._store = store
        self._audit: UtxoAudit | None = None

    @property
    def tip(self) -> Tip:
        """The newest final block."""
        return self._chain.tip

    @property
    def supply_units(self) -> int:
        """All coins in existence."""
        return self._chain.supply

    @property
    def utxo_root(self) -> bytes:
        """Root of the UTXO set after the tip."""
        return LtHash.from_bytes(self._chain.lthash).digest()

    @property
    def fork_height(self) -> int | None:
        """The height at which two blocks are certified; None on a sound chain."""
        return self._chain.fork_height

    @property
    def first_body(self) -> int:
        """The lowest height from which on every block is here whole."""
        return self._chain.first_body

    @property
    def first_undo(self) -> int:
        """The lowest height from which on it is here also what every block spent."""
        return self._chain.first_undo

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``; the genesis hash at 0."""
        return self._chain.block_hash(height)

    def height_of(self, block_hash: bytes) -> int | None:
        """The height of ``block_hash``, genesis included."""
        height = self._store.height_of(block_hash)
        # A header that is ahead of its block, or lost against a checkpoint, is no block.
        return height if height is not None and self.block_hash(height) == block_hash else None

    def header(self, height: int) -> Header | None:
        """The header at ``height``; genesis has none."""
        return self._store.header(height)

    def block(self, height: int) -> Block | None:
        """The block at ``height``; None for genesis and where its body is not kept."""
        return self._store.block(height)

    def certificate(self, height: int) -> BlockCertificate | None:
        """The precommit certificate of the block at ``height``."""
        return self._store.certificate(height)

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), however old."""
        return self._store.active_set(height)

    def undo(self, height: int) -> UtxoDiff | None:
        """What the block at ``height`` spent and created."""
        return self._store.undo(height)

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The unspent output ``point``."""
        return self._store.utxo(point)

    def transaction(self, txid: bytes) -> ArchivedTransaction | None:
        """The archived transaction ``txid``; rewards included."""
        where = self._store.archived(txid)
        if where is None:
            return None
        tx = self._store.transaction(where.wtxid)
        block_hash = self.block_hash(where.height)
        if tx is None or block_hash is None:
            return None
        return ArchivedTransaction(
            tx=tx,
            height=where.height,
            block_hash=block_hash,
            position=where.position,
            reward=tx.inputs[0].prev_txid == NULL_TXID,
        )

    def audit(self) -> UtxoAudit:
        """Walk the whole UTXO set in one go; the result is kept until the next block."""
        for found in self.audit_in_steps():
            if found is not None:
                return found
        raise LookupError("the chain moved during a walk that nothing interrupts")

    def audit_in_steps(self) -> Iterator[UtxoAudit | None]:
        """Walk the whole UTXO set, some thousand outputs a step (microseconds each).

        Yields None after each step and the result last. Ends without one when a block is connected
        between two steps: the walk has seen two different sets then.
        """
        tip = self._chain.tip
        if self._audit is not None and self._audit.block_hash == tip.hash:
            yield self._audit
            return
        lthash = LtHash()
        outputs = total_units = 0
        utxos = self._store.utxos()
        while chunk := list(islice(utxos, _AUDIT_CHUNK)):
            outputs += len(chunk)
            total_units += sum(utxo.value for _, utxo in chunk)
            lthash = lthash.add_many(utxo_element(*item) for item in chunk)
            yield None
            if self._chain.tip.hash != tip.hash:
                return
        self._audit = UtxoAudit(
            height=tip.height,
            block_hash=tip.hash,
            outputs=outputs,
            total_units=total_units,
            supply_units=self._chain.supply,
            utxo_root=lthash.digest(),
            chain_root=self.utxo_root,
        )
        yield self._audit


_AUDIT_CHUNK = 2_048
