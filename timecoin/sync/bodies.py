"""Bodies fetched ahead of the tip, and which range of blocks to ask for next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from timecoin.ledger.block import Body, Header
from timecoin.ledger.transaction import Transaction
from timecoin.sync.messages import MAX_BLOCKS, BlockBody
from timecoin.sync.requests import Request

AHEAD_BLOCKS = 400
AHEAD_BYTES = 16_000_000
"""While so much waits to be judged, only the next block is asked for."""
PARALLEL = 3
"""Peers that are asked for bodies at a time, and for the same range at most."""
STALL_MS = 1_000
"""The next block is asked for elsewhere too when it has not come for so long."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The body of one block, true to its certified header, and who sent it."""

    body: Body
    transactions: dict[bytes, Transaction]
    """Those that came along, by wtxid."""
    peer: bytes
    size: int


def fetched(item: BlockBody, header: Header, peer: bytes) -> Fetched:
    """``item`` as the body of ``header``; ``ValueError`` says how it is another."""
    if item.body.root != header.body_root:
        raise ValueError(f"another body than that of block {header.height}")
    transactions = {tx.wtxid: tx for tx in item.transactions}
    if not transactions.keys() <= {entry.wtxid for entry in item.body.entries}:
        raise ValueError(f"a transaction that block {header.height} does not archive")
    # Certificates and entries are most of a body; what one takes in memory is near enough.
    size = sum(map(len, item.body.certificates)) + 64 * len(item.body.entries)
    return Fetched(
        item.body, transactions, peer, size + sum(len(tx.encoded) for tx in item.transactions)
    )


class BodyWindow:
    """What has been fetched for the heights above the tip."""

    def __init__(self) -> None:
        self._held: dict[int, Fetched] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, height: int) -> Fetched | None:
        """The body of the block at ``height``."""
        return self._held.get(height)

    def add(self, height: int, item: Fetched) -> None:
        """Keep ``item``, unless there is one already."""
        if height not in self._held:
            self._held[height] = item
            self.bytes += item.size

    def drop_through(self, height: int) -> None:
        """The blocks up to ``height`` are history."""
        for known in [known for known in self._held if known <= height]:
            self.bytes -= self._held.pop(known).size

    def clear(self) -> None:
        """Keep nothing."""
        self._held.clear()
        self.bytes = 0

    def next_range(
        self, tip: int, top: int, asked: Sequence[Request], now_ms: int
    ) -> tuple[int, int] | None:
        """First height and number of the blocks to ask for, among those above ``tip`` to ``top``.

        What is held or ``asked`` for is left out, but for the next block when it is overdue.
        """
        full = len(self._held) >= AHEAD_BLOCKS or self.bytes >= AHEAD_BYTES
        covered = [(request.first, request.last) for request in asked]
        last = tip + 1 if full else min(top, tip + AHEAD_BLOCKS)
        first = next((h for h in range(tip + 1, last + 1) if self._free(h, covered)), None)
        if first is not None:
            end = min(last, first + MAX_BLOCKS - 1)
            after = next((h for h in range(first, end + 1) if not self._free(h, covered)), end + 1)
            # A window that has just moved on by a block waits until there is more to ask for.
            few = after - first < MAX_BLOCKS and last < top
            return None if few and first > tip + AHEAD_BLOCKS // 2 else (first, after - first)
        askers = [request for request in asked if request.first <= tip + 1 <= request.last]
        overdue = bool(askers) and max(r.asked_ms for r in askers) + STALL_MS <= now_ms
        return (tip + 1, askers[0].last - tip) if overdue and len(askers) < PARALLEL else None

    def _free(self, height: int, covered: Sequence[tuple[int, int]]) -> bool:
        return height not in self._held and not any(a <= height <= b for a, b in covered)
