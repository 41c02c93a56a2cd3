"""How many messages a world needs: for each payment, for each block."""

from __future__ import annotations

from collections import Counter

from timecoin.codec import decode
from timecoin.gossip.messages import Bundle
from timecoin.node.catalog import MESSAGES, Owner
from timecoin.sim.world import World


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
        known = MESSAGES[kind]
        if known.type is not Bundle:
            self._count(kind)
            return
        for inner, _ in decode(payload, Bundle, known.max_bytes).items:
            self._count(inner)

    def _count(self, kind: int) -> None:
        known = MESSAGES[kind]
        self.messages[known.owner] += 1
        self.kinds[known.type.__name__] += 1

    @property
    def of_payments(self) -> int:
        """Messages that make payments final."""
        return self.messages[Owner.FINALITY] + self.messages[Owner.EXCHANGE]

    @property
    def of_blocks(self) -> int:
        """Messages that agree on blocks."""
        return self.messages[Owner.CONSENSUS]
