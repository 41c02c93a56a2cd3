"""Transaction bodies on the wire."""

from __future__ import annotations

from typing import Annotated

import msgspec

from timecoin.codec import Bytes32, Wire
from timecoin.ledger.transaction import Transaction

MAX_BODIES = 1_000
"""Bodies that one request may name."""


class GetTransactions(Wire, frozen=True):
    """Ask for transaction bodies by wtxid."""

    wtxids: Annotated[tuple[Bytes32, ...], msgspec.Meta(min_length=1, max_length=MAX_BODIES)]


class Transactions(Wire, frozen=True):
    """Bodies that were asked for; several messages may answer one request."""

    transactions: Annotated[
        tuple[Transaction, ...], msgspec.Meta(min_length=1, max_length=MAX_BODIES)
    ]
