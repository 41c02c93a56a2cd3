"""What masternodes put on the wire beside their blocks and votes (PROTOCOL 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from timecoin import params
from timecoin.codec import Bytes8, Bytes32, Wire
from timecoin.masternodes.changes import Join, Leave
from timecoin.masternodes.heartbeat import Attestation, Attested

MAX_BEATS = 64
MAX_IDS = 512
MAX_LEAVES = 16


class Witnessed(Wire, frozen=True):
    """Attestations to a heartbeat that the receiver has: ``hash`` is its whole hash.

    Two heartbeats with one ``beat_id`` can be made: to who has the other these are not forged.
    """

    hash: Bytes32
    attestations: Annotated[
        tuple[Attestation, ...], Meta(min_length=1, max_length=params.WITNESSES)
    ]


class Beats(Wire, frozen=True):
    """Heartbeats, with the attestations that the sender knows.

    ``joins`` are those of masternodes that ask to join or to change their stake.
    """

    members: Annotated[tuple[Attested, ...], Meta(max_length=MAX_BEATS)]
    joins: Annotated[tuple[Join, ...], Meta(max_length=MAX_BEATS)]
    witnessed: Annotated[tuple[Witnessed, ...], Meta(max_length=MAX_BEATS)] = ()


_Ids = Annotated[tuple[Bytes8, ...], Meta(max_length=MAX_IDS)]


class BeatNews(Wire, frozen=True):
    """Heartbeats that the sender has, by ``beat_id``: ``heard`` lack attestations."""

    heard: _Ids
    verified: _Ids


class BeatWants(Wire, frozen=True):
    """Heartbeats that the sender lacks, and those that it has of which it lacks attestations."""

    whole: _Ids
    witnessed: _Ids


class Leaves(Wire, frozen=True):
    """Signed leaves that wait for a block."""

    leaves: Annotated[tuple[Leave, ...], Meta(min_length=1, max_length=MAX_LEAVES)]


Item = Attested | Join | Witnessed


def beats_of(items: Sequence[Item]) -> Beats:
    """One message of at most ``MAX_BEATS`` items."""
    return Beats(
        tuple(item for item in items if isinstance(item, Attested)),
        tuple(item for item in items if isinstance(item, Join)),
        tuple(item for item in items if isinstance(item, Witnessed)),
    )


def pages_of(
    first: Sequence[bytes], second: Sequence[bytes]
) -> Iterable[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """Two lists of names in parts that a message may hold; nothing of empty ones."""
    for start in range(0, max(len(first), len(second)), MAX_IDS):
        end = start + MAX_IDS
        yield tuple(first[start:end]), tuple(second[start:end])
