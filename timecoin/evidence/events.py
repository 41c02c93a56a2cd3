"""What the pool of evidence hears besides messages and links, and what it makes known."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.quorum.evidence import Evidence
from timecoin.signal import Signal

# Events.


@dataclass(frozen=True, slots=True)
class Restore:
    """The journal's rows (table, key, value) of this node's last life; the first event of all."""

    rows: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """This node has seen both signatures itself."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class NewTip:
    """A block was connected."""


# Signals.


@dataclass(frozen=True, slots=True)
class EvidenceHeld(Signal):
    """Checked evidence is on disk and goes to the next proposer."""

    evidence: Evidence
