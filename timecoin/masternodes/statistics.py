"""Counts of heartbeats since the start of this process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class HeartbeatCounts:
    """How many heartbeats there have been here, each counted once."""

    heard: int = 0
    """Those with a good signature."""
    verified: int = 0
    attested: int = 0
    """Those that this node attested to."""
    refused: int = 0
    """Messages with something forged in them."""
    sent: int = 0
    """This node's own."""
