"""What p2p offers to the layers above, and what it asks of them.

The simulator's in-memory network offers the same :class:`Network`. A peer is named by its node
id: the 32-byte Ed25519 key of its TLS certificate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from timecoin.p2p.address import PeerAddress
from timecoin.p2p.bans import Ban, Subject

FIRST_UPPER_KIND = 16
"""Frame kinds below belong to the link's own session, from here to 255 to the layers above."""


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A snapshot of one established link."""

    node_id: bytes
    address: str
    """``host:port`` of the other end as this node sees it; a hint, never an identity."""
    inbound: bool
    masternode: bytes | None
    """The voting key that the peer proved to hold, if any."""
    agent: str
    height: int
    """The height that the peer's hello named."""
    services: int
    latency_ms: int | None
    """Round trip of the last answered ping."""
    clock_offset_ms: int | None
    """By how much the peer's clock is ahead of this node's; None until a ping was answered."""
    bytes_sent: int
    bytes_received: int
    messages_sent: dict[int, int]
    messages_received: dict[int, int]
    connected_ms: int
    """The clock's milliseconds when the link came up."""
    reputation: int = 0
    """From -100 to 100; 0 for a peer that was neither at fault nor useful."""


class LinkListener(Protocol):
    """Implemented above: hears of links and of the frames that arrive on them.

    ``link_up`` and ``link_down`` alternate for a peer, and frames arrive only between them. A link
    that replaces another of the same peer is told as down, then up: frames in flight may be lost.
    """

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """A link is established; ``masternode`` is the voting key the peer proved, if any."""

    def link_down(self, peer: bytes) -> None:
        """The link is gone; nothing sent from now on arrives."""

    def frame_received(self, peer: bytes, kind: int, payload: bytes) -> None:
        """A whole frame of a kind from 16 to 255 has arrived."""


class Network(Protocol):
    """Offered to the layers above."""

    def send(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Queue one frame; nothing happens if the link is gone.

        ``ValueError`` for a kind below 16 or above 255, or a payload beyond the frame limit.
        """

    def peers(self) -> list[PeerInfo]:
        """The established links, oldest first."""

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """Take ``points`` (positive) off the peer's reputation; at -50 it is cut off and banned."""

    def praise(self, peer: bytes, points: int) -> None:
        """Add ``points`` (positive) to the peer's reputation: it is kept when links are short."""

    def set_listener(self, listener: LinkListener) -> None:
        """Tell ``listener`` of links and frames; to be called once, before the network starts."""

    def set_height(self, height: int) -> None:
        """The chain height that later hellos name."""


class PeerRows(Protocol):
    """Port: where bans, scores and the address book rest."""

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows, in key order."""

    def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write all ``rows`` or none; None deletes. A kill of the process loses nothing."""


class PeerControl(Protocol):
    """Offered to the operator, by RPC."""

    def add_node(self, address: PeerAddress) -> bool:
        """Stay linked with whoever listens at ``address``; False if that is so already."""

    def remove_node(self, address: PeerAddress) -> bool:
        """Call ``address`` no more; its link stays. False if it was not on the list."""

    def try_node(self, address: PeerAddress) -> None:
        """Call ``address`` once."""

    def disconnect(self, who: bytes | str) -> bool:
        """End the link with a node id, or with whom is seen at ``host:port``; False if none is."""

    def ban(self, subject: Subject, until_ms: int) -> bool:
        """Refuse a node or a network until then, and end its links; False if it is banned now."""

    def unban(self, subject: Subject) -> bool:
        """End a ban; False if there is none."""

    def bans(self) -> list[Ban]:
        """All bans that have not ended, the oldest first."""
