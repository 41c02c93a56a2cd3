"""What a world says while it lives, kept where a crash cannot take it: one file for all its lives.

Written before anybody acts on it, by one system call each; the process may end right after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from timecoin.chain.commit import BlockConnected
from timecoin.codec import Wire, encode
from timecoin.finality.events import StatusChanged
from timecoin.ledger.block import Block
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.node.wiring import observe
from timecoin.quorum.certificate import BlockCertificate
from timecoin.sim.world import SimNode, World

TIME, FRAME, PAYMENT, FINAL, BLOCK = b"tmpfb"


class Connected(Wire, frozen=True):
    """A block of history, as the first node connected it."""

    block: Block
    certificate: BlockCertificate
    transactions: tuple[Transaction, ...]
    active: ActiveSet


class Witness:
    """Hears what nodes send and call final, and what becomes history."""

    def __init__(self, path: Path) -> None:
        self._height = sum(1 for what, _ in read(path) if what == BLOCK)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def attend(self, world: World) -> None:
        """Listen to a world that is about to start."""
        number = {node.node_id: node.number for node in world.nodes}

        def hear(sender: bytes, receiver: bytes, kind: int, payload: bytes) -> None:
            self._note(FRAME, bytes([number[sender], number[receiver], kind]) + payload)

        world.network.taps.append(hear)
        world.on_start(self._watch)

    def time(self, now_ms: int) -> None:
        """It is so late: the next life begins later."""
        self._note(TIME, now_ms.to_bytes(8, "big"))

    def payment(self, tx: Transaction) -> None:
        """``tx`` will be handed to a node."""
        self._note(PAYMENT, tx.encoded)

    def _watch(self, node: SimNode) -> None:
        def final(signal: StatusChanged) -> None:
            if signal.status.finalized:
                self._note(FINAL, bytes([node.number]) + signal.txid)

        observe(node.running, StatusChanged, final)
        observe(node.running, BlockConnected, lambda signal: self._history(node))
        self._history(node)  # the last life may have ended between a block and word of it

    def _history(self, node: SimNode) -> None:
        """Note the blocks of the node's store that no node had before."""
        chain = node.running.chain
        while self._height < chain.tip_height:
            self._height += 1
            block, certificate = chain.block(self._height), chain.certificate(self._height)
            active = chain.active_set(self._height)
            assert block is not None and certificate is not None and active is not None
            found = [chain.transaction(entry.wtxid) for entry in block.body.entries]
            transactions = tuple(tx for tx in found if tx is not None)
            self._note(BLOCK, encode(Connected(block, certificate, transactions, active)))

    def _note(self, what: int, content: bytes) -> None:
        os.write(self._file, bytes([what]) + len(content).to_bytes(4, "big") + content)


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """What was noted, in order."""
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while at < len(data):
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
        yield data[at], data[at + 5 : end]
        at = end


def last_time(path: Path, first_ms: int) -> int:
    """When the last life ended."""
    times = [int.from_bytes(content, "big") for what, content in read(path) if what == TIME]
    return max(times, default=first_ms)
