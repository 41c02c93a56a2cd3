"""What a node remembers of others from one life to the next: the book, scores, bans, anchors, and
whom its operator added.

Kept in memory, written in batches: the operator's word and bans at once, the rest twice a minute
and at the end.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from timecoin.p2p.address import PeerAddress, parse_peer_address
from timecoin.p2p.addressbook import AddressBook
from timecoin.p2p.bans import Bans, subject_text
from timecoin.p2p.ports import PeerRows
from timecoin.p2p.reputation import Reputation

WRITE_MS = 30_000
SECRET_BYTES = 32
ANCHOR_BYTES = 32
_SECRET, _ANCHORS = b"secret", b"anchors"
_BOOK, _SCORE, _BAN, _ADDED = b"n", b"s", b"b", b"+"


class Memory:
    """Reads the last life's rows when it is made."""

    log = Logger()

    def __init__(self, rows: PeerRows, entropy: Callable[[int], bytes]) -> None:
        held = dict(rows.rows())
        secret = held.pop(_SECRET, None)
        self._rows = rows
        if secret is None or len(secret) != SECRET_BYTES:
            secret = entropy(SECRET_BYTES)
            rows.write([(_SECRET, secret)])
        anchors = held.pop(_ANCHORS, b"")
        self.secret = secret
        """Decides places in the book and protects from eviction; nobody else may know it."""
        self.book = AddressBook(secret)
        self.reputation = Reputation()
        self.bans = Bans()
        self.anchors = tuple(
            anchors[i : i + ANCHOR_BYTES] for i in range(0, len(anchors), ANCHOR_BYTES)
        )
        """Nodes that the last life had chosen and kept links with, the oldest link first."""
        self.added: dict[PeerAddress, None] = {}
        """Nodes to stay linked with, by the operator's word."""
        for key, value in held.items():
            self._restore(key, value)

    def write(self) -> None:
        """Bring what has changed to rest, in one batch."""
        book, reputation, bans = self.book, self.reputation, self.bans
        rows = [(_BOOK + node_id, book.row(node_id)) for node_id in book.changed]
        rows += [(_SCORE + node_id, reputation.row(node_id)) for node_id in reputation.changed]
        rows += [(_BAN + subject_text(s).encode("ascii"), bans.row(s)) for s in bans.changed]
        for changed in (book.changed, reputation.changed, bans.changed):
            changed.clear()
        if rows:
            self._rows.write(rows)

    def add_node(self, address: PeerAddress) -> None:
        """The operator wants to stay linked with whoever listens there."""
        self.added[address] = None
        self._rows.write([(_ADDED + str(address).encode(), b"")])

    def remove_node(self, address: PeerAddress) -> None:
        """No more."""
        self.added.pop(address, None)
        self._rows.write([(_ADDED + str(address).encode(), None)])

    def set_anchors(self, node_ids: tuple[bytes, ...]) -> None:
        """Remember whom to call first in the next life; nobody leaves those of before."""
        if node_ids and node_ids != self.anchors:
            self.anchors = node_ids
            self._rows.write([(_ANCHORS, b"".join(node_ids))])

    def _restore(self, key: bytes, value: bytes) -> None:
        try:
            if key[:1] == _BOOK:
                self.book.restore(value)
            elif key[:1] == _SCORE:
                self.reputation.restore(key[1:], value)
            elif key[:1] == _BAN:
                self.bans.restore(key[1:].decode("ascii"), value)
            elif key[:1] == _ADDED:
                self.added[parse_peer_address(key[1:].decode())] = None
        except ValueError as error:
            # Nothing depends on one row: the node goes on without it.
            self.log.warn("a row of the address book is unreadable: {error}", error=str(error))
