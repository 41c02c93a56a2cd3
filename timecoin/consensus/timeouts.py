"""Time-outs of a round, as data: they grow by round, which is the view change (PROTOCOL 6)."""

from __future__ import annotations

import enum

from timecoin.params import ConsensusTiming


class Timeout(enum.IntEnum):
    """What a round waits for no longer once the time is over."""

    PROPOSE = 1
    """An acceptable proposal: prepare nil."""
    PREPARE = 2
    """More prepares, after a quorum of differing ones: precommit nil."""
    PRECOMMIT = 3
    """More precommits, after a quorum of differing ones: next round."""


def delay_ms(timing: ConsensusTiming, round_: int) -> int:
    """How long each of the three waits lasts in ``round_``, in milliseconds."""
    return timing.round_timeout_ms + round_ * timing.round_timeout_step_ms
