"""What must hold in every run, checked at every event and once more at the end."""

from __future__ import annotations

from timecoin import params
from timecoin.chain.commit import BlockConnected
from timecoin.codec import decode
from timecoin.finality.emergency import MAX_EMERGENCIES
from timecoin.finality.events import Status, StatusChanged
from timecoin.finality.parameters import MAX_CONTESTS, MAX_LOCKS, MAX_RUNNING_POLLS
from timecoin.ledger.transaction import Outpoint
from timecoin.node.node import VERIFIED_SIGNATURES
from timecoin.node.wiring import observe
from timecoin.quorum.certificate import BatchCertificate
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.history import History
from timecoin.sim.pledges import Pledges
from timecoin.sim.proofs import Proofs
from timecoin.sim.wiretap import Wiretap
from timecoin.sim.world import SimNode, World

OUTPUTS_A_BLOCK = 64
"""A node walks its UTXO set once in so many blocks that this many outputs fall to each."""
STATUSES_A_LOOK = 16
"""Memory is looked at with each block, and each time that so many statuses have changed."""
ARCHIVED_WITHIN = 2
"""Blocks after the tip of its receipts by which a final transaction is archived (PROTOCOL 5)."""


class Invariants:
    """Watches a world; raises :class:`InvariantBroken` at the first broken promise."""

    def __init__(self, world: World, faulty: frozenset[bytes] = frozenset()) -> None:
        """``faulty``: voting keys of members that may sign what they like."""
        self._world = world
        self._next_walk = [0] * len(world.nodes)
        """From which height on the whole UTXO set of each node is to be walked again."""
        self._final_spender: dict[Outpoint, bytes] = {}
        self._due: dict[bytes, int] = {}
        """Final transactions not yet archived, with the height at which they have to be."""
        self._history = History(world.genesis)
        self._proofs = Proofs(self._history)
        self._pledges = Pledges(self._history, faulty)
        self._wiretap = Wiretap(world, self._proofs, self._pledges, faulty)
        self._statuses = 0
        self.blocks_checked = 0
        self.finals_checked = 0
        world.on_start(self._watch)

    def _watch(self, node: SimNode) -> None:
        observe(node.running, BlockConnected, lambda signal: self._on_block(node, signal))
        observe(node.running, StatusChanged, lambda signal: self._on_status(node, signal))

    # blocks

    def _on_block(self, node: SimNode, found: BlockConnected) -> None:
        height = found.block.height
        active = node.running.chain.active_set(height)
        if active is None or active.root != found.block.header.avs_root:
            raise InvariantBroken(f"active set: node {node.number} at height {height}")
        if self._history.connect(found, active):
            self._on_new_block(found)
        outputs, units = self._history.sums(height)
        grown = len(found.created) - len(found.spent)
        if (
            node.running.views.supply_units != units
            or grown != outputs - self._history.sums(height - 1)[0]
        ):
            raise InvariantBroken(f"supply: node {node.number} at height {height}")
        turn = height % len(self._world.nodes) == node.number
        if turn and height >= self._next_walk[node.number]:
            self._walk(node)
            self._next_walk[node.number] = height + outputs // OUTPUTS_A_BLOCK
        self._check_memory(node)
        self.blocks_checked += 1

    def _walk(self, node: SimNode) -> None:
        """Count, sum and root of all outputs in the node's store."""
        audit = node.running.views.audit()
        if not audit.sound or (audit.outputs, audit.total_units) != self._history.sums(
            audit.height
        ):
            raise InvariantBroken(f"supply: node {node.number} at height {audit.height}")

    def _on_new_block(self, found: BlockConnected) -> None:
        block, height = found.block, found.block.height
        self._proofs.header(block.header)
        signers = self._proofs.precommits(found.certificate)
        if found.certificate.block_hash != block.hash:
            raise InvariantBroken(f"precommit certificate: {len(signers)} for another block")
        covered = {resolution.winner for resolution in block.body.resolutions}
        for data in block.body.certificates:
            certificate = decode(data, BatchCertificate, params.MAX_BLOCK_BYTES)
            covered.update(self._proofs.batch(certificate).txids)
        for tx in found.transactions:
            if tx.txid not in covered:
                raise InvariantBroken(f"certificate: none for {tx.txid.hex()} at height {height}")
            self._spend(tx.txid, tx.outpoints)
            self._due.pop(tx.txid, None)
        self._pledges.connected(height, (p for tx in found.transactions for p in tx.outpoints))
        self._check_due()

    def _check_due(self) -> None:
        for txid, height in self._due.items():
            if height <= self._history.height:
                raise InvariantBroken(f"final is archived: {txid.hex()} by height {height}")

    def _check_memory(self, node: SimNode) -> None:
        """What a node keeps in memory has bounds (PROTOCOL 9)."""
        running = node.running
        limits, pool = running.pool_limits, running.pool.stats()
        figures = running.finality.statistics()
        for name, count, limit in (
            ("pending", pool.pending, limits.max_pending),
            ("pool bytes", pool.bytes, limits.max_bytes),
            ("orphans", pool.orphans, limits.max_orphans),
            ("locks", figures.locks, MAX_LOCKS),
            ("polls", figures.running_polls, MAX_RUNNING_POLLS),
            ("contests", figures.contests, MAX_CONTESTS),
            ("emergencies", figures.emergencies, MAX_EMERGENCIES),
            ("signatures", len(running.verified), VERIFIED_SIGNATURES),
        ):
            if count > limit:
                raise InvariantBroken(f"memory: node {node.number} has {count} {name}")

    # payments

    def _on_status(self, node: SimNode, signal: StatusChanged) -> None:
        self._statuses += 1
        if self._statuses % STATUSES_A_LOOK == 0:
            self._check_memory(node)
        if not signal.status.finalized:
            return
        self.finals_checked += 1
        txid = signal.txid
        tx = self._world.submitted.get(txid) or node.running.pool.get(txid)
        if tx is not None:
            self._spend(txid, tx.outpoints)
        if signal.status is Status.FINAL and txid not in self._history.archived:
            self._on_final(node, txid)

    def _on_final(self, node: SimNode, txid: bytes) -> None:
        """A node relies on receipts: they and the certificate have to prove it."""
        proof = node.running.finality.proof(txid)
        if proof is None:
            raise InvariantBroken(f"receipts: node {node.number} has none for {txid.hex()}")
        final = self._proofs.receipts(
            proof.tip, proof.anchor, proof.root, proof.leaf_count, proof.receipts
        )
        if proof.leaf not in final:
            raise InvariantBroken(f"receipts: no quorum for {txid.hex()} at tip {proof.tip}")
        due = proof.tip + ARCHIVED_WITHIN
        self._due[txid] = min(due, self._due.get(txid, due))
        self._check_due()

    def _spend(self, txid: bytes, points: tuple[Outpoint, ...]) -> None:
        """``txid`` is final or archived: nothing else that spends one of ``points`` ever is."""
        for point in points:
            spender = self._final_spender.setdefault(point, txid)
            if spender != txid:
                raise InvariantBroken(
                    f"no double spend: {point.hex()} by {spender.hex()} and {txid.hex()}"
                )

    def check_end(self) -> None:
        """To be called when the world has come to rest: links healed, nodes up."""
        final = sorted({txid for _, txid in self._world.final_ms})
        for node in self._world.nodes:
            if node.node is None:
                continue
            self._check_memory(node)
            for txid in final:
                found = node.node.finality.status(txid)
                if found is None or not found.status.finalized:
                    raise InvariantBroken(f"final is kept: node {node.number} lost {txid.hex()}")
