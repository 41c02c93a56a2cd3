"""Pages of history for peers that are behind."""

from __future__ import annotations

from timecoin.chain.headers import CertifiedHeader
from timecoin.chain.pastset import PastSet
from timecoin.codec import encode
from timecoin.sync.messages import (
    MAX_COINS,
    PAGE_BYTES,
    BlockBody,
    Bodies,
    Coins,
    GetBodies,
    GetCoins,
    GetHeaders,
    Headers,
)
from timecoin.sync.ports import SyncChain

BODY_BYTES_MAX = 8_000_000
"""Of one block, transactions beyond it have to be fetched by themselves: a frame has a bound."""


def headers_page(chain: SyncChain, asked: GetHeaders) -> Headers:
    """The headers that ``asked`` names, as far as they exist and a page holds them."""
    items: list[CertifiedHeader] = []
    size = 0
    root = None
    parent = chain.header(asked.first - 1) if asked.first else None
    if parent is not None:
        root = parent.avs_root
    elif asked.first == 1:
        founders = chain.stored_set(0)
        root = None if founders is None else founders.root
    for height in range(asked.first, min(asked.first + asked.count - 1, chain.tip.height) + 1):
        header, certificate = chain.header(height), chain.certificate(height)
        if header is None or certificate is None:
            break  # genesis is no block
        members = None if header.avs_root == root else chain.stored_set(height)
        item = CertifiedHeader(header, certificate, members)
        size += len(encode(item))
        if items and size > PAGE_BYTES:
            break
        items.append(item)
        root = header.avs_root
    return Headers(asked.request, tuple(items))


def coins_page(chain: SyncChain, past: PastSet, asked: GetCoins) -> Coins:
    """The outputs that ``asked`` names, if this node gives out the set of that height."""
    found = past.page(asked.height, chain.tip.height, asked.after, MAX_COINS + 1)
    if found is None:
        return Coins(asked.request, (), False)
    return Coins(asked.request, tuple(found[:MAX_COINS]), len(found) <= MAX_COINS)


def bodies_page(chain: SyncChain, asked: GetBodies) -> Bodies:
    """The bodies that ``asked`` names, as far as this node has them and a page holds them."""
    items: list[BlockBody] = []
    size = 0
    for height in range(asked.first, min(asked.first + asked.count - 1, chain.tip.height) + 1):
        block = chain.block(height)
        if block is None:
            break  # genesis is no block, and bodies may have been pruned
        item_bytes = len(encode(block.body))
        transactions = []
        if asked.transactions:
            for entry in block.body.entries:
                tx = chain.transaction(entry.wtxid)
                if tx is None or item_bytes + len(tx.encoded) > BODY_BYTES_MAX:
                    break
                item_bytes += len(tx.encoded)
                transactions.append(tx)
        size += item_bytes
        if items and size > PAGE_BYTES:
            break
        items.append(BlockBody(block.body, tuple(transactions)))
    return Bodies(asked.request, tuple(items))
