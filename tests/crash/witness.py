"""What a world says while it lives, kept where a crash cannot take it: one file for all its lives.

Written before anybody acts on it, by one system call each; the process may end right after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from timecoin.finality.events import StatusChanged
from timecoin.ledger.transaction import Transaction, decode_transaction
from timecoin.node.wiring import observe
from timecoin.sim.world import SimNode, World

TIME, FRAME, PAYMENT, FINAL = b"tmpf"


class Witness:
    """Hears what nodes send and call final."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def attend(self, world: World) -> None:
        """Listen to a world that is about to start."""
        world.network.observers.append(
            lambda kind, payload: self._note(FRAME, kind.to_bytes(2, "big") + payload)
        )
        world.on_start(self._watch)

    def time(self, now_ms: int) -> None:
        """It is so late: the next life begins later."""
        self._note(TIME, now_ms.to_bytes(8, "big"))

    def payment(self, tx: Transaction) -> None:
        """``tx`` will be handed to a node."""
        self._note(PAYMENT, tx.encoded)

    def _watch(self, node: SimNode) -> None:
        def heard(signal: StatusChanged) -> None:
            if signal.status.finalized:
                self._note(FINAL, bytes([node.number]) + signal.txid)

        observe(node.running, StatusChanged, heard)

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


def replay(path: Path, world: World) -> None:
    """Let the observers of a ``world`` that has not started see what all lives have said."""
    for what, content in read(path):
        if what == FRAME:
            kind = int.from_bytes(content[:2], "big")
            for see in world.network.observers:
                see(kind, content[2:])
        elif what == PAYMENT:
            tx = decode_transaction(content)
            world.submitted[tx.txid] = tx
        elif what == FINAL:
            world.final_ms[content[0], content[1:]] = 0
