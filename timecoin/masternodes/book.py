"""The book of heartbeats: what this node has heard of each masternode (PROTOCOL 4).

One verified heartbeat and one that gathers attestations are kept for each key. Cheap checks come
before signatures: repeated, outdated, too frequent and too early ones cost a look-up.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from timecoin.crypto.keys import Verify
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.changes import Join, join_statement
from timecoin.masternodes.heartbeat import (
    Attestation,
    Attested,
    Heartbeat,
    HeartbeatError,
    beat_id,
    check_attestation,
    check_heartbeat,
    heartbeat_hash,
    needed_for,
)
from timecoin.params import MAX_CLOCK_OFFSET_MS, HeartbeatTiming

MAX_OUTSIDERS = 1_000
"""Keys outside the active set, joiners, of which heartbeats are kept."""
LEAST_FREE = 16
"""Of joiners without a stake as many as there are staked members are heard, or at least these."""

Draw = Callable[[bytes, bytes, ActiveSet], tuple[bytes, ...]]
"""(heartbeat hash, pubkey, snapshot) -> its witnesses: ``heartbeat.witnesses``, or a memo of it."""


class Level(enum.IntEnum):
    """How much somebody has of a heartbeat."""

    NOTHING = 0
    HEARD = 1
    VERIFIED = 2
    """With as many attestations as it needs."""


class News(enum.Enum):
    """What a message about a heartbeat has changed here."""

    HEARD = enum.auto()
    """A new heartbeat, not verified yet."""
    GREW = enum.auto()
    """A further attestation, still too few."""
    VERIFIED = enum.auto()
    """It is verified now."""


@dataclass(slots=True)
class Gathering:
    """A heartbeat and the attestations to it so far, by witness."""

    heartbeat: Heartbeat
    hash: bytes
    drawn: tuple[bytes, ...]
    needed: int
    join: Join | None
    attestations: dict[bytes, Attestation] = field(default_factory=dict)
    sources: list[bytes] = field(default_factory=list)
    """The first peers that told of it: attestations go back through them."""

    @property
    def id(self) -> bytes:
        """Its name in announcements."""
        return beat_id(self.hash)

    @property
    def level(self) -> Level:
        """Whether enough has been gathered."""
        return Level.HEARD if len(self.attestations) < self.needed else Level.VERIFIED

    @property
    def attested(self) -> Attested:
        """The heartbeat with what has been gathered."""
        return Attested(self.heartbeat, self.ordered)

    @property
    def ordered(self) -> tuple[Attestation, ...]:
        """What has been gathered, ascending by witness."""
        return tuple(sorted(self.attestations.values(), key=lambda item: item.witness))

    @property
    def sufficient(self) -> tuple[Attestation, ...]:
        """As many as it needs. A join has all: its witnesses must still be members in its block."""
        return self.ordered if self.join is not None else self.ordered[: self.needed]

    @property
    def item(self) -> Attested | Join:
        """What is sent of it."""
        return self.with_attestations(self.sufficient)

    def with_attestations(self, attestations: tuple[Attestation, ...]) -> Attested | Join:
        """The heartbeat, or the join that it is a part of, with these instead."""
        attested, join = Attested(self.heartbeat, attestations), self.join
        if join is None:
            return attested
        return Join(attested, join.stake, join.payout_hash, join.vrf_proof, join.signature)


@dataclass(slots=True)
class Entry:
    """All that is kept of one key."""

    gathering: Gathering | None = None
    verified: Gathering | None = None

    @property
    def is_free(self) -> bool:
        """Whether it asks to join without a stake."""
        known = (self.verified, self.gathering)
        joins = [found.join for found in known if found is not None]
        return any(join is not None and join.payout_hash for join in joins)


class HeartbeatBook:
    """Takes heartbeats and attestations, and says who is live."""

    def __init__(
        self, chain_id: bytes, timing: HeartbeatTiming, verify: Verify, draw: Draw
    ) -> None:
        self._chain_id = chain_id
        self._timing = timing
        self._verify = verify
        self._draw = draw
        self._entries: dict[bytes, Entry] = {}
        self._by_id: dict[bytes, Gathering] = {}

    def __len__(self) -> int:
        """The number of keys that something is known of."""
        return len(self._entries)

    def __contains__(self, pubkey: bytes) -> bool:
        """Whether something is known of ``pubkey``."""
        return pubkey in self._entries

    # what is known

    def gathering(self, pubkey: bytes) -> Gathering | None:
        """The heartbeat of ``pubkey`` that still gathers attestations."""
        entry = self._entries.get(pubkey)
        return None if entry is None else entry.gathering

    def verified(self, pubkey: bytes) -> Gathering | None:
        """The last verified heartbeat of ``pubkey``."""
        entry = self._entries.get(pubkey)
        return None if entry is None else entry.verified

    def find(self, name: bytes) -> Gathering | None:
        """The heartbeat with the ``beat_id`` ``name``, verified or not."""
        return self._by_id.get(name)

    def of_hash(self, hash_: bytes) -> Gathering | None:
        """The heartbeat with the identity ``hash_``: another may have the same ``beat_id``."""
        found = self._by_id.get(beat_id(hash_))
        return found if found is not None and found.hash == hash_ else None

    def names(self) -> tuple[bytes, ...]:
        """The ``beat_id`` of every heartbeat that is kept."""
        return tuple(self._by_id)

    def age_ms(self, pubkey: bytes, now_ms: int) -> int | None:
        """How old the last verified heartbeat of ``pubkey`` is; None if there is none."""
        found = self.verified(pubkey)
        return None if found is None else max(0, now_ms - found.heartbeat.timestamp)

    def is_live(self, pubkey: bytes, now_ms: int) -> bool:
        """Whether the last verified heartbeat of ``pubkey`` is younger than the time to live."""
        age_ms = self.age_ms(pubkey, now_ms)
        return age_ms is not None and age_ms < self._timing.ttl_ms

    def joins(self, now_ms: int) -> tuple[Join, ...]:
        """The joins of live masternodes, oldest acquaintance first."""
        live = (
            entry.verified.item
            for pubkey, entry in self._entries.items()
            if entry.verified is not None
            and entry.verified.join is not None
            and self.is_live(pubkey, now_ms)
        )
        return tuple(item for item in live if isinstance(item, Join))

    def gathering_count(self) -> int:
        """How many heartbeats wait for attestations."""
        return sum(entry.gathering is not None for entry in self._entries.values())

    # what comes in

    def take(
        self, attested: Attested, join: Join | None, snapshot: ActiveSet, now_ms: int
    ) -> News | None:
        """Enter what ``attested`` brings; None when it brings nothing new.

        ``snapshot`` is avs(tip_height) of the heartbeat, whose tip is known here; ``join`` is what
        carries it, if it asks to join. Of one that is outdated, or from the future, nothing is
        news. ``HeartbeatError`` when something is forged: nothing changes then.
        """
        heartbeat = attested.heartbeat
        if heartbeat.timestamp <= now_ms - self._timing.ttl_ms or _is_ahead(heartbeat, now_ms):
            return None
        entry = self._entries.get(heartbeat.pubkey)
        gathering = None if entry is None else entry.gathering
        if gathering is None or gathering.heartbeat != heartbeat:
            needed = needed_for(heartbeat.pubkey, snapshot)
            complete = len(attested.attestations) >= needed
            if not self._is_wanted(heartbeat, join, entry, snapshot, complete, now_ms):
                return None
            found = self._begin(attested, join, snapshot)
        elif self._gather(gathering, attested):
            found = gathering
        else:
            return None
        if entry is None:
            entry = self._entries[heartbeat.pubkey] = Entry()
        if len(found.attestations) >= found.needed:
            return self._verify_entry(entry, found)
        if found is gathering:
            return News.GREW
        self._drop(gathering)
        entry.gathering = self._by_id[found.id] = found
        return News.HEARD

    def add(self, gathering: Gathering, attestation: Attestation) -> News:
        """Add this node's own ``attestation`` to a heartbeat that gathers."""
        gathering.attestations[attestation.witness] = attestation
        if len(gathering.attestations) < gathering.needed:
            return News.GREW
        return self._verify_entry(self._entries[gathering.heartbeat.pubkey], gathering)

    def forget(self, keep: Callable[[bytes], bool], now_ms: int) -> None:
        """Drop the keys that ``keep`` does not name, that are not live nor about to be."""
        gone = [
            pubkey
            for pubkey, entry in self._entries.items()
            if not keep(pubkey)
            and not self.is_live(pubkey, now_ms)
            and not self._may_be_verified(entry.gathering, now_ms)
        ]
        for pubkey in gone:
            entry = self._entries.pop(pubkey)
            self._drop(entry.gathering)
            self._drop(entry.verified)

    def _is_wanted(
        self,
        heartbeat: Heartbeat,
        join: Join | None,
        entry: Entry | None,
        snapshot: ActiveSet,
        complete: bool,
        now_ms: int,
    ) -> bool:
        """Whether a heartbeat not seen before is worth checking its signature.

        One with all its attestations (``complete``) is, though a later one is being gathered.
        """
        if entry is None:
            return heartbeat.pubkey in snapshot.by_pubkey or self._has_room(join, snapshot)
        known = [] if entry.verified is None else [entry.verified.heartbeat]
        if entry.gathering is not None and not complete:
            known.append(entry.gathering.heartbeat)
        least_ms = self._timing.interval_ms // 2
        return all(
            heartbeat.sequence > found.sequence
            and (
                heartbeat.timestamp >= found.timestamp + least_ms
                or _is_ahead(found, now_ms)  # this node's clock was, and has been set right
            )
            for found in known
        )

    def _may_be_verified(self, gathering: Gathering | None, now_ms: int) -> bool:
        """Whether attestations to it can still come; it has the time until the next heartbeat."""
        if gathering is None or _is_ahead(gathering.heartbeat, now_ms):
            return False
        return now_ms - gathering.heartbeat.timestamp <= self._timing.interval_ms

    def _has_room(self, join: Join | None, snapshot: ActiveSet) -> bool:
        """Whether one more joiner is listened to; who stakes nothing has little room."""
        outside = [
            entry for pubkey, entry in self._entries.items() if pubkey not in snapshot.by_pubkey
        ]
        if join is None or not join.payout_hash:
            return len(outside) < MAX_OUTSIDERS
        return sum(entry.is_free for entry in outside) < max(LEAST_FREE, len(snapshot.staked))

    def _begin(self, attested: Attested, join: Join | None, snapshot: ActiveSet) -> Gathering:
        heartbeat = attested.heartbeat
        check_heartbeat(heartbeat, self._chain_id, self._verify)
        if join is not None:
            statement = join_statement(self._chain_id, heartbeat, join.stake, join.payout_hash)
            if not self._verify(heartbeat.pubkey, statement, join.signature):
                raise HeartbeatError("bad signature of a join")
        hash_ = heartbeat_hash(self._chain_id, heartbeat)
        found = Gathering(
            heartbeat,
            hash_,
            self._draw(hash_, heartbeat.pubkey, snapshot),
            needed_for(heartbeat.pubkey, snapshot),
            join,
        )
        self._gather(found, attested)
        return found

    def _gather(self, gathering: Gathering, attested: Attested) -> bool:
        """Add the attestations that ``gathering`` lacks; whether there were any."""
        new = [a for a in attested.attestations if a.witness not in gathering.attestations]
        for attestation in new:
            check_attestation(
                attestation, gathering.hash, gathering.drawn, self._chain_id, self._verify
            )
        for attestation in new:
            gathering.attestations[attestation.witness] = attestation
        return bool(new)

    def _verify_entry(self, entry: Entry, found: Gathering) -> News:
        self._drop(entry.verified)
        entry.verified = self._by_id[found.id] = found
        other = entry.gathering
        if other is not None and other.heartbeat.sequence <= found.heartbeat.sequence:
            entry.gathering = None
            if other is not found:
                self._drop(other)
        return News.VERIFIED

    def _drop(self, found: Gathering | None) -> None:
        """``found`` is kept no longer."""
        if found is not None and self._by_id.get(found.id) is found:
            del self._by_id[found.id]


def _is_ahead(heartbeat: Heartbeat, now_ms: int) -> bool:
    """Whether it is from further in the future than clocks may be apart."""
    return heartbeat.timestamp > now_ms + MAX_CLOCK_OFFSET_MS
