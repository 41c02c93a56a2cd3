"""Pages of history for peers that are behind."""

from __future__ import annotations

from timecoin.codec import encode
from timecoin.ledger.block import Block
from timecoin.quorum.certificate import BlockCertificate
from timecoin.sync.messages import PAGE_BYTES, Blocks, GetBlocks
from timecoin.sync.ports import SyncChain


def page_of(chain: SyncChain, asked: GetBlocks) -> Blocks:
    """The blocks that ``asked`` names, as far as they exist and a page holds them."""
    items: list[tuple[Block, BlockCertificate]] = []
    size = 0
    last = min(asked.first + asked.count - 1, chain.tip.height)
    for height in range(asked.first, last + 1):
        block, certificate = chain.block(height), chain.certificate(height)
        if block is None or certificate is None:
            break  # genesis is no block
        size += len(encode((block, certificate)))
        if items and size > PAGE_BYTES:
            break
        items.append((block, certificate))
    return Blocks(asked.request, tuple(items))
