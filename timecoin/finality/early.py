"""Messages about blocks that this node is about to connect: kept a moment, then heard again."""

from __future__ import annotations

from timecoin.codec import Wire
from timecoin.finality.context import Context
from timecoin.finality.parameters import MAX_EARLY, MAX_EARLY_BLOCKS


class Early:
    """A bounded list of (height, peer, message), from members only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._messages: list[tuple[int, bytes, Wire]] = []

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, height: int, peer: bytes, message: Wire) -> None:
        """Keep ``message`` until the block at ``height`` is connected, if that is near."""
        tip = self._context.chain.tip_height
        committee = self._context.committee
        if tip < height <= tip + MAX_EARLY_BLOCKS and len(self._messages) < MAX_EARLY:
            if committee.voter(peer, committee.current()) is not None:
                self._messages.append((height, peer, message))

    def take(self) -> list[tuple[bytes, Wire]]:
        """What the tip has caught up with, in order of arrival."""
        tip = self._context.chain.tip_height
        due = [(peer, message) for height, peer, message in self._messages if height <= tip]
        self._messages = [item for item in self._messages if item[0] > tip]
        return due
