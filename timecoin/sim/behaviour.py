"""What a fault of a member is made of: what it knows, and what it may do to frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.crypto.keys import SigningKey
from timecoin.node.catalog import KIND_OF, MESSAGES
from timecoin.sim.network import Frame


@dataclass(frozen=True, slots=True)
class Faulty:
    """What a behaviour knows: its node's key, the chain, chance, and how to split the others."""

    key: SigningKey
    chain_id: bytes
    slot_ms: int
    rng: Random
    others: Sequence[bytes]
    """Voting keys of the other members."""
    in_second_half: Callable[[bytes], bool]
    """By node id: so that half of the network is told something else."""


class Behaviour:
    """One fault. The default does nothing wrong."""

    def __init__(self, faulty: Faulty) -> None:
        self.faulty = faulty

    def incoming(self, peer: bytes, message: Wire) -> None:
        """``peer`` sent ``message`` to this node."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """What goes to ``peer`` in place of ``frame``, which carries ``message``."""
        return [frame]


def frame_of(message: Wire) -> Frame:
    """``message`` as it travels."""
    return Frame(KIND_OF[type(message)], encode(message))


def message_of(frame: Frame) -> Wire | None:
    """What ``frame`` says; None when it says nothing."""
    known = MESSAGES.get(frame.kind)
    if known is None:
        return None
    try:
        return decode(frame.payload, known.type, known.max_bytes)
    except CodecError:
        return None
