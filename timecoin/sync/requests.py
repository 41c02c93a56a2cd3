"""Requests for blocks: who was asked for what, and which answers belong to them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from timecoin.ledger.block import Block
from timecoin.quorum.certificate import BlockCertificate
from timecoin.sync.messages import Blocks, GetBlocks

KEPT_LATE = 16
"""Requests that timed out and whose answer is still welcome."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one peer. A probe compares histories at a height that we hold."""

    number: int
    peer: bytes
    first: int
    count: int
    probe: bool

    @property
    def message(self) -> GetBlocks:
        """The question on the wire."""
        return GetBlocks(self.number, self.first, self.count)


class Requests:
    """At most one request for new blocks at a time, and one probe a peer."""

    def __init__(self) -> None:
        self._number = 0
        self._open: dict[int, Request] = {}
        self._late: OrderedDict[int, Request] = OrderedDict()

    @property
    def fetching(self) -> bool:
        """Whether a request for new blocks is open."""
        return any(not request.probe for request in self._open.values())

    def probing(self, peer: bytes) -> bool:
        """Whether a probe of ``peer`` is open."""
        return any(request.probe and request.peer == peer for request in self._open.values())

    def new(self, peer: bytes, first: int, count: int, probe: bool = False) -> Request:
        """Open a request."""
        self._number += 1
        request = Request(self._number, peer, first, count, probe)
        self._open[request.number] = request
        return request

    def answered(self, peer: bytes, number: int) -> Request | None:
        """Close the request that ``peer`` answers; None when it was asked no such thing."""
        for requests in (self._open, self._late):
            request = requests.get(number)
            if request is not None and request.peer == peer:
                del requests[number]
                return request
        return None

    def late(self, number: int) -> Request | None:
        """Request ``number`` is overdue, if it is still open: another peer may be asked."""
        request = self._open.pop(number, None)
        if request is not None:
            self._late[number] = request
            if len(self._late) > KEPT_LATE:
                self._late.popitem(last=False)
        return request

    def drop_peer(self, peer: bytes) -> tuple[Request, ...]:
        """Forget what ``peer`` was asked; returns what was open."""
        for number in [n for n, request in self._late.items() if request.peer == peer]:
            del self._late[number]
        dropped = tuple(request for request in self._open.values() if request.peer == peer)
        for request in dropped:
            del self._open[request.number]
        return dropped


def is_answer(request: Request, answer: Blocks) -> bool:
    """Whether ``answer`` has the shape that was asked for.

    Consecutive heights from the first on, each block on the one before, each certificate for its
    block. What certificates prove is judged when the parent is history.
    """
    if len(answer.items) > request.count:
        return False
    parent: Block | None = None
    for offset, (block, certificate) in enumerate(answer.items):
        if block.height != request.first + offset or not _is_for(certificate, block):
            return False
        if parent is not None and block.header.prev_hash != parent.hash:
            return False
        parent = block
    return True


def _is_for(certificate: BlockCertificate, block: Block) -> bool:
    return (certificate.height, certificate.block_hash) == (block.height, block.hash)
