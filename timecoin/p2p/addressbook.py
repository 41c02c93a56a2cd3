"""The nodes that this one knows of, kept so that nobody can fill the book (PROTOCOL 7).

Two tables of buckets, as in Bitcoin's addrman: *new* for records that somebody told, *tried* for
nodes that this one has been linked with. Where a record may stand is decided by a secret, the
group of its address and, in *new*, the group of who told it: one source reaches 16 of 128 buckets,
the addresses of one group 4 of 32. Who comes to a taken place waits until the holder has failed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from timecoin.codec import U64, Bytes32, Wire, decode, encode
from timecoin.crypto.hashing import blake3_256
from timecoin.p2p.netgroup import address_group, is_public
from timecoin.p2p.records import AddressRecord, is_timely

NEW_BUCKETS, NEW_BUCKETS_OF_SOURCE = 128, 16
TRIED_BUCKETS, TRIED_BUCKETS_OF_GROUP = 32, 4
BUCKET_SLOTS = 64
MAX_FAILURES = 10
"""So many failed calls in a row, and the node's place is free for others."""
FIRST_PAUSE_MS = 1_000
MAX_PAUSE_MS, MAX_STAKED_PAUSE_MS = 300_000, 3_000
"""Between calls of one node: the pause doubles up to here (PROTOCOL 7)."""
CANDIDATES = 256
"""How many entries are looked at for one choice."""
MAX_ROW_BYTES = 1_024

Place = tuple[bool, int, int]
"""Whether in *tried*, the bucket, the slot."""


class Row(Wire, frozen=True):
    """An entry at rest."""

    record: AddressRecord
    source_group: bytes
    tried: bool
    failures: U64
    masternode: Bytes32 | None


@dataclass(slots=True)
class Entry:
    """One node that is known by name."""

    record: AddressRecord
    source_group: bytes
    tried: bool = False
    failures: int = 0
    """Failed calls since the last link."""
    next_call_ms: int = 0
    masternode: bytes | None = None
    """The voting key that it proved when it was linked last."""


