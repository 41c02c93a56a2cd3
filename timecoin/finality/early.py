"""Messages about blocks that this node is about to connect: kept a moment, then heard again."""

from __future__ import annotations

from timecoin.codec import Wire, encode
from timecoin.finality.context import Context
from timecoin.finality.parameters import (
    MAX_EARLY_BLOCKS,
    MAX_EARLY_BYTES,
    MAX_EARLY_BYTES_OF_OTHERS,
    MAX_EARLY_PER_PEER,
)


class Early:
    """A list of (height, peer, message), bounded in bytes and for each peer.

    What comes from others than members must leave most of the room free.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._messages: list[tuple[int, bytes, Wire]] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, height: int, peer: bytes, message: Wire) -> None:
        """Keep ``message`` until the block at ``height`` is connected, if that is near."""
        tip = self._context.chain.tip_height
        committee = self._context.committee
        if not tip < height <= tip + MAX_EARLY_BLOCKS:
            return
        is_member = committee.voter(peer, committee.current()) is not None
        limit = MAX_EARLY_BYTES if is_member else MAX_EARLY_BYTES_OF_OTHERS
        size = len(encode(message))
        if self._bytes + size > limit:
            return
        if sum(sender == peer for _, sender, _ in self._messages) < MAX_EARLY_PER_PEER:
            self._messages.append((height, peer, message))
            self._bytes += size

    def take(self) -> list[tuple[bytes, Wire]]:
        """What the tip has caught up with, in order of arrival."""
        tip = self._context.chain.tip_height
        due = [(peer, message) for height, peer, message in self._messages if height <= tip]
        self._messages = [item for item in self._messages if item[0] > tip]
        self._bytes -= sum(len(encode(message)) for _, message in due)
        return due

    def forget(self, peer: bytes) -> None:
        """The link to ``peer`` is gone: judged later, its messages would be a stranger's."""
        gone = [message for _, sender, message in self._messages if sender == peer]
        self._messages = [item for item in self._messages if item[1] != peer]
        self._bytes -= sum(len(encode(message)) for message in gone)
