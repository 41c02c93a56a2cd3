"""What masternodes put on the wire beside their blocks and votes (PROTOCOL 4)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from timecoin.codec import Wire
from timecoin.masternodes.changes import Join, Leave
from timecoin.masternodes.heartbeat import Attested

MAX_BEATS = 64
MAX_LEAVES = 16


class Beats(Wire, frozen=True):
    """Heartbeats, with the attestations that the sender knows.

    ``joins`` are those of masternodes that ask to join or to change their stake.
    """

    members: Annotated[tuple[Attested, ...], Meta(max_length=MAX_BEATS)]
    joins: Annotated[tuple[Join, ...], Meta(max_length=MAX_BEATS)]


class Leaves(Wire, frozen=True):
    """Signed leaves that wait for a block."""

    leaves: Annotated[tuple[Leave, ...], Meta(min_length=1, max_length=MAX_LEAVES)]


def beats_of(items: tuple[Attested | Join, ...]) -> Beats:
    """One message of at most ``MAX_BEATS`` items."""
    return Beats(
        tuple(item for item in items if isinstance(item, Attested)),
        tuple(item for item in items if isinstance(item, Join)),
    )