class AddressBook:
    """Entries by node id; ``changed`` names those that are not at rest as they are."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._entries: dict[bytes, Entry] = {}
        self._places: dict[Place, bytes] = {}
        self.changed: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, node_id: bytes) -> Entry | None:
        """What is known of a node."""
        return self._entries.get(node_id)

    def is_news(self, record: AddressRecord, source_group: bytes) -> bool:
        """Whether :meth:`add` would take the record; costs no check of a signature."""
        known = self._entries.get(record.node_id)
        if known is not None:
            return record.timestamp > known.record.timestamp
        return self._is_free(self._new_place(record, source_group), record.node_id)

    def add(self, record: AddressRecord, source_group: bytes) -> bool:
        """Take a record whose signature holds; False if it is no news or there is no place."""
        if not self.is_news(record, source_group):
            return False
        known = self._entries.get(record.node_id)
        if known is None:
            self._settle(Entry(record, source_group))
            return True
        if (known.record.host, known.record.port) == (record.host, record.port):
            known.record = record
            self.changed[record.node_id] = None
            return True
        # Its place depends on its address; what is known of the old one says nothing of the new.
        if not self._is_free(self._new_place(record, source_group), record.node_id):
            return False
        self._remove(record.node_id)
        self._settle(Entry(record, source_group, masternode=known.masternode))
        return True

    def linked(self, node_id: bytes, masternode: bytes | None) -> None:
        """A call to the node made a link: it belongs to *tried* now, if there is a place."""
        entry = self._entries.get(node_id)
        if entry is None:
            return
        entry.failures, entry.next_call_ms, entry.masternode = 0, 0, masternode
        self.changed[node_id] = None
        if entry.tried or not self._is_free(self._tried_place(entry.record), node_id):
            return
        self._remove(node_id)
        entry.tried = True
        self._settle(entry)

    def failed(self, node_id: bytes, now_ms: int, rng: random.Random, staked: bool) -> None:
        """A call to the node made no link: the next one comes later, with jitter."""
        entry = self._entries.get(node_id)
        if entry is None:
            return
        entry.failures += 1
        longest_ms = MAX_STAKED_PAUSE_MS if staked else MAX_PAUSE_MS
        longest_ms = min(longest_ms, FIRST_PAUSE_MS * 2 ** min(entry.failures, 9))
        entry.next_call_ms = now_ms + rng.randint(FIRST_PAUSE_MS, longest_ms)
        self.changed[node_id] = None

    def choose(
        self, now_ms: int, rng: random.Random, tried: bool | None, fits: Callable[[Entry], bool]
    ) -> Entry | None:
        """A node to call next: any that ``fits``, whose record is timely and whose pause is over.

        ``tried`` None looks into both tables, each first with even chances.
        """
        both = [True, False] if rng.random() < 0.5 else [False, True]
        for table in both if tried is None else [tried]:
            held = [node_id for place, node_id in self._places.items() if place[0] is table]
            for node_id in rng.sample(held, min(CANDIDATES, len(held))):
                entry = self._entries[node_id]
                if _is_due(entry, now_ms) and fits(entry):
                    return entry
        return None

    def choose_masternode(
        self, now_ms: int, rng: random.Random, fits: Callable[[Entry], bool]
    ) -> Entry | None:
        """The same among all that have ever proved a voting key: few, so each is looked at."""
        proved = [entry for entry in self._entries.values() if entry.masternode is not None]
        for entry in rng.sample(proved, len(proved)):
            if _is_due(entry, now_ms) and fits(entry):
                return entry
        return None

    def sample(
        self, count: int, now_ms: int, rng: random.Random, public: bool
    ) -> list[AddressRecord]:
        """At most ``count`` records to tell another node, and at most a quarter of all.

        ``public``: only those that the whole internet can reach.
        """
        told = [
            entry.record
            for entry in self._entries.values()
            if entry.failures < MAX_FAILURES
            and is_timely(entry.record, now_ms // 1000)
            and (is_public(entry.record.host) or not public)
        ]
        few = min(count, max(BUCKET_SLOTS // 4, len(told) // 4))
        return rng.sample(told, min(few, len(told)))

    # At rest.

    def row(self, node_id: bytes) -> bytes | None:
        """The entry as bytes; None if it is gone."""
        entry = self._entries.get(node_id)
        if entry is None:
            return None
        return encode(
            Row(entry.record, entry.source_group, entry.tried, entry.failures, entry.masternode)
        )

    def restore(self, data: bytes) -> None:
        """Put back a row of an earlier life; ``CodecError`` if it is none."""
        row = decode(data, Row, MAX_ROW_BYTES)
        entry = Entry(
            row.record, row.source_group, row.tried, row.failures, masternode=row.masternode
        )
        if self._is_free(self._place(entry), row.record.node_id):
            self._settle(entry)
            self.changed.pop(row.record.node_id, None)

    def nodes(self) -> Iterator[Entry]:
        """All entries, those known longest first."""
        return iter(self._entries.values())

    # Its own.

    def _place(self, entry: Entry) -> Place:
        if entry.tried:
            return self._tried_place(entry.record)
        return self._new_place(entry.record, entry.source_group)

    def _new_place(self, record: AddressRecord, source_group: bytes) -> Place:
        group = address_group(record.host)
        within = self._number(b"source", source_group, group) % NEW_BUCKETS_OF_SOURCE
        bucket = self._number(b"new", source_group, bytes([within])) % NEW_BUCKETS
        return False, bucket, self._slot(b"new", bucket, record.node_id)

    def _tried_place(self, record: AddressRecord) -> Place:
        within = self._number(b"node", record.node_id) % TRIED_BUCKETS_OF_GROUP
        group = address_group(record.host)
        bucket = self._number(b"tried", group, bytes([within])) % TRIED_BUCKETS
        return True, bucket, self._slot(b"tried", bucket, record.node_id)

    def _slot(self, table: bytes, bucket: int, node_id: bytes) -> int:
        return self._number(b"slot", table, bytes([bucket]), node_id) % BUCKET_SLOTS

    def _number(self, *parts: bytes) -> int:
        joined = b"".join(bytes([len(part)]) + part for part in parts)
        return int.from_bytes(blake3_256(self._secret + joined)[:8], "little")

    def _is_free(self, place: Place, node_id: bytes) -> bool:
        holder = self._places.get(place)
        return holder in (None, node_id) or self._entries[holder].failures >= MAX_FAILURES

    def _settle(self, entry: Entry) -> None:
        place, node_id = self._place(entry), entry.record.node_id
        holder = self._places.get(place)
        if holder is not None:
            self._remove(holder)
        self._places[place] = node_id
        self._entries[node_id] = entry
        self.changed[node_id] = None

    def _remove(self, node_id: bytes) -> None:
        entry = self._entries.pop(node_id)
        del self._places[self._place(entry)]
        self.changed[node_id] = None


def _is_due(entry: Entry, now_ms: int) -> bool:
    return entry.next_call_ms <= now_ms and is_timely(entry.record, now_ms // 1000)
