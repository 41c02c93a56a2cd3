"""Tables and row keys. Heights are big-endian, so that key order is height order."""

from __future__ import annotations

from collections.abc import Mapping

HEADERS = "headers"
"""height -> Header."""
BODIES = "block_bodies"
"""height -> Body."""
BLOCK_CERTIFICATES = "block_certificates"
"""height -> BlockCertificate."""
HEIGHTS = "heights"
"""block hash -> height."""
UNDO = "undo"
"""height -> what the block spent and created."""
FORKS = "forks"
"""height -> a second certified block of that height, with its certificate."""
UTXO = "utxo"
"""outpoint -> Utxo."""
TX = "tx"
"""wtxid -> archived transaction."""
TXINDEX = "txindex"
"""txid -> where it is archived."""
ADDRESS_UNSPENT = "address_unspent"
"""hash of the owner's script, outpoint -> nothing."""
ADDRESS_HISTORY = "address_history"
"""hash of the owner's script, height and position counted down -> txid."""
AVS = "avs"
"""height -> root of the active set; root -> the set itself, once."""
META = "meta"
"""tip, LtHash state, supply, schema version, genesis hash, whether addresses are indexed."""
WALLET = "wallet"
"""Rows of the wallet."""
HEARTBEATS = "heartbeats"
"""hour, voting key -> verified heartbeats; written by ``Record`` effects, read when asked for."""
ADDRESS_BOOK = "peers"
"""Rows of the peer network: known nodes, scores, bans."""

JOURNAL = (
    "locks",
    "votes",
    "pool",
    "certificates",
    "receipts",
    "finals",
    "bans",
    "emergencies",
    "evidence",
    "consensus",
    "bodies",
    "masternodes",
)
"""Tables that protocol machines write by ``Record`` effects and read back at start."""

TABLES = (
    HEADERS,
    BODIES,
    BLOCK_CERTIFICATES,
    HEIGHTS,
    UNDO,
    FORKS,
    UTXO,
    TX,
    TXINDEX,
    ADDRESS_UNSPENT,
    ADDRESS_HISTORY,
    AVS,
    META,
    WALLET,
    HEARTBEATS,
    ADDRESS_BOOK,
    *JOURNAL,
)

ADDED: Mapping[str, int] = {
    ADDRESS_UNSPENT: 2,
    ADDRESS_HISTORY: 2,
    "evidence": 3,
    HEARTBEATS: 4,
    "masternodes": 4,
}
"""Tables that came after the first layout, with the layout that brought them (``schema``): a store
that is older gets them when it is opened."""

REBUILT = (UTXO, UNDO, TXINDEX, HEIGHTS, ADDRESS_UNSPENT, ADDRESS_HISTORY)
"""Tables that follow from the stored blocks; ``reindex`` replaces them."""

META_SCHEMA = b"schema"
META_GENESIS = b"genesis"
META_TIP = b"tip"
META_LTHASH = b"lthash"
META_SUPPLY = b"supply"
META_HEADERS = b"headers"
"""The height of the newest certified header that was added ahead of its block."""
META_FIRST_BODY = b"first body"
"""The lowest height from which on all bodies are here; absent: 1."""
META_LACKS_UNDO = b"lacks undo"
"""Present while blocks that were added below the first body lack undo data: the first and the last
such height (``chain.history``)."""
META_LOADING = b"loading"
"""Present while the UTXO set is being loaded, and is not that of the tip: how far it is."""
META_REINDEX = b"reindex"
"""Present while the indexes are being rebuilt, and are not whole."""
META_ADDRESS_INDEX = b"address index"
"""Present while the index of addresses is whole."""


def height_key(height: int) -> bytes:
    """The row key of a block height: u64, big-endian."""
    return height.to_bytes(8, "big")


def height_of_key(key: bytes) -> int:
    """The inverse of :func:`height_key`."""
    return int.from_bytes(key, "big")


def undo_mark(heights: range) -> bytes:
    """The row of ``META_LACKS_UNDO`` for ``heights``, of which there is at least one."""
    return height_key(heights[0]) + height_key(heights[-1])
