"""What has to be counted while it happens: nobody keeps it otherwise.

Plain numbers and histograms, changed from the reactor's thread only and read by the collectors.
"""

from __future__ import annotations

from timecoin.metrics.histogram import Histogram

FINALITY_S = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
BLOCK_DELAY_S = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)
CALL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
SYNC_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LOOP_DELAY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
MAX_METHODS = 256
"""Names kept apart; callers cannot choose any, so this only bounds our own mistakes."""


class CallMeter:
    """JSON-RPC calls: how long each method took, and how calls failed."""

    def __init__(self) -> None:
        self.seconds: dict[str, Histogram] = {}
        self.errors: dict[tuple[str, int], int] = {}

    def add(self, method: str, seconds: float, error: int | None) -> None:
        """A call of a published ``method`` was answered; ``error`` is its code, None for none."""
        if method not in self.seconds:
            if len(self.seconds) >= MAX_METHODS:
                return
            self.seconds[method] = Histogram(CALL_S)
        self.seconds[method].add(seconds)
        if error is not None:
            key = (method, error)
            self.errors[key] = self.errors.get(key, 0) + 1


class Meters:
    """Everything that is counted as it happens, since the start."""

    def __init__(self) -> None:
        self.finality = Histogram(FINALITY_S)
        """From first sight of a transaction to final."""
        self.block_delay = Histogram(BLOCK_DELAY_S)
        """From the beginning of a block's slot to the block; not while catching up."""
        self.view_changes = 0
        """Rounds after the first of a height that this node has begun."""
        self.proposals_refused = 0
        self.equivocations = 0
        self.calls = CallMeter()
        self.store_sync = Histogram(SYNC_S)
        """How long the journal's syncs took, waiting for a thread included."""
        self.loop_delay = Histogram(LOOP_DELAY_S)
        """How much later than asked for the reactor called."""
