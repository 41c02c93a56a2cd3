"""How heartbeats travel: told of, asked for once, given once; what that costs in large networks."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.world import CHAIN_ID, TIMING, Peer, World, key
from timecoin.codec import Wire, encode
from timecoin.machine import LinkDown, Received
from timecoin.masternodes.book import Level
from timecoin.masternodes.circulation import LEAST_PATIENCE_MS
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
from timecoin.masternodes.messages import BeatNews, Beats, BeatWants, Witnessed
from timecoin.masternodes.pulls import MAX_PULLS, MAX_SEEN, Pulls
from timecoin.sim.topology import random_regular

INTERVAL = TIMING.interval_ms


def name_of(heartbeat: Heartbeat) -> bytes:
    return beat_id(heartbeat_hash(CHAIN_ID, heartbeat))


class PullCase(SynchronousTestCase):
    """Node 1 among eight; what it sends to the others is noted, what they say is made up."""

    def setUp(self) -> None:
        self.world = World(8)
        self.world.boot(1, 2, 3, 4)
        self.world.run(1_500)
        self.victim = self.world.peers[1]
        self.sent: list[tuple[int, Wire]] = []

        def note(sender: Peer, to: Peer, message: Wire) -> None:
            if sender is self.victim:
                self.sent.append((to.number, message))

        self.world.tamper = note
        self.beat = sign_heartbeat(key(8), CHAIN_ID, 1, 0, bytes(32), self.world.now_ms)
        self.hash = hash_ = heartbeat_hash(CHAIN_ID, self.beat)
        drawn = witnesses(hash_, self.beat.pubkey, self.world.first)
        signers = [key(n) for n in range(1, 9) if key(n).public in drawn][:3]
        made = [sign_attestation(signer, CHAIN_ID, hash_) for signer in signers]
        self.attested = Attested(self.beat, tuple(sorted(made, key=lambda each: each.witness)))
        self.name = name_of(self.beat)

    def hear(self, number: int, message: Wire) -> None:
        self.world.deliver(self.victim, Received(self.world.peers[number].name, message))
        self.world.run(1)

    def wants(self) -> list[tuple[int, Wire]]:
        found = [each for each in self.sent if isinstance(each[1], BeatWants)]
        self.sent.clear()
        return found

    def test_asked_for_once_and_taken(self) -> None:
        self.hear(2, BeatNews((), (self.name,)))
        self.hear(3, BeatNews((), (self.name,)))
        self.assertEqual(self.wants(), [(2, BeatWants((self.name,), ()))])
        self.hear(2, Beats((self.attested,), ()))
        self.assertTrue(self.victim.is_live(8, self.world.now_ms))
        self.hear(4, BeatNews((), (self.name,)))
        self.world.run(INTERVAL)
        self.assertEqual(self.wants(), [])

    def test_one_that_does_not_deliver_is_followed_by_the_next_that_told(self) -> None:
        for number in (2, 3, 4):
            self.hear(number, BeatNews((), (self.name,)))
        self.wants()
        for number in (3, 4):
            self.world.run(LEAST_PATIENCE_MS)
            self.assertEqual(self.wants(), [(number, BeatWants((self.name,), ()))])
        self.world.run(2 * LEAST_PATIENCE_MS)
        self.assertEqual(self.wants(), [])
        self.hear(2, BeatNews((), (self.name,)))
        self.assertEqual(len(self.wants()), 1, "it is asked anew when it tells anew")

    def test_one_whose_link_is_gone_is_passed_over(self) -> None:
        for number in (2, 3, 4):
            self.hear(number, BeatNews((), (self.name,)))
        self.wants()
        self.world.deliver(self.victim, LinkDown(self.world.peers[3].name))
        self.world.run(LEAST_PATIENCE_MS)
        self.assertEqual(self.wants(), [(4, BeatWants((self.name,), ()))])

    def test_of_a_known_heartbeat_only_the_attestations_are_asked_for(self) -> None:
        self.hear(2, Beats((Attested(self.beat, ()),), ()))
        self.hear(3, BeatNews((), (self.name,)))
        self.assertEqual(self.wants(), [(3, BeatWants((), (self.name,)))])

    def test_what_was_asked_for_is_given_once_and_its_attestations_once(self) -> None:
        def given() -> list[Wire]:
            found: list[Wire] = [each for _, each in self.sent if isinstance(each, Beats)]
            self.sent.clear()
            return found

        bare = Attested(self.beat, ())
        self.hear(2, Beats((bare,), ()))
        given()
        for expected in (1, 0):
            self.hear(3, BeatWants((self.name,), ()))
            self.assertEqual(len(given()), expected)
        self.hear(2, Beats((self.attested,), ()))
        given()
        for expected in (1, 0):
            self.hear(3, BeatWants((), (self.name,)))
            self.assertEqual(len(given()), expected)
        self.hear(4, BeatWants((b"unknown.",), (b"unknown.",)))
        self.assertEqual(given(), [])

    def test_attestations_to_an_unknown_heartbeat_only_make_it_asked_for(self) -> None:
        self.hear(2, Beats((), (), (Witnessed(self.hash, self.attested.attestations),)))
        self.assertFalse(self.victim.is_live(8, self.world.now_ms))
        self.assertFalse(self.victim.blames)
        self.assertEqual(self.wants(), [(2, BeatWants((self.name,), ()))])
        self.hear(2, Beats((self.attested,), ()))
        self.assertTrue(self.victim.is_live(8, self.world.now_ms))

    def test_attestations_to_another_of_the_same_short_name_are_no_forgery(self) -> None:
        self.hear(2, Beats((Attested(self.beat, ()),), ()))
        twin = self.name + bytes(24)
        self.hear(3, Beats((), (), (Witnessed(twin, self.attested.attestations),)))
        self.assertFalse(self.victim.is_live(8, self.world.now_ms))
        forged = tuple(Attestation(each.witness, bytes(64)) for each in self.attested.attestations)
        self.hear(3, Beats((), (), (Witnessed(twin, forged),)))
        self.assertFalse(self.victim.blames)
        self.hear(3, Beats((), (), (Witnessed(self.hash, forged),)))
        self.assertEqual(sum(self.victim.blames.values()), 20)
        self.hear(3, Beats((), (), (Witnessed(self.hash, self.attested.attestations),)))
        self.assertTrue(self.victim.is_live(8, self.world.now_ms))

    def test_forged_attestations_do_not_keep_a_heartbeat_from_being_fetched(self) -> None:
        forged = tuple(Attestation(each.witness, bytes(64)) for each in self.attested.attestations)
        self.hear(2, BeatNews((), (self.name,)))
        self.hear(3, BeatNews((), (self.name,)))
        self.hear(2, Beats((Attested(self.beat, forged),), ()))
        self.assertEqual(sum(self.victim.blames.values()), 20)
        self.wants()
        self.world.run(LEAST_PATIENCE_MS)
        self.assertEqual(self.wants(), [(3, BeatWants((self.name,), ()))])

    def test_a_heartbeat_without_its_join_does_not_stand_for_it(self) -> None:
        beat = sign_heartbeat(key(9), CHAIN_ID, 1, 0, bytes(32), self.world.now_ms)
        self.victim.chain.joinable.add(key(9).public)
        self.hear(2, Beats((Attested(beat, ()),), ()))
        self.hear(3, BeatNews((name_of(beat),), ()))
        self.assertEqual(self.wants(), [(3, BeatWants((name_of(beat),), ()))])

    def test_one_refused_is_not_asked_for_again(self) -> None:
        old = sign_heartbeat(key(8), CHAIN_ID, 1, 0, bytes(32), self.world.now_ms - TIMING.ttl_ms)
        self.hear(2, Beats((Attested(old, self.attested.attestations),), ()))
        self.hear(3, BeatNews((), (name_of(old),)))
        self.assertEqual(self.wants(), [])


class PullsTests(SynchronousTestCase):
    def test_bounded(self) -> None:
        pulls = Pulls(500)
        for number in range(MAX_PULLS + 10):
            pulls.begin(b"peer", number.to_bytes(8, "big"), Level.VERIFIED, 0)
        self.assertEqual(len(pulls), MAX_PULLS)
        for number in range(3 * MAX_SEEN):
            pulls.end(number.to_bytes(8, "big"), Level.VERIFIED)
        self.assertEqual(len(pulls), 0)
        seen = sum(
            pulls.is_seen(number.to_bytes(8, "big"), Level.HEARD) for number in range(3 * MAX_SEEN)
        )
        self.assertLessEqual(seen, MAX_SEEN)
        self.assertGreaterEqual(seen, MAX_SEEN // 2)

    def test_heard_is_not_verified(self) -> None:
        pulls = Pulls(500)
        pulls.end(b"name", Level.HEARD)
        self.assertTrue(pulls.is_seen(b"name", Level.HEARD))
        self.assertFalse(pulls.is_seen(b"name", Level.VERIFIED))


class GrowthTests(SynchronousTestCase):
    """Random graphs of one degree: what a heartbeat costs a node does not grow with the network."""

    def costs(self, size: int, degree: int) -> tuple[float, float]:
        """Bytes per heartbeat and node; how often a node got one whole."""
        world = World(size, seed=3)
        edges = {frozenset(edge) for edge in random_regular(size, degree, Random(3))}
        for one in world.peers:
            for other in range(1, one):
                if frozenset((one - 1, other - 1)) not in edges:
                    world.apart.add(frozenset((one, other)))
        costs: Counter[str] = Counter()

        def note(sender: Peer, to: Peer, message: Wire) -> Wire:
            costs["bytes"] += len(encode(message))
            if isinstance(message, Beats):
                costs["whole"] += len(message.members)
            return message

        world.boot()
        world.run(2 * INTERVAL)
        world.tamper = note
        world.run(2 * INTERVAL)
        for peer in world.peers.values():
            self.assertFalse(peer.blames)
            missing = [n for n in world.peers if not peer.is_live(n, world.now_ms)]
            self.assertEqual(missing, [])
        return costs["bytes"] / (2 * size * size), costs["whole"] / (2 * size * size)

    def test_more_than_twice_as_many(self) -> None:
        few_bytes, few_whole = self.costs(20, 4)
        many_bytes, many_whole = self.costs(50, 4)
        self.assertLess(many_bytes, 1.1 * few_bytes)
        self.assertLess(many_bytes, 700)
        self.assertLess(max(few_whole, many_whole), 1.3)
