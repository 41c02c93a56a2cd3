"""What the pool of evidence hears besides messages and links, and what it makes known."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.quorum.evidence import Evidence
from timecoin.signal import Signal

# Events.


@dataclass(frozen=True, slots=True)
class Witnessed:
    """This node has seen both signatures itself."""

    evidence: Evidence


# Signals.


@dataclass(frozen=True, slots=True)
class EvidenceHeld(Signal):
    """Checked evidence is on disk and goes to the next proposer."""

    evidence: Evidence
