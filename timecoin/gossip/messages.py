"""What gossip itself puts on the wire; items travel as the messages that they are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from timecoin.codec import U8, Bytes32, Wire

MAX_IDS = 1_000
"""Items that one message may name."""
PUSH_BYTES = 4_096
"""Larger items of others are announced: whole, each node would get them from every neighbour."""
MAX_BUNDLED = 64
"""Items in one bundle."""
MAX_KEYS = 1_024
"""Voting keys that one message may name."""

_Ids = Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=MAX_IDS)]
_Keys = Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_KEYS)]


class Announce(Wire, frozen=True):
    """The sender has verified these items and passes them on to who asks."""

    ids: _Ids


class Fetch(Wire, frozen=True):
    """Send these items; they come as the messages that they are."""

    ids: _Ids


class Bundle(Wire, frozen=True):
    """Items passed on together, each as its frame would have carried it."""

    items: Annotated[
        tuple[tuple[U8, Annotated[bytes, Meta(max_length=PUSH_BYTES)]], ...],
        Meta(min_length=1, max_length=MAX_BUNDLED),
    ]


class Neighbours(Wire, frozen=True):
    """Voting keys that the sender is newly linked with, and keys that it is linked with no more.

    Whoever is linked with the author of a message gets it from the author and needs no relay.
    """

    joined: _Keys
    left: _Keys
