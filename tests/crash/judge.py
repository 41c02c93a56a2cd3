"""Holds all that a network has said in all its lives against the simulator's rules of what may be.

One history; certificates and lottery proofs checked by other code than the nodes'; no signature
that contradicts an earlier one, whichever life it is from; no coin spent by two final payments.
"""

from __future__ import annotations

from pathlib import Path

from tests.crash.witness import BLOCK, FINAL, FRAME, PAYMENT, Connected, read
from timecoin.chain.commit import BlockConnected
from timecoin.codec import decode
from timecoin.ledger.transaction import Outpoint, decode_transaction
from timecoin.sim.history import History
from timecoin.sim.pledges import Pledges
from timecoin.sim.proofs import Proofs
from timecoin.sim.wiretap import Wiretap
from timecoin.sim.world import World

NOBODY: frozenset[bytes] = frozenset()


class Judge:
    """Hears the lives of ``world``, which has not started, from what a witness has noted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._history = History(world.genesis)
        self._proofs = Proofs(self._history)
        self._pledges = Pledges(self._history, NOBODY)
        Wiretap(world, self._proofs, self._pledges, NOBODY)
        self._hear = world.network.taps.pop()  # it hears what was noted, and nothing else
        self._spender: dict[Outpoint, bytes] = {}

    def replay(self, path: Path) -> None:
        """All of it, in order, once the nodes of the world have started; ``InvariantBroken``."""
        nodes = self._world.nodes
        for what, content in read(path):
            if what == FRAME:
                sender, receiver = nodes[content[0]].node_id, nodes[content[1]].node_id
                self._hear(sender, receiver, content[2], content[3:])
            elif what == BLOCK:
                self._block(decode(content, Connected, len(content)))
            elif what == PAYMENT:
                tx = decode_transaction(content)
                self._world.submitted[tx.txid] = tx
            elif what == FINAL:
                self._final(content[0], content[1:])

    def _block(self, found: Connected) -> None:
        block, certificate, transactions = found.block, found.certificate, found.transactions
        self._history.connect(
            BlockConnected(block, certificate, transactions, (), ()), found.active
        )
        self._proofs.header(block.header)
        self._proofs.precommits(certificate)
        spent = (point for tx in transactions for point in tx.outpoints)
        self._pledges.connected(block.height, spent)

    def _final(self, number: int, txid: bytes) -> None:
        self._world.final_ms[number, txid] = 0
        tx = self._world.submitted[txid]
        for point in tx.outpoints:
            spender = self._spender.setdefault(point, txid)
            assert spender == txid, f"{point.hex()} by {spender.hex()} and {txid.hex()}, both final"
