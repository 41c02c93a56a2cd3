"""What the masternode machine hears besides messages, timers and links, and makes known."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.ledger.block import Block
from timecoin.masternodes.changes import Leave
from timecoin.signal import Signal

# Events.


@dataclass(frozen=True, slots=True)
class Connected:
    """A block is the new tip."""

    block: Block


@dataclass(frozen=True, slots=True)
class SubmitLeave:
    """This node's user asks that a masternode leaves."""

    leave: Leave


@dataclass(frozen=True, slots=True)
class JoinWith:
    """This masternode is to join, or to change its stake.

    ``way``: the outpoint of a stake; for a Free member the hash of its payout address; empty for
    genesis. ``at_once`` False: only when its present membership is over.
    """

    way: bytes
    at_once: bool = True


# Signals.


@dataclass(frozen=True, slots=True)
class MasternodeAwake(Signal):
    """A masternode of which nothing was heard for a time to live, or ever, is live."""

    pubkey: bytes


@dataclass(frozen=True, slots=True)
class MasternodeSilent(Signal):
    """A member of the active set is no longer live; ``age_ms`` of its last heartbeat, if any."""

    pubkey: bytes
    age_ms: int | None


@dataclass(frozen=True, slots=True)
class ClockChanged(Signal):
    """This node's clock has left, or come back to, what its peers' clocks agree on.

    While it is not ``sound`` the node neither proposes nor witnesses (PROTOCOL 7).
    """

    offset_ms: int
    """By how much the peers' clocks are ahead."""
    sound: bool
