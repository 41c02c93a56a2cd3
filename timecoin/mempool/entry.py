"""What the pool says of a transaction: its entry, a verdict, the effect of a block."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from timecoin.ledger.script import Stake
from timecoin.ledger.transaction import Outpoint, Transaction


class Admission(enum.Enum):
    """What became of a transaction offered to the pool."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    ORPHAN = "orphan"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An admission and, when refused, the rule that was broken."""

    admission: Admission
    rule: str = ""
    detail: str = ""


@dataclass(slots=True)
class PoolEntry:
    """A waiting transaction and what the pool knows of it."""

    tx: Transaction
    fee_units: int
    size: int
    received_ms: int
    sequence: int
    stakes: tuple[tuple[Outpoint, Stake], ...] = ()
    """The stakes that it spends: whether it may can change with any block."""
    locked: bool = False
    certified: bool = False

    @property
    def pinned(self) -> bool:
        """Whether the entry may be neither evicted nor expired."""
        return self.locked or self.certified

    def cheaper_than(self, fee_units: int, size: int) -> bool:
        """Whether this entry pays a lower fee rate."""
        return self.fee_units * size < fee_units * self.size


@dataclass(frozen=True, slots=True)
class PoolChange:
    """What a block did to the pool: transactions by their fate."""

    archived: tuple[Transaction, ...]
    rejected: tuple[Transaction, ...]
    admitted: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Figures for RPC and metrics."""

    pending: int
    certified: int
    bytes: int
    orphans: int
    conflicts: int
    oldest_ms: int | None
