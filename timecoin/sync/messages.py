"""Tips and pages of blocks on the wire. Transaction bodies travel by ``mempool.messages``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from timecoin.codec import U64, Bytes32, Wire
from timecoin.ledger.block import Block
from timecoin.quorum.certificate import BlockCertificate

MAX_BLOCKS = 100
"""Blocks that one request may ask for."""
PAGE_BYTES = 4_000_000
"""A page of blocks ends before it, unless its first block alone is larger."""


class TipAnnounce(Wire, frozen=True):
    """The sender's newest final block."""

    height: U64
    hash: Bytes32


class GetBlocks(Wire, frozen=True):
    """Ask for ``count`` blocks from height ``first`` on; ``request`` names the answer."""

    request: U64
    first: U64
    count: Annotated[int, Meta(ge=1, le=MAX_BLOCKS)]


class Blocks(Wire, frozen=True):
    """The answer: consecutive blocks with their precommit certificates, as many as a page holds.

    Empty when the sender does not have the first one.
    """

    request: U64
    items: Annotated[tuple[tuple[Block, BlockCertificate], ...], Meta(max_length=MAX_BLOCKS)]
