"""What the pool of evidence needs of the chain."""

from __future__ import annotations

from typing import Protocol

from timecoin.masternodes.active_set import ActiveSet


class EvidenceChain(Protocol):
    """Port: accepted history, as far as offences are judged by it."""

    @property
    def tip_height(self) -> int:
        """Height of the newest block."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), or None when it is unknown, ahead of the tip or no longer kept."""
