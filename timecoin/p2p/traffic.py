"""How much went over connections, and how many there are: figures for metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Traffic:
    """Bytes of frames and messages by kind, of one connection or of many."""

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: Counter[int] = field(default_factory=Counter)
    messages_received: Counter[int] = field(default_factory=Counter)

    def add(self, other: Traffic) -> None:
        """Count what ``other`` has counted too."""
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received
        self.messages_sent.update(other.messages_sent)
        self.messages_received.update(other.messages_received)


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """The links of this moment, and what has happened since the start."""

    inbound: int
    outbound: int
    masternodes: int
    """Links whose peer proved a voting key."""
    reconnecting: int
    """Configured addresses that are called because no link is up."""
    stopped_callers: int
    """Loops that should call an address and have ended by a fault."""
    banned: int
    bans: int
    """Bans since the start."""
    traffic: Traffic
    """Of all connections since the start."""
