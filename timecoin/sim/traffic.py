"""How many messages a world needs: for each payment, for each block, at each node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from timecoin.codec import decode
from timecoin.gossip.messages import Bundle
from timecoin.node.catalog import MESSAGES, Known, Owner
from timecoin.sim.network import Frame
from timecoin.sim.world import World

OF_PAYMENTS = (Owner.FINALITY, Owner.EXCHANGE)
"""Whose messages make payments final."""


class Traffic:
    """Counts what is sent: frames, and the messages in them by the machine that they are for."""

    def __init__(self, world: World) -> None:
        self.frames = 0
        self.bytes = 0
        self.messages: Counter[Owner] = Counter()
        self.kinds: Counter[str] = Counter()
        """Messages by their name."""
        world.network.observers.append(self._on_frame)

    def _on_frame(self, kind: int, payload: bytes) -> None:
        self.frames += 1
        self.bytes += len(payload)
        for known in messages_in(kind, payload):
            self.messages[known.owner] += 1
            self.kinds[known.type.__name__] += 1

    @property
    def of_payments(self) -> int:
        """Messages that make payments final."""
        return sum(self.messages[owner] for owner in OF_PAYMENTS)

    @property
    def of_blocks(self) -> int:
        """Messages that agree on blocks."""
        return self.messages[Owner.CONSENSUS]


class NodeTraffic:
    """Counts what one node sends and receives to make payments final; changes nothing."""

    def __init__(self, world: World, node_id: bytes) -> None:
        self.kinds: Counter[str] = Counter()
        """Messages by their name."""
        world.network.tampers[node_id] = self

    def incoming(self, peer: bytes, kind: int, payload: bytes) -> None:
        """See :class:`timecoin.sim.network.Tamper`."""
        self._count(kind, payload)

    def outgoing(self, peer: bytes, kind: int, payload: bytes) -> tuple[Frame, ...]:
        """See :class:`timecoin.sim.network.Tamper`."""
        self._count(kind, payload)
        return (Frame(kind, payload),)

    def _count(self, kind: int, payload: bytes) -> None:
        for known in messages_in(kind, payload):
            if known.owner in OF_PAYMENTS:
                self.kinds[known.type.__name__] += 1


def messages_in(kind: int, payload: bytes) -> Iterator[Known]:
    """What is known of each message in a frame: of one, or of all in a bundle."""
    known = MESSAGES[kind]
    if known.type is not Bundle:
        yield known
        return
    for inner, _ in decode(payload, Bundle, known.max_bytes).items:
        yield MESSAGES[inner]
