"""The masternode machine: heartbeats out and in, attestations, who is live (PROTOCOL 4, 7).

A node with a voting key sends heartbeats while it is at the tip; every node gathers, checks and
passes on those of others. What it has seen decides which changes of the active set it proposes and
which removals it refuses: consensus asks :attr:`membership`.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from timecoin.crypto.keys import Verify
from timecoin.machine import (
    Blame,
    CatchUpChanged,
    Effect,
    Emit,
    LinkDown,
    LinkUp,
    Received,
    Restore,
    Send,
    Start,
    StartTimer,
    TimerFired,
)
from timecoin.masternodes.active_set import ActiveSet, Member
from timecoin.masternodes.book import Draw, Gathering, HeartbeatBook, Level, News
from timecoin.masternodes.changes import Join, Leave
from timecoin.masternodes.circulation import Circulation, TimerName
from timecoin.masternodes.clock import is_sound, median_offset_ms
from timecoin.masternodes.early import EarlyBeats
from timecoin.masternodes.events import (
    ClockChanged,
    Connected,
    JoinWith,
    MasternodeAwake,
    MasternodeSilent,
    SubmitLeave,
)
from timecoin.masternodes.heartbeat import (
    Attestation,
    Attested,
    Heartbeat,
    HeartbeatError,
    heartbeat_hash,
    needed_for,
    witnesses,
)
from timecoin.masternodes.history import History
from timecoin.masternodes.leaves import LeaveBook
from timecoin.masternodes.membership import Membership
from timecoin.masternodes.messages import BeatNews, Beats, BeatWants, Leaves, beats_of
from timecoin.masternodes.own import OwnMasternode
from timecoin.masternodes.ports import ClockOffsets, HasQuorum, HeartbeatRows, MasternodeChain
from timecoin.masternodes.presence import Presence
from timecoin.masternodes.statistics import HeartbeatCounts
from timecoin.masternodes.witness import Witness
from timecoin.params import SNAPSHOT_DEPTH, HeartbeatTiming

FORGED_POINTS = 20
WATCHES = 4
"""This node looks at itself and at others so many times in an interval."""
FIRST_WATCH_MS = 500
"""After the start sooner: the first peers have told their time by then."""

BEAT, WATCH = ("beat",), ("watch",)


class Masternodes:
    """The machine; ``own`` None only listens. Hears Restore, Start, then everything else."""

    def __init__(
        self,
        chain_id: bytes,
        timing: HeartbeatTiming,
        chain: MasternodeChain,
        own: OwnMasternode | None,
        rows: HeartbeatRows,
        clock_offsets: ClockOffsets,
        has_quorum: HasQuorum,
        rng: Random,
        verify: Verify,
        draw: Draw = witnesses,
    ) -> None:
        self._chain_id = chain_id
        self._timing = timing
        self._chain = chain
        self._own = own
        self._clock_offsets = clock_offsets
        self._has_quorum = has_quorum
        self._watch_ms = timing.interval_ms // WATCHES
        own_key = None if own is None else own.key
        self._witness = Witness(own_key, chain_id, timing.attest_ms)
        self._presence = Presence(timing.ttl_ms, timing.interval_ms)
        self._history = History(rows)
        self._early = EarlyBeats()
        self._leaves = LeaveBook(chain, chain_id, verify)
        self._live: dict[bytes, None] = {}
        self._started = False
        self.catching_up = False
        self.clock_offset_ms = 0
        self.counts = HeartbeatCounts()
        self.book = HeartbeatBook(chain_id, timing, verify, draw)
        self._circulation = Circulation(rng, self.book, timing)
        self.membership = Membership(
            chain,
            self.book,
            timing,
            None if own is None else own.key.public,
            self.may_judge,
            lambda: self._leaves.waiting,
        )

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at Unix time ``now_ms``."""
        match event:
            case Received(peer, Beats() as beats):
                return self._beats(peer, beats, now_ms)
            case Received(peer, BeatNews() as news) if self._circulation.has(peer):
                return [*self._circulation.hear(peer, news, now_ms), *self._circulation.timers()]
            case Received(peer, BeatWants() as wants) if self._circulation.has(peer):
                return [*self._circulation.give(peer, wants)]
            case Received(peer, Leaves(leaves)):
                return self._take_leaves(leaves, peer)
            case TimerFired(name):
                return self._timer(name, now_ms)
            case LinkUp(peer, masternode):
                return self._link_up(peer, masternode, now_ms)
            case LinkDown(peer):
                self._circulation.link_down(peer)
                self._early.forget(peer)
                self._observe(now_ms)
            case Connected(block):
                records = [] if self._own is None else self._own.connected(block)
                return [*records, *self._leaves.prune(), *self._new_tip(now_ms)]
            case CatchUpChanged(active):
                self.catching_up = active
                self._observe(now_ms)
                return [] if active else self._beat_soon()
            case SubmitLeave(leave):
                return self._take_leaves((leave,), None)
            case JoinWith(way, at_once):
                chosen = [] if self._own is None else self._own.choose(way, at_once)
                return [*chosen, *self._beat_soon()]
            case Restore(rows):
                self._leaves.restore(rows)
                if self._own is not None:
                    self._own.restore(rows)
            case Start():
                self._started = True
                self._observe(now_ms)
                first_ms = min(self._watch_ms, FIRST_WATCH_MS)
                return [*self._beat_soon(), StartTimer(WATCH, first_ms)]
        return []

    def may_judge(self, now_ms: int) -> bool:
        """Whether this node has been there long enough to say that others are gone."""
        self._observe(now_ms)
        return self._presence.may_judge(now_ms)

    @property
    def clock_is_sound(self) -> bool:
        """Whether this node's clock agrees with its peers'."""
        return is_sound(self.clock_offset_ms)

    # timers

    def _timer(self, name: TimerName, now_ms: int) -> list[Effect]:
        if name == BEAT:
            return [*self._beat(now_ms), StartTimer(BEAT, self._timing.interval_ms)]
        if name == WATCH:
            return [*self._watch(now_ms), StartTimer(WATCH, self._watch_ms)]
        return [*self._circulation.due(name, now_ms)]

    def _beat_soon(self) -> list[Effect]:
        """The next heartbeat leaves at once: this node has just become able to send one."""
        return [StartTimer(BEAT, 0)] if self._started and self._own is not None else []

    def _beat(self, now_ms: int) -> list[Effect]:
        """Send a heartbeat, if this node is at the tip, and in the active set or asks to join."""
        own = self._own
        if own is None or self.catching_up or not self._circulation.is_linked:
            return []
        snapshot = self._chain.active_set(self._chain.tip_height)
        record, heartbeat = own.beat(now_ms)
        join = own.join(heartbeat)
        if snapshot is None or (join is None and own.member() is None):
            return []
        self.counts.sent += 1
        item = Attested(heartbeat, ()) if join is None else join
        return [record, *self._enter(item, None, now_ms)]

    def _watch(self, now_ms: int) -> list[Effect]:
        """Look at the clock, at this node's own presence, and at who has fallen silent."""
        effects: list[Effect] = []
        was_sound = self.clock_is_sound
        self.clock_offset_ms = median_offset_ms(self._clock_offsets())
        if self.clock_is_sound != was_sound:
            effects.append(Emit(ClockChanged(self.clock_offset_ms, self.clock_is_sound)))
        self._observe(now_ms)
        gone = [pubkey for pubkey in self._live if not self.book.is_live(pubkey, now_ms)]
        members = self._members()
        for pubkey in gone:
            del self._live[pubkey]
            if pubkey in members:
                age_ms = self.book.age_ms(pubkey, now_ms)
                effects.append(Emit(MasternodeSilent(pubkey, age_ms)))
        self.book.forget(lambda pubkey: pubkey in members, now_ms)
        self._circulation.forget()
        return [*effects, *self._circulation.remind()]

    def _observe(self, now_ms: int) -> None:
        """Whether this node is up, at the tip and linked to a quorum now.

        Linked: by a link on which the key was proved, or by a heartbeat that came lately, since
        in a large network nobody has links to a quorum.
        """
        active = self._chain.active_set(self._chain.tip_height)
        if not self._started or self.catching_up or active is None or not self.clock_is_sound:
            self._presence.observe(False, now_ms)
            return
        lately_ms = self._timing.ttl_ms // 2
        heard = dict.fromkeys(self._circulation.masternodes)
        if self._own is not None:
            heard[self._own.key.public] = None
        for pubkey in active.weights:
            age_ms = self.book.age_ms(pubkey, now_ms)
            if age_ms is not None and age_ms < lately_ms:
                heard[pubkey] = None
        self._presence.observe(self._has_quorum(heard, (active,)), now_ms)

    # links and blocks

    def _link_up(self, peer: bytes, masternode: bytes | None, now_ms: int) -> list[Effect]:
        first = not self._circulation.is_linked
        self._circulation.link_up(peer, masternode)
        self._observe(now_ms)
        leaves = self._leaves.message()
        effects: list[Effect] = [] if leaves is None else [Send(peer, leaves)]
        return [*effects, *self._beat_soon()] if first else effects

    def _new_tip(self, now_ms: int) -> list[Effect]:
        self._observe(now_ms)
        return [
            effect
            for peer, item in self._early.take()
            for effect in self._beats(peer, beats_of((item,)), now_ms)
        ]

    def _members(self) -> Mapping[bytes, Member]:
        active = self._chain.active_set(self._chain.tip_height)
        return {} if active is None else active.by_pubkey

    # heartbeats

    def _beats(self, peer: bytes, beats: Beats, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        whole: list[Attested | Join] = [*beats.members, *beats.joins]
        items = [(item, True) for item in whole]
        for witnessed in beats.witnessed:
            found = self.book.of_hash(witnessed.hash)
            if found is None:  # the heartbeat itself was lost, or came before its block
                effects += self._circulation.lacking(peer, witnessed.hash, now_ms)
            else:
                items.append((found.with_attestations(witnessed.attestations), False))
        for item, is_whole in items:
            try:
                effects += self._enter(item, peer, now_ms, is_whole)
            except HeartbeatError as error:
                self.counts.refused += 1
                return [*effects, Blame(peer, FORGED_POINTS, f"heartbeat: {error}")]
        return effects

    def _enter(
        self, item: Attested | Join, peer: bytes | None, now_ms: int, is_whole: bool = True
    ) -> list[Effect]:
        """Take a heartbeat from ``peer`` (None: this node's own) and tell others what is new.

        ``is_whole`` False: only attestations have come.
        """
        join = item if isinstance(item, Join) else None
        attested = item if isinstance(item, Attested) else item.attested
        heartbeat, hash_ = attested.heartbeat, heartbeat_hash(self._chain_id, attested.heartbeat)
        if heartbeat.tip_height > self._chain.tip_height:
            self._circulation.arrived(peer, hash_, Level.HEARD)
            if peer is not None and heartbeat.pubkey in self._members():
                self._early.keep(peer, item)
            return []
        snapshot = self._snapshot(heartbeat)
        if snapshot is None:
            self._circulation.arrived(peer, hash_, Level.VERIFIED)
            return []
        if not self._is_known(heartbeat, join):
            return []  # perhaps its join was taken off: others may have it whole
        before = self.book.of_hash(hash_)
        had = Level.NOTHING if before is None else before.level
        known = {} if before is None else dict(before.attestations)
        news = self.book.take(attested, join, snapshot, now_ms)
        # Not before: forged attestations to a good heartbeat must not keep it from being fetched.
        lacks = len(attested.attestations) < needed_for(heartbeat.pubkey, snapshot)
        level = Level.HEARD if lacks else Level.VERIFIED
        self._circulation.arrived(peer, hash_, level)
        if news is None:
            is_repeated = before is not None and is_whole and had >= level
            return [*self._circulation.repeated(peer, hash_, level)] if is_repeated else []
        self.counts.heard += before is None
        new = tuple(each for each in attested.attestations if each.witness not in known)
        gathering = self.book.gathering(heartbeat.pubkey)
        if news is News.VERIFIED or gathering is None:
            # By what others lack too, unless it came from where they were gathered.
            back = self._circulation.to_sender(before, new, peer) if lacks and before else []
            return [*back, *self._verified(heartbeat.pubkey, snapshot)]
        return self._gather(gathering, news, new, snapshot, peer, now_ms)

    def _gather(
        self,
        gathering: Gathering,
        news: News,
        new: tuple[Attestation, ...],
        snapshot: ActiveSet,
        peer: bytes | None,
        now_ms: int,
    ) -> list[Effect]:
        """A heartbeat lacks attestations: give this node's, and bring it on or back."""
        pubkey = gathering.heartbeat.pubkey
        if peer is not None and (self._own is None or pubkey != self._own.key.public):
            self._circulation.heard(gathering)
        attestation = self._attestation(gathering, now_ms)
        if attestation is not None:
            after = self.book.add(gathering, attestation)
            self._circulation.attested(gathering, attestation)
            back = self._circulation.to_sender(gathering, (*new, attestation), None)
            if after is News.VERIFIED:
                return [*back, *self._verified(pubkey, snapshot)]
            return [*back, *self._circulation.gather(gathering, peer), *self._circulation.timers()]
        if news is News.GREW:
            return [*self._circulation.to_sender(gathering, new, peer)]
        return [*self._circulation.gather(gathering, peer), *self._circulation.timers()]

    def _snapshot(self, heartbeat: Heartbeat) -> ActiveSet | None:
        """avs of the tip that ``heartbeat`` names; None when that is too old to count.

        Witnesses of long ago are none: they may have left, and have nothing to lose.
        """
        height = heartbeat.tip_height
        if height < self._chain.tip_height - SNAPSHOT_DEPTH:
            return None
        if self._chain.block_hash(height) != heartbeat.tip_hash:
            raise HeartbeatError(f"names a block that is not in history at {height}")
        return self._chain.active_set(height)

    def _is_known(self, heartbeat: Heartbeat, join: Join | None) -> bool:
        """Whether the sender is in the active set or could enter it: nobody else is heard."""
        if join is not None:
            return self._chain.may_join(join)
        return heartbeat.pubkey in self._members()

    def _attestation(self, gathering: Gathering, now_ms: int) -> Attestation | None:
        """This node's attestation, if it is a witness, in time, at the tip and has the time."""
        if self.catching_up or not self.clock_is_sound:
            return None
        attestation = self._witness.attest(gathering, now_ms)
        self.counts.attested += attestation is not None
        return attestation

    def _verified(self, pubkey: bytes, snapshot: ActiveSet) -> list[Effect]:
        """A heartbeat of ``pubkey`` is verified: remember it, tell others of it."""
        if (found := self.book.verified(pubkey)) is None:
            return []
        self.counts.verified += 1
        effects: list[Effect] = [*self._history.note(found.attested, snapshot)]
        if pubkey not in self._live:
            self._live[pubkey] = None
            effects.append(Emit(MasternodeAwake(pubkey)))
        is_own = self._own is not None and pubkey == self._own.key.public
        return [*effects, *self._circulation.add(found, is_own), *self._circulation.timers()]

    # leaves

    def _take_leaves(self, leaves: tuple[Leave, ...], peer: bytes | None) -> list[Effect]:
        """Keep leaves that the chain would take, and pass on those that are new."""
        taken = self._leaves.take(leaves)
        effects: list[Effect] = [*taken.records]
        if taken.forged and peer is not None:
            effects.append(Blame(peer, FORGED_POINTS, "bad signature of a leave"))
        if taken.new:
            effects += self._circulation.some(Leaves(tuple(taken.new)), peer)
        return effects
