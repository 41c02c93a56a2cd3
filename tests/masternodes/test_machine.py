"""The masternode machine among others: who is live, what is refused, what survives a restart."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.world import CHAIN_ID, LATENCY_MS, TIMING, Peer, World, key, member, set_of
from timecoin.codec import Wire, encode
from timecoin.machine import Received
from timecoin.masternodes.book import LEAST_FREE
from timecoin.masternodes.changes import Join, Removal, decode_change, sign_join, sign_leave
from timecoin.masternodes.events import (
    ClockChanged,
    JoinWith,
    MasternodeAwake,
    MasternodeSilent,
    SubmitLeave,
)
from timecoin.masternodes.heartbeat import (
    Attestation,
    Attested,
    Heartbeat,
    beat_id,
    heartbeat_hash,
    sign_attestation,
    sign_heartbeat,
    witnesses,
)
from timecoin.masternodes.machine import FIRST_WATCH_MS, WATCHES
from timecoin.masternodes.messages import Beats, Leaves

TTL = TIMING.ttl_ms
INTERVAL = TIMING.interval_ms
WATCH_MS = INTERVAL // WATCHES


def removals(peer: Peer, now_ms: int) -> list[bytes]:
    found = [decode_change(data) for data in peer.up.membership.changes(now_ms)]
    return [change.pubkey for change in found if isinstance(change, Removal)]


def joins(peer: Peer, now_ms: int) -> list[Join]:
    found = [decode_change(data) for data in peer.up.membership.changes(now_ms)]
    return [change for change in found if isinstance(change, Join)]


class LiveTests(SynchronousTestCase):
    def test_everybody_is_live_to_everybody_at_once(self) -> None:
        for count in (2, 3, 4, 7, 12):
            world = World(count)
            world.boot()
            world.run(1_000)
            for peer in world.peers.values():
                for number in world.peers:
                    self.assertTrue(peer.is_live(number, world.now_ms), (count, number))
                self.assertFalse(peer.blames)

    def test_one_alone_is_live_by_itself_once_it_has_a_link(self) -> None:
        world = World(1, more=1)
        world.boot()
        world.run(1_000)
        self.assertTrue(world.peers[2].is_live(1, world.now_ms))

    def test_a_dead_one_is_silent_after_its_time(self) -> None:
        world = World(4)
        world.boot()
        world.run(20_000)
        world.kill(4)
        world.run(TTL + INTERVAL)
        for number in (1, 2, 3):
            peer = world.peers[number]
            self.assertFalse(peer.is_live(4, world.now_ms))
            self.assertTrue(all(peer.is_live(n, world.now_ms) for n in (1, 2, 3)))
            silent = [s.pubkey for s in peer.signals if isinstance(s, MasternodeSilent)]
            self.assertEqual(silent, [key(4).public])
            self.assertEqual(removals(peer, world.now_ms), [key(4).public])

    def test_it_is_heard_again_when_it_returns(self) -> None:
        world = World(4)
        world.boot()
        world.run(20_000)
        world.kill(4)
        world.run(TTL + INTERVAL)
        world.boot(4)
        world.run(INTERVAL)
        for peer in world.peers.values():
            self.assertTrue(peer.is_live(4, world.now_ms))
            self.assertEqual(removals(peer, world.now_ms), [])
        awake = [s.pubkey for s in world.peers[1].signals if isinstance(s, MasternodeAwake)]
        self.assertEqual(awake.count(key(4).public), 2)

    def test_a_heartbeat_of_a_tip_that_is_still_to_come_counts_when_it_has_come(self) -> None:
        world = World(3)
        world.boot()
        world.run(1_000)
        late = world.peers[3]
        for number in (1, 2):
            world.grow_one(world.peers[number])
        world.run(TTL)
        self.assertFalse(late.is_live(1, world.now_ms))
        world.grow_one(late)
        world.run(100)
        self.assertTrue(late.is_live(1, world.now_ms))
        self.assertFalse(late.blames)

    def test_no_heartbeat_while_catching_up(self) -> None:
        world = World(3)
        world.boot()
        world.run(1_000)
        world.catching_up(3, True)
        world.run(TTL + INTERVAL)
        self.assertFalse(world.peers[1].is_live(3, world.now_ms))
        world.catching_up(3, False)
        world.run(100)
        self.assertTrue(world.peers[1].is_live(3, world.now_ms))


class FewWitnessesTests(SynchronousTestCase):
    """Heartbeats come, and not the attestations that they need."""

    def test_of_five_two_small_ones_go_and_only_they_are_removed(self) -> None:
        """Each of the others gets two attestations, and five members need three."""
        world = World(5, weights={4: 10, 5: 10})
        gone = {key(4).public, key(5).public}
        world.boot()
        world.run(TTL)
        world.kill(4, 5)
        for _ in range(2 * TTL // 100):
            world.run(100)
            for number in (1, 2, 3):
                self.assertLessEqual(set(removals(world.peers[number], world.now_ms)), gone)
        for number in (1, 2, 3):
            self.assertFalse(world.peers[1].is_live(number, world.now_ms))
            self.assertEqual(set(removals(world.peers[number], world.now_ms)), gone)
        world.grow(set_of(*(member(number) for number in (1, 2, 3, 4))))
        world.run(2 * INTERVAL)
        for number in (1, 2, 3):
            self.assertTrue(world.peers[1].is_live(number, world.now_ms))

    def test_who_alone_is_never_attested_to_is_removed(self) -> None:
        world = World(4)
        world.tamper = lambda sender, to, message: (
            None if to.number == 4 and isinstance(message, Beats) else message
        )
        world.boot()
        world.run(2 * TTL)
        for number in (1, 2, 3):
            peer = world.peers[number]
            self.assertIsNotNone(peer.up.book.gathering(key(4).public))
            self.assertEqual(removals(peer, world.now_ms), [key(4).public])


class SparseTests(SynchronousTestCase):
    """Each node is linked with its two neighbours on either side only."""

    def ring(self, count: int) -> World:
        world = World(count)
        for one in world.peers:
            for other in range(1, one):
                steps = (one - other) % count
                if min(steps, count - steps) > 2:
                    world.apart.add(frozenset((one, other)))
        world.boot()
        return world

    def test_everybody_is_heard_although_witnesses_are_far(self) -> None:
        world = self.ring(16)
        world.run(4 * INTERVAL)
        for peer in world.peers.values():
            self.assertTrue(all(peer.is_live(number, world.now_ms) for number in world.peers))
            self.assertFalse(peer.blames)

    def test_one_whose_links_are_all_with_witnesses_is_heard_by_the_others(self) -> None:
        """Two of the three attestations that it needs are not enough, and nobody else asks."""
        world = World(5)
        world.boot()
        world.run(TTL)
        world.part((1,), (2, 3))
        world.run(2 * TTL)
        for number, peer in world.peers.items():
            self.assertTrue(peer.is_live(1, world.now_ms), number)
            self.assertEqual(removals(peer, world.now_ms), [])

    def test_nobody_is_told_what_he_has_told(self) -> None:
        world = self.ring(16)
        world.run(2 * INTERVAL)
        world.sent.clear()
        world.run(4 * INTERVAL)
        # Of 16 masternodes, 4 heartbeats each; every one may come by a few times.
        self.assertLess(max(world.sent.values()), 16 * 4 * 6)

    def test_a_removal_is_judged_without_links_to_a_quorum(self) -> None:
        world = self.ring(16)
        world.run(20_000)
        world.kill(16)
        world.run(TTL + 2 * INTERVAL)
        self.assertEqual(removals(world.peers[8], world.now_ms), [key(16).public])


class BoundTests(SynchronousTestCase):
    def test_those_who_stake_nothing_have_little_room(self) -> None:
        world = World(3)
        world.boot()
        world.run(1_000)
        victim, sender = world.peers[1], world.peers[2]
        for number in range(100, 160):
            victim.chain.joinable.add(key(number).public)
            beat = sign_heartbeat(key(number), CHAIN_ID, 1, 0, bytes(32), world.now_ms)
            join = sign_join(key(number), CHAIN_ID, Attested(beat, ()), payout_hash=bytes(20))
            world.deliver(victim, Received(sender.name, Beats((), (join,))))
        world.run(1)
        self.assertEqual(len(victim.up.book), 3 + LEAST_FREE)
        world.run(TTL + INTERVAL)
        self.assertEqual(len(victim.up.book), 3)


class RemovalTests(SynchronousTestCase):
    def silent_four(self) -> World:
        world = World(4)
        world.boot()
        world.run(20_000)
        world.kill(4)
        world.run(TTL + INTERVAL)
        return world

    def objection(self, world: World, number: int, gone: int) -> str | None:
        from tests.masternodes.world import block

        proposal = block(1, [encode(Removal(key(gone).public))])
        found = world.peers[number].up.membership.objection(proposal, world.now_ms, world.now_ms)
        self._messages = () if found is None else found.messages
        return None if found is None else found.reason

    def test_accepted_by_those_who_were_there(self) -> None:
        world = self.silent_four()
        for number in (1, 2, 3):
            self.assertIsNone(self.objection(world, number, 4))

    def test_of_a_live_one_refused_with_its_heartbeat(self) -> None:
        world = self.silent_four()
        self.assertIn("which is live", str(self.objection(world, 1, 2)))
        (message,) = self._messages
        assert isinstance(message, Beats)
        found = world.peers[1].up.book.verified(key(2).public)
        assert found is not None
        self.assertEqual(message.members, (found.attested,))

    def test_what_the_refuser_sends_convinces_the_proposer(self) -> None:
        world = World(3)
        world.boot()
        world.run(20_000)
        world.tamper = lambda sender, to, message: None if to.number == 1 else message
        world.run(TTL + INTERVAL)
        proposer = world.peers[1]
        self.assertFalse(proposer.is_live(3, world.now_ms))
        self.assertIsNotNone(self.objection(world, 2, 3))
        world.deliver(proposer, Received(world.peers[2].name, self._messages[0]))
        world.run(10)
        self.assertTrue(proposer.is_live(3, world.now_ms))

    def test_of_oneself_refused(self) -> None:
        self.assertIn("removes this node", str(self.objection(self.silent_four(), 3, 3)))

    def test_neither_proposed_nor_accepted_by_one_that_was_away(self) -> None:
        world = self.silent_four()
        world.kill(3)
        world.run(500)
        world.boot(3)
        world.run(TTL - 1_000)
        self.assertEqual(removals(world.peers[3], world.now_ms), [])
        self.assertIn("away", str(self.objection(world, 3, 4)))
        world.run(INTERVAL)
        self.assertEqual(removals(world.peers[3], world.now_ms), [key(4).public])
        self.assertIsNone(self.objection(world, 3, 4))

    def test_nor_by_one_that_caught_up(self) -> None:
        world = self.silent_four()
        world.catching_up(3, True)
        world.run(10)
        world.catching_up(3, False)
        world.run(TTL - 1_000)
        self.assertIn("away", str(self.objection(world, 3, 4)))

    def test_nor_by_one_that_slept(self) -> None:
        world = self.silent_four()
        sleeper = world.peers[3]
        sleeper.timers = {}
        world.run(TTL)
        self.assertIn("away", str(self.objection(world, 3, 4)))

    def test_a_cut_off_minority_removes_nobody(self) -> None:
        world = World(5)
        world.boot()
        world.run(20_000)
        world.part((1, 2), (3, 4, 5))
        found: dict[int, int] = dict.fromkeys(world.peers, 0)
        for _ in range(40):
            world.run(1_000)
            for number, peer in world.peers.items():
                found[number] += len(removals(peer, world.now_ms))
        # 3 of 5 are no two thirds either: nobody speaks for the network.
        self.assertEqual(found, dict.fromkeys(world.peers, 0))

    def test_a_majority_removes_the_minority(self) -> None:
        world = World(5)
        world.boot()
        world.run(20_000)
        world.part((1,), (2, 3, 4, 5))
        world.run(TTL + INTERVAL)
        self.assertEqual(removals(world.peers[1], world.now_ms), [])
        for number in (2, 3, 4, 5):
            self.assertEqual(removals(world.peers[number], world.now_ms), [key(1).public])
        world.heal()
        world.run(INTERVAL + 1_000)
        self.assertEqual(removals(world.peers[2], world.now_ms), [])
        self.assertEqual(removals(world.peers[1], world.now_ms), [])


class ForgeryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(7, more=1)
        self.world.boot(1, 2, 3, 4, 5, 6)
        self.world.run(1_000)
        self.victim, self.sender = self.world.peers[1], self.world.peers[2]

    def hear(self, attested: Attested, join: Join | None = None) -> None:
        beats = Beats((attested,), ()) if join is None else Beats((), (join,))
        self.world.deliver(self.victim, Received(self.sender.name, beats))
        self.world.run(1)

    def beat(self, number: int, age_ms: int = 0, sequence: int = 1) -> Heartbeat:
        chain = self.victim.chain
        return sign_heartbeat(
            key(number),
            CHAIN_ID,
            sequence,
            chain.tip_height,
            chain.tip_hash,
            self.world.now_ms - age_ms,
        )

    def attest(self, heartbeat: Heartbeat, signers: tuple[int, ...] = ()) -> Attested:
        hash_ = heartbeat_hash(CHAIN_ID, heartbeat)
        drawn = witnesses(hash_, heartbeat.pubkey, self.victim.chain.sets[-1])
        numbers = signers or tuple(n for n in range(1, 8) if key(n).public in drawn)[:3]
        made = [sign_attestation(key(n), CHAIN_ID, hash_) for n in numbers]
        return Attested(heartbeat, tuple(sorted(made, key=lambda a: a.witness)))

    def test_a_good_one_counts(self) -> None:
        self.hear(self.attest(self.beat(7)))
        self.assertTrue(self.victim.is_live(7, self.world.now_ms))
        self.assertFalse(self.victim.blames)

    def test_forged(self) -> None:
        self.hear(self.attest(replace(self.beat(7), signature=bytes(64))))
        self.assertFalse(self.victim.is_live(7, self.world.now_ms))
        self.assertEqual(list(self.victim.blames), ["heartbeat: bad signature of a heartbeat"])

    def test_self_witnessed(self) -> None:
        self.hear(self.attest(self.beat(7), (7, 21, 22)))
        self.assertFalse(self.victim.is_live(7, self.world.now_ms))
        self.assertIn("no witness", next(iter(self.victim.blames)))

    def test_forged_attestation_changes_nothing(self) -> None:
        good = self.attest(self.beat(7))
        forged = Attestation(good.attestations[0].witness, bytes(64))
        self.hear(Attested(good.heartbeat, (forged, *good.attestations[1:])))
        self.assertFalse(self.victim.is_live(7, self.world.now_ms))
        self.assertIn("attestation", next(iter(self.victim.blames)))
        self.hear(good)
        self.assertTrue(self.victim.is_live(7, self.world.now_ms))

    def test_replayed(self) -> None:
        good = self.attest(self.beat(7))
        self.hear(good)
        self.world.run(TTL)
        before = replace_counts(self.victim)
        self.hear(good)
        self.assertFalse(self.victim.is_live(7, self.world.now_ms))
        self.assertEqual(replace_counts(self.victim), before)

    def test_an_old_sequence_number_never_comes_back(self) -> None:
        self.hear(self.attest(self.beat(7, sequence=9)))
        self.world.run(INTERVAL)
        self.hear(self.attest(self.beat(7, sequence=9)))
        self.hear(self.attest(self.beat(7, sequence=8)))
        found = self.victim.up.book.verified(key(7).public)
        assert found is not None
        self.assertGreater(self.world.now_ms - found.heartbeat.timestamp, INTERVAL)

    def test_from_the_future(self) -> None:
        self.hear(self.attest(self.beat(7, age_ms=-10_100)))
        self.assertIsNone(self.victim.up.book.verified(key(7).public))

    def test_outdated(self) -> None:
        self.hear(self.attest(self.beat(7, age_ms=TTL)))
        self.assertIsNone(self.victim.up.book.verified(key(7).public))

    def test_after_one_that_was_taken_while_the_clock_was_a_day_ahead(self) -> None:
        """It is from the future now, and keeps no right one out."""
        day_ms = 86_400_000
        early = self.attest(self.beat(7, age_ms=-day_ms))
        ahead_ms = self.world.now_ms + day_ms
        self.victim.up.book.take(early, None, self.victim.chain.sets[-1], ahead_ms)
        self.assertTrue(self.victim.is_live(7, ahead_ms))
        good = self.attest(self.beat(7, sequence=2))
        self.hear(good)
        verified = self.victim.up.book.verified(key(7).public)
        assert verified is not None
        self.assertEqual(verified.heartbeat, good.heartbeat)

    def test_outdated_when_its_attestations_come(self) -> None:
        """After a cut those of an hour ago may: nobody is awake by them."""
        beat = self.beat(7)
        self.world.tamper = lambda sender, to, message: None
        self.hear(Attested(beat, ()))
        self.world.run(TTL)
        self.assertIsNone(self.victim.up.book.verified(key(7).public))
        self.hear(self.attest(beat))
        self.assertIsNone(self.victim.up.book.verified(key(7).public))

    def test_late_is_not_attested(self) -> None:
        early, late = self.beat(7, age_ms=TIMING.attest_ms + 10), self.beat(7, sequence=2)
        for heartbeat, expected in ((early, False), (late, True)):
            hash_ = heartbeat_hash(CHAIN_ID, heartbeat)
            drawn = witnesses(hash_, heartbeat.pubkey, self.victim.chain.sets[-1])
            self.assertIn(self.victim.key.public, drawn)  # six others: all of them
            before = self.victim.up.counts.attested
            self.hear(Attested(heartbeat, ()))
            self.assertEqual(self.victim.up.counts.attested - before, int(expected))

    def test_one_attestation_for_one_sequence_number(self) -> None:
        attested: set[bytes] = set()
        own = self.victim.key.public

        def note(sender: Peer, to: Peer, message: Wire) -> Wire:
            if isinstance(message, Beats) and sender is self.victim:
                for item in message.witnessed:
                    found = self.victim.up.book.find(beat_id(item.hash))
                    if found is not None and found.heartbeat.pubkey == key(7).public:
                        if own in {attestation.witness for attestation in item.attestations}:
                            attested.add(item.hash)
            return message

        self.world.tamper = note
        self.hear(Attested(self.beat(7, sequence=5), ()))
        self.world.run(INTERVAL)
        self.hear(Attested(self.beat(7, sequence=5), ()))
        self.world.run(INTERVAL)
        self.assertEqual(len(attested), 1)
        self.hear(Attested(self.beat(7, sequence=6), ()))
        self.assertEqual(len(attested), 2)

    def test_too_frequent(self) -> None:
        self.hear(self.attest(self.beat(7, sequence=1)))
        self.hear(self.attest(self.beat(7, sequence=2)))
        found = self.victim.up.book.verified(key(7).public)
        assert found is not None
        self.assertEqual(found.heartbeat.sequence, 1)

    def test_unknown_keys_cost_no_signature_check(self) -> None:
        before = replace_counts(self.victim)
        self.hear(self.attest(self.beat(8)))
        self.assertEqual(replace_counts(self.victim), before)
        self.assertIsNone(self.victim.up.book.verified(key(8).public))
        self.assertFalse(self.victim.blames)

    def test_a_tip_that_is_not_in_history(self) -> None:
        chain = self.victim.chain
        liar = sign_heartbeat(key(7), CHAIN_ID, 1, chain.tip_height, b"x" * 32, self.world.now_ms)
        self.hear(self.attest(liar))
        self.assertIn("not in history", next(iter(self.victim.blames)))

    def test_witnesses_of_long_ago_count_no_more(self) -> None:
        """avs(0) had a member that alone needed no witness; it is too long ago."""
        alone = self.world.peers[7]
        old = sign_heartbeat(key(7), CHAIN_ID, 1, 0, alone.chain.tip_hash, self.world.now_ms)
        self.victim.chain.sets[0] = set_of(member(7))
        for _ in range(5):
            self.world.grow_one(self.victim, set_of(*(member(n) for n in range(1, 8))))
        self.world.run(1)
        self.hear(Attested(old, ()))
        self.assertIsNone(self.victim.up.book.verified(key(7).public))


def replace_counts(peer: Peer) -> tuple[int, int, int]:
    counts = peer.up.counts
    return counts.heard, counts.verified, counts.refused


class JoinTests(SynchronousTestCase):
    def test_one_outside_asks_by_itself_and_everybody_offers_it(self) -> None:
        world = World(3, more=1)
        for peer in world.peers.values():
            peer.chain.joinable.add(key(4).public)
        world.boot()
        world.run(INTERVAL)
        for number in (1, 2, 3):
            (join,) = joins(world.peers[number], world.now_ms)
            self.assertEqual(join.pubkey, key(4).public)
            self.assertGreaterEqual(len(join.attested.attestations), 2)

    def test_one_outside_is_heard_whenever_others_look_at_who_is_silent(self) -> None:
        """The two have fixed intervals: what goes wrong once would go wrong every time."""
        for phase_ms in range(0, WATCH_MS, LATENCY_MS):
            world = World(3, more=1)
            for peer in world.peers.values():
                peer.chain.joinable.add(key(4).public)
            world.boot()
            world.catching_up(4, True)
            world.run(FIRST_WATCH_MS + phase_ms)
            world.catching_up(4, False)
            world.run(TTL)
            self.assertEqual(len(joins(world.peers[1], world.now_ms)), 1, phase_ms)

    def test_one_that_nobody_would_take_is_not_heard(self) -> None:
        world = World(3, more=1)
        world.peers[4].chain.joinable.add(key(4).public)
        world.boot()
        world.run(INTERVAL)
        self.assertEqual(joins(world.peers[1], world.now_ms), [])
        self.assertEqual(len(world.peers[1].up.book), 3)

    def test_not_after_a_signed_leave_until_its_user_says_so(self) -> None:
        world = World(4)
        world.boot()
        world.run(INTERVAL)
        leave = sign_leave(key(4), CHAIN_ID, key(4).public, 0)
        for peer in world.peers.values():
            peer.chain.leavable.add(key(4).public)
        world.deliver(world.peers[4], SubmitLeave(leave))
        world.run(1_000)
        for peer in world.peers.values():
            self.assertEqual(peer.up.membership.changes(world.now_ms), (encode(leave),))
        for peer in world.peers.values():
            peer.chain.leavable.clear()
            peer.chain.joinable.add(key(4).public)
        world.grow(set_of(*(member(n) for n in (1, 2, 3))), [encode(leave)])
        world.run(INTERVAL + 100)
        self.assertEqual(joins(world.peers[1], world.now_ms), [])
        world.kill(4)
        world.boot(4)
        world.run(INTERVAL + 100)
        self.assertEqual(joins(world.peers[1], world.now_ms), [])
        world.deliver(world.peers[4], JoinWith(b""))
        world.run(1_000)
        self.assertEqual(len(joins(world.peers[1], world.now_ms)), 1)

    def test_a_member_that_waits_for_its_end_does_not_move(self) -> None:
        world = World(3)
        for peer in world.peers.values():
            peer.chain.joinable.add(key(1).public)
        world.boot()
        world.deliver(world.peers[1], JoinWith(b"s" * 36, at_once=False))
        world.run(2 * INTERVAL)
        self.assertEqual(joins(world.peers[2], world.now_ms), [])
        world.deliver(world.peers[1], JoinWith(b"s" * 36))
        world.run(2 * INTERVAL)
        (join,) = joins(world.peers[2], world.now_ms)
        self.assertEqual((join.pubkey, join.stake), (key(1).public, b"s" * 36))

    def test_the_wish_to_join_for_free_outlives_a_restart(self) -> None:
        world = World(4)
        outsider = set_of(*(member(n) for n in (1, 2, 3)))
        for peer in world.peers.values():
            peer.chain.joinable.add(key(4).public)
        world.boot()
        world.grow(outsider, [])
        world.deliver(world.peers[4], JoinWith(b"p" * 20))
        world.run(100)
        world.kill(4)
        world.run(2 * INTERVAL)
        world.boot(4)
        world.run(2 * INTERVAL)
        (join,) = joins(world.peers[1], world.now_ms)
        self.assertEqual((join.pubkey, join.stake), (key(4).public, b""))
        self.assertEqual((join.payout_hash, join.vrf_proof), (b"p" * 20, b""))

    def test_a_forged_leave_is_charged_and_not_passed_on(self) -> None:
        world = World(4)
        world.boot()
        world.run(1_000)
        victim = world.peers[1]
        victim.chain.leavable.add(key(4).public)
        good = sign_leave(key(4), CHAIN_ID, key(4).public, 0)
        forged = replace(good, signature=bytes(64))
        world.deliver(victim, Received(world.peers[2].name, Leaves((forged,))))
        world.run(100)
        self.assertEqual(dict(victim.blames), {"bad signature of a leave": 20})
        self.assertEqual(victim.up.membership.changes(world.now_ms), ())
        stranger = sign_leave(key(9), CHAIN_ID, key(9).public, 0)
        world.deliver(victim, Received(world.peers[2].name, Leaves((stranger, good))))
        world.run(100)
        self.assertEqual(victim.up.membership.changes(world.now_ms), (encode(good),))

    def test_a_squatted_key_does_not_follow_the_squatters_stake(self) -> None:
        """A member is not moved to a stake that somebody else has made in its name."""
        world = World(3)
        for peer in world.peers.values():
            peer.chain.joinable.add(key(3).public)
            peer.chain.stakes = (b"s" * 36,)
        world.boot()
        world.run(INTERVAL)
        self.assertEqual(joins(world.peers[1], world.now_ms), [])

    def test_a_join_of_another_stake_than_was_signed_is_refused(self) -> None:
        world = World(3, more=1)
        for peer in world.peers.values():
            peer.chain.joinable.add(key(4).public)

        def other_stake(sender: Peer, to: Peer, message: Wire) -> Wire:
            if not isinstance(message, Beats):
                return message
            joins = tuple(replace(join, stake=b"q" * 36) for join in message.joins)
            return Beats(message.members, joins)

        world.tamper = other_stake
        world.boot()
        world.run(INTERVAL)
        self.assertEqual(joins(world.peers[1], world.now_ms), [])
        self.assertIn("heartbeat: bad signature of a join", world.peers[1].blames)


class DurableTests(SynchronousTestCase):
    def test_a_restart_goes_on_with_higher_numbers(self) -> None:
        world = World(3)
        seen: list[int] = []

        def note(sender: Peer, to: Peer, message: Wire) -> Wire:
            if isinstance(message, Beats):
                seen.extend(
                    item.heartbeat.sequence
                    for item in message.members
                    if item.heartbeat.pubkey == key(3).public and not item.attestations
                )
            return message

        world.tamper = note
        world.boot()
        world.run(10_000)
        first = max(seen)
        world.kill(3)
        seen.clear()
        world.run(5_000)
        world.boot(3)
        world.run(5_000)
        self.assertGreater(min(seen), first)
        self.assertTrue(world.peers[1].is_live(3, world.now_ms))

    def test_the_number_is_recorded_before_the_heartbeat_leaves(self) -> None:
        world = World(2)
        world.boot()
        world.run(10)
        peer = world.peers[1]
        own = peer.up._own
        assert own is not None
        record, heartbeat = own.beat(world.now_ms)
        self.assertTrue(record.durable)
        self.assertEqual(record.value, heartbeat.sequence.to_bytes(8, "big"))


class ClockTests(SynchronousTestCase):
    def test_a_node_whose_clock_is_wrong_does_not_witness_or_judge(self) -> None:
        world = World(4)
        world.boot()
        world.run(20_000)
        odd = world.peers[4]
        odd.offsets = (20_000, 20_010, 19_990)
        world.run(INTERVAL)
        before = odd.up.counts.attested
        self.assertFalse(odd.up.clock_is_sound)
        world.run(4 * INTERVAL)
        self.assertEqual(odd.up.counts.attested, before)
        self.assertFalse(odd.up.may_judge(world.now_ms))
        odd.offsets = (9_000, 9_000, 9_000)
        world.run(INTERVAL)
        self.assertTrue(odd.up.clock_is_sound)
        changes = [s for s in odd.signals if isinstance(s, ClockChanged)]
        self.assertEqual(changes, [ClockChanged(19_990, False), ClockChanged(9_000, True)])


class CostTests(SynchronousTestCase):
    def test_messages_of_a_node_grow_no_faster_than_the_number_of_masternodes(self) -> None:
        def per_masternode(count: int) -> float:
            world = World(count)
            world.boot()
            world.run(2 * INTERVAL)
            world.sent.clear()
            world.run(4 * INTERVAL)
            return max(world.sent.values()) / count

        self.assertLess(per_masternode(40), 1.5 * per_masternode(10))
