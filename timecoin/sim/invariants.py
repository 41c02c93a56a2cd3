"""What must hold in every run, checked as it happens and once more at the end."""

from __future__ import annotations

from timecoin.chain.commit import BlockConnected
from timecoin.finality.events import Status, StatusChanged
from timecoin.ledger.transaction import Outpoint
from timecoin.sim.world import SimNode, World


class InvariantBroken(AssertionError):
    """The node code broke a promise; the text says which and where."""


class Invariants:
    """Watches a world; raises :class:`InvariantBroken` at the first broken promise."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hash_at: dict[int, bytes] = {}
        self._final_spender: dict[Outpoint, bytes] = {}
        self._signed: dict[tuple[int, bytes], bytes] = {}
        self.blocks_checked = 0
        self.finals_checked = 0
        world.on_start(self._watch)

    def _watch(self, node: SimNode) -> None:
        node.running.listen(BlockConnected, lambda signal: self._on_block(node, signal))
        node.running.listen(StatusChanged, self._on_status)

    def _on_block(self, node: SimNode, signal: BlockConnected) -> None:
        height, found = signal.block.height, signal.block.hash
        agreed = self._hash_at.setdefault(height, found)
        if agreed != found:
            raise InvariantBroken(
                f"agreement: node {node.number} has {found.hex()} at {height}, not {agreed.hex()}"
            )
        chain = node.running.chain
        if chain.audit() != chain.supply:
            raise InvariantBroken(f"supply: node {node.number} at height {height}")
        self.blocks_checked += 1

    def _on_status(self, signal: StatusChanged) -> None:
        if signal.status is not Status.FINAL:
            return
        self.finals_checked += 1
        tx = self._world.submitted.get(signal.txid)
        if tx is None:
            return
        for point in tx.outpoints:
            spender = self._final_spender.setdefault(point, signal.txid)
            if spender != signal.txid:
                raise InvariantBroken(
                    f"no double spend: {point.hex()} by {spender.hex()} and {signal.txid.hex()}"
                )

    def check_end(self) -> None:
        """To be called when the world has come to rest: links healed, nodes up."""
        final = sorted({txid for _, txid in self._world.final_ms})
        for node in self._world.nodes:
            self._check_signatures(node)
            if node.node is None:
                continue
            for txid in final:
                archived = node.node.chain.archived(txid) is not None
                if not archived and node.node.finality.status(txid).status is not Status.FINAL:
                    raise InvariantBroken(f"final is kept: node {node.number} lost {txid.hex()}")

    def _check_signatures(self, node: SimNode) -> None:
        """A validator's journal holds one vote for each height, round and kind, by construction
        of its keys; what must not differ is what peers saw, so compare across its lives."""
        for key, value in node.engine.scan("consensus", b"v"):
            known = self._signed.setdefault((node.number, key), value)
            if known != value:
                raise InvariantBroken(f"never two votes: node {node.number}, {key.hex()}")
