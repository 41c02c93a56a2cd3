"""Finality on the wire (PROTOCOL 5)."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes32, Bytes64, Wire
from timecoin.crypto.hashing import blake3_256
from timecoin.ledger.transaction import Transaction
from timecoin.quorum.certificate import BatchCertificate, ReceiptSet

MAX_RECEIPTS = 512
"""Receipts in one message."""

_BATCH = params.BATCH_MAX_TRANSACTIONS
_Bitmap = Annotated[bytes, msgspec.Meta(min_length=1, max_length=(_BATCH + 7) // 8)]
_Bodies = Annotated[tuple[Transaction, ...], msgspec.Meta(max_length=_BATCH)]


class Code(enum.IntEnum):
    """What a member thinks of a transaction."""

    VALID = 0
    INVALID = 1
    """``detail`` is the rule that it breaks, in ASCII."""
    CONFLICT = 2
    """``detail`` is the txid that the member prefers."""
    UNKNOWN = 3


class Query(Wire, frozen=True):
    """What do you think of these transactions, as of the block at height ``anchor``?

    With ``want_vote`` the leaves of the batch are their txids in this order.
    """

    request: U64
    anchor: U64
    wtxids: Annotated[tuple[Bytes32, ...], msgspec.Meta(min_length=1, max_length=_BATCH)]
    bodies: _Bodies
    want_vote: bool


class TxAnswer(Wire, frozen=True):
    """An opinion on one transaction; see :class:`Code`."""

    code: U8
    detail: Annotated[bytes, msgspec.Meta(max_length=64)]


class VoteReply(Wire, frozen=True):
    """A vote on the whole batch, by the key that the link has proved."""

    reject_bitmap: _Bitmap
    signature: Bytes64


class Answer(Wire, frozen=True):
    """Opinions in the order of the query's wtxids, and a vote if one was asked for and is due."""

    request: U64
    answers: Annotated[tuple[TxAnswer, ...], msgspec.Meta(min_length=1, max_length=_BATCH)]
    vote: VoteReply | None


class Certified(Wire, frozen=True):
    """A certificate, and those bodies of its leaves that the receiver may lack."""

    certificate: BatchCertificate
    bodies: _Bodies


class SignedReceipt(Wire, frozen=True):
    """One member's receipt for one batch at one tip."""

    tip: U64
    anchor: U64
    root: Bytes32
    leaf_count: U32
    stored_bitmap: _Bitmap
    voter: Bytes32
    signature: Bytes64


class Receipts(Wire, frozen=True):
    """Receipts of the sender, or passed on.

    The receiver counts them all; the first ``asked`` ones it is to bring to their collectors too.
    """

    items: Annotated[tuple[SignedReceipt, ...], msgspec.Meta(min_length=1, max_length=MAX_RECEIPTS)]
    asked: Annotated[int, msgspec.Meta(ge=0, le=MAX_RECEIPTS)] = 0


class Finalized(Wire, frozen=True):
    """A quorum of receipts."""

    receipts: ReceiptSet


class GetCertificate(Wire, frozen=True):
    """Send the certificates of this batch root or txid, with bodies, and their receipt quorums."""

    name: Bytes32


class Relay(Wire, frozen=True):
    """Transactions from a node outside the active set, whose receiver becomes their entry node."""

    transactions: Annotated[tuple[Transaction, ...], msgspec.Meta(min_length=1, max_length=_BATCH)]


class Pending(Wire, frozen=True):
    """Transactions of nodes that are linked with no member, carried to everybody by gossip."""

    transactions: Annotated[tuple[Transaction, ...], msgspec.Meta(min_length=1, max_length=_BATCH)]


class CallVotes(Wire, frozen=True):
    """A poll for members that the poller is not linked with, carried to everybody by gossip.

    The leaves of the batch are the txids of ``bodies`` in this order.
    """

    poller: Bytes32
    time_ms: U64
    """When the poller has asked: an old call is not passed on again."""
    anchor: U64
    bodies: Annotated[tuple[Transaction, ...], msgspec.Meta(min_length=1, max_length=_BATCH)]
    signature: Bytes64


class ReturnVote(Wire, frozen=True):
    """A vote on its way back to the poller of the call named."""

    call: Bytes32
    voter: Bytes32
    vote: VoteReply


def call_statement(chain_id: bytes, call: CallVotes) -> bytes:
    """What the signature of a call covers: all of it, transactions by their wtxids."""
    head = params.TAG_CALL + chain_id + call.poller + call.time_ms.to_bytes(8, "little")
    wtxids = b"".join(tx.wtxid for tx in call.bodies)
    return head + call.anchor.to_bytes(8, "little") + wtxids


def call_id(chain_id: bytes, call: CallVotes) -> bytes:
    """The name of a call in the votes that it brings."""
    return blake3_256(call_statement(chain_id, call))
