"""Tips, headers and bodies of blocks, and sets of unspent outputs on the wire.

A page ends before its bound in bytes, unless its first item alone is larger, and is empty when the
sender does not have the first item. ``request`` names the question that an answer belongs to.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from timecoin.chain.headers import CertifiedHeader
from timecoin.codec import U64, Bytes32, Wire
from timecoin.ledger.block import Body
from timecoin.ledger.transaction import OUTPOINT_BYTES, Transaction
from timecoin.ledger.utxo import Utxo

MAX_HEADERS = 1_000
"""Headers that one request may ask for."""
MAX_BLOCKS = 100
"""Bodies of blocks that one request may ask for."""
MAX_COINS = 1_000
"""Unspent outputs of a page."""
PAGE_BYTES = 1_000_000


class TipAnnounce(Wire, frozen=True):
    """The sender's newest final block, and the first one whose body it has."""

    height: U64
    hash: Bytes32
    first_body: U64


class GetHeaders(Wire, frozen=True):
    """Ask for ``count`` certified headers from height ``first`` on."""

    request: U64
    first: U64
    count: Annotated[int, Meta(ge=1, le=MAX_HEADERS)]


class Headers(Wire, frozen=True):
    """The answer: consecutive headers with their precommit certificates."""

    request: U64
    items: Annotated[tuple[CertifiedHeader, ...], Meta(max_length=MAX_HEADERS)]


class GetBodies(Wire, frozen=True):
    """Ask for the bodies of ``count`` blocks from height ``first`` on.

    With ``transactions``, those that the blocks archive come along; else they are fetched by
    ``mempool.messages`` as far as they are missing.
    """

    request: U64
    first: U64
    count: Annotated[int, Meta(ge=1, le=MAX_BLOCKS)]
    transactions: bool


class BlockBody(Wire, frozen=True):
    """The body of one block with transactions of its entries: all, some or none of them."""

    body: Body
    transactions: tuple[Transaction, ...]


class Bodies(Wire, frozen=True):
    """The answer: the bodies of consecutive blocks."""

    request: U64
    items: Annotated[tuple[BlockBody, ...], Meta(max_length=MAX_BLOCKS)]


_Outpoint = Annotated[bytes, Meta(min_length=OUTPOINT_BYTES, max_length=OUTPOINT_BYTES)]


class GetCoins(Wire, frozen=True):
    """Ask for a page of the outputs that were unspent after block ``height``.

    In the order of outpoints, from behind ``after``; from the beginning when that is empty.
    """

    request: U64
    height: U64
    after: Annotated[bytes, Meta(max_length=OUTPOINT_BYTES)]


class Coins(Wire, frozen=True):
    """The answer; ``last`` says that nothing follows. Empty and not last: this set is not given."""

    request: U64
    items: Annotated[tuple[tuple[_Outpoint, Utxo], ...], Meta(max_length=MAX_COINS)]
    last: bool
