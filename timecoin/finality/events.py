"""What finality hears besides messages, timers and links, and what it makes known."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from timecoin.ledger.block import Block
from timecoin.ledger.transaction import Transaction
from timecoin.quorum.evidence import Evidence
from timecoin.signal import Signal


class Status(enum.Enum):
    """How far a transaction has come at this node (PROTOCOL 5)."""

    ORPHAN = "orphan"
    SEEN = "seen"
    SAMPLING = "sampling"
    LOCALLY_ACCEPTED = "locally_accepted"
    CERTIFIED_BODY_MISSING = "certified_body_missing"
    CERTIFIED_STALE = "certified_stale"
    CERTIFIED = "certified"
    FINAL = "final"
    ARCHIVED = "archived"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def finalized(self) -> bool:
        """Whether a user may rely on it: only a receipt quorum or a block gives that."""
        return self in (Status.FINAL, Status.ARCHIVED)


@dataclass(frozen=True, slots=True)
class TxStatus:
    """A transaction's status and the figures behind it.

    Weights and ``quorum`` are those of the anchor's (votes) and the tip's (receipts) own snapshot;
    times are Unix milliseconds by this node's clock, None for what it has not seen happen.
    """

    status: Status
    anchor_height: int | None = None
    weight: int = 0
    receipts_weight: int = 0
    quorum: int = 0
    first_seen_ms: int | None = None
    final_ms: int | None = None
    archived_height: int | None = None


# Events.


@dataclass(frozen=True, slots=True)
class Submitted:
    """A transaction of this node's own user, which the pool has just accepted."""

    tx: Transaction


@dataclass(frozen=True, slots=True)
class Connected:
    """``block`` is the chain's new tip; ``transactions`` are its entries' bodies, in order."""

    block: Block
    transactions: tuple[Transaction, ...]


# Signals.


@dataclass(frozen=True, slots=True)
class StatusChanged(Signal):
    """``txid`` has reached ``status`` at Unix time ``at_ms``."""

    txid: bytes
    status: Status
    at_ms: int


@dataclass(frozen=True, slots=True)
class EmergencyRaised(Signal):
    """Two certified transactions conflict; ``signers`` voted for both (PROTOCOL 5, Emergency)."""

    first: bytes
    second: bytes
    signers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ConflictingVotesSeen(Signal):
    """A member has voted for two conflicting transactions (PROTOCOL 6, Evidence)."""

    evidence: Evidence
