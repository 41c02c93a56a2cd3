"""The ways of heartbeats: handed on unasked, once; and what happens when one is cut or blocked."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.world import CHAIN_ID, TIMING, Peer, World, key
from timecoin.codec import Wire
from timecoin.machine import LinkDown, LinkUp, Received
from timecoin.masternodes.heartbeat import (
    Attested,
    heartbeat_hash,
    sign_attestation,
    sign_heartbeat,
    witnesses,
)
from timecoin.masternodes.messages import BeatNews, Beats, BeatWants, Witnessed
from timecoin.masternodes.ways import MAX_FOLLOWERS, Ways
from timecoin.sim.topology import random_regular

INTERVAL = TIMING.interval_ms


def sparse(size: int, degree: int, seed: int = 3) -> World:
    """A random graph of one degree; nobody is booted yet."""
    world = World(size, seed=seed)
    edges = {frozenset(edge) for edge in random_regular(size, degree, Random(seed))}
    for one in world.peers:
        for other in range(1, one):
            if frozenset((one - 1, other - 1)) not in edges:
                world.apart.add(frozenset((one, other)))
    return world


class WaysTests(SynchronousTestCase):
    def test_who_has_asked_until_it_leaves(self) -> None:
        ways = Ways()
        ways.join(b"one", b"a", True)
        ways.join(b"one", b"b", False)
        ways.join(b"two", b"b", False)
        self.assertEqual(ways.of(b"one"), (b"a", b"b"))
        ways.leave(b"one", b"a")
        ways.leave(b"none", b"a")
        self.assertEqual(ways.of(b"one"), (b"b",))
        ways.link_down(b"b")
        self.assertEqual((ways.of(b"one"), ways.of(b"two"), ways.of(b"none")), ((), (), ()))

    def test_open_after_the_first(self) -> None:
        ways = Ways()
        ways.join(b"one", b"a", True)
        self.assertFalse(ways.is_open(b"one"))
        ways.open(b"one")
        self.assertTrue(ways.is_open(b"one"))
        self.assertEqual(ways.of(b"one"), (b"a",))
        ways.forget(lambda masternode: masternode != b"one")
        self.assertFalse(ways.is_open(b"one"))

    def test_bounded_for_those_without_a_key(self) -> None:
        ways = Ways()
        for number in range(2 * MAX_FOLLOWERS):
            ways.join(b"one", b"follower %d" % number, False)
        self.assertEqual(len(ways.of(b"one")), MAX_FOLLOWERS)
        ways.join(b"one", b"a member", True)
        self.assertIn(b"a member", ways.of(b"one"))


class Traffic:
    """What is sent in a world from now on."""

    def __init__(self, world: World) -> None:
        self.kinds: Counter[str] = Counter()
        self.bodies: Counter[tuple[int, bytes]] = Counter()
        """(receiver, signature of a heartbeat) -> how often it came whole."""

        def note(sender: Peer, to: Peer, message: Wire) -> Wire:
            self.kinds[type(message).__name__] += 1
            if isinstance(message, Beats):
                for item in message.members:
                    self.bodies[to.number, item.heartbeat.signature] += 1
            return message

        world.tamper = note


class HandedOnTests(SynchronousTestCase):
    def test_between_members_that_are_all_linked_nothing_is_asked_for_or_comes_twice(self) -> None:
        world = World(20)
        world.boot()
        world.run(2 * INTERVAL)
        traffic = Traffic(world)
        world.run(4 * INTERVAL)
        self.assertEqual(traffic.kinds["BeatWants"], 0)
        self.assertEqual(set(traffic.bodies.values()), {1})
        # Of each heartbeat: 6 to witnesses, 6 attestations, 19 when it is verified; reminders.
        self.assertLess(traffic.kinds.total(), 4 * 20 * (31 + 20))

    def test_where_few_are_linked_neither(self) -> None:
        world = sparse(30, 4)
        world.boot()
        world.run(4 * INTERVAL)
        traffic = Traffic(world)
        world.run(4 * INTERVAL)
        self.assertLess(traffic.kinds["BeatWants"], 0.05 * 4 * 30 * 30)
        self.assertLess(traffic.bodies.total(), 1.1 * 4 * 30 * 30)
        for peer in world.peers.values():
            self.assertTrue(all(peer.is_live(number, world.now_ms) for number in world.peers))

    def test_one_not_linked_with_the_sender_hears_it(self) -> None:
        world = World(12)
        world.part([1], [2])
        world.boot()
        world.run(3 * INTERVAL)
        world.tamper = self._reminders_lost
        for _ in range(3 * TIMING.ttl_ms // INTERVAL):
            world.run(INTERVAL)
            self.assertTrue(world.peers[2].is_live(1, world.now_ms))
            self.assertTrue(world.peers[1].is_live(2, world.now_ms))

    @staticmethod
    def _reminders_lost(sender: Peer, to: Peer, message: Wire) -> Wire | None:
        return None if isinstance(message, BeatNews) and message.verified else message


class RepeatedTests(SynchronousTestCase):
    """Node 1, whose links are not the world's: a heartbeat of node 8 comes from 2 and from 3."""

    def setUp(self) -> None:
        self.world = World(8)
        self.world.boot(1, 2, 3)
        self.world.run(1_500)
        self.victim = self.world.peers[1]
        self.sent: list[tuple[int, Wire]] = []
        self.number = 0

        def note(sender: Peer, to: Peer, message: Wire) -> None:
            if sender is self.victim and to.number in (2, 3):
                self.sent.append((to.number, message))

        self.world.tamper = note

    def beat(self) -> tuple[Beats, bytes]:
        """The next heartbeat of node 8, verified; its short name."""
        self.number += 1
        beat = sign_heartbeat(key(8), CHAIN_ID, self.number, 0, bytes(32), self.world.now_ms)
        hash_ = heartbeat_hash(CHAIN_ID, beat)
        drawn = witnesses(hash_, beat.pubkey, self.world.first)
        signers = [key(n) for n in range(1, 9) if key(n).public in drawn][:3]
        made = [sign_attestation(signer, CHAIN_ID, hash_) for signer in signers]
        ordered = tuple(sorted(made, key=lambda each: each.witness))
        return Beats((Attested(beat, ordered),), ()), hash_[:8]

    def hear(self, number: int, message: Wire) -> None:
        self.world.deliver(self.victim, Received(self.world.peers[number].name, message))
        self.world.run(1)

    def of_kind(self, kind: type[Wire]) -> list[tuple[int, Wire]]:
        found = [each for each in self.sent if isinstance(each[1], kind)]
        self.sent.clear()
        return found

    def test_the_second_is_told_that_it_was_there(self) -> None:
        beats, name = self.beat()
        self.hear(2, beats)
        self.sent.clear()
        self.hear(3, beats)
        self.assertEqual(self.of_kind(BeatNews), [(3, BeatNews((), (name,)))])
        attestations = beats.members[0].attestations
        hash_ = heartbeat_hash(CHAIN_ID, beats.members[0].heartbeat)
        self.hear(3, Beats((), (), (Witnessed(hash_, attestations),)))
        self.assertEqual(self.sent, [], "attestations meet on their ways without a fault")

    def test_handed_to_who_has_asked_until_it_has_it_from_others(self) -> None:
        beats, name = self.beat()
        self.hear(2, beats)
        self.hear(3, BeatWants((name,), ()))
        self.sent.clear()
        self.world.run(INTERVAL)
        after, later = self.beat()
        self.hear(2, after)
        handed = [number for number, message in self.of_kind(Beats) if message == after]
        self.assertEqual(handed, [3], "it has asked before, and needs not ask again")
        self.hear(3, BeatNews((), (later,)))
        self.world.run(INTERVAL)
        last, _ = self.beat()
        self.hear(2, last)
        handed = [number for number, message in self.of_kind(Beats) if message == last]
        self.assertEqual(handed, [], "it has told that it gets them elsewhere")


class BlockedTests(SynchronousTestCase):
    """Somebody keeps things to himself, or a link goes; all others stay live to each other."""

    def always_live(self, world: World, intervals: int, among: list[int]) -> None:
        for _ in range(intervals):
            world.run(INTERVAL)
            for here in among:
                for there in among:
                    self.assertTrue(world.peers[here].is_live(there, world.now_ms), (here, there))

    def test_a_sender_that_hands_its_heartbeats_to_few(self) -> None:
        world = World(12)
        world.boot()
        world.run(2 * INTERVAL)

        def withhold(sender: Peer, to: Peer, message: Wire) -> Wire | None:
            if sender.number == 1 and to.number > 7:
                return None
            return message

        world.tamper = withhold
        self.always_live(world, 12, list(world.peers))

    def test_relays_that_pass_nothing_on(self) -> None:
        world = sparse(24, 6)
        world.boot()
        world.run(4 * INTERVAL)
        faulty = {3, 11, 17, 23}

        def withhold(sender: Peer, to: Peer, message: Wire) -> Wire | None:
            if sender.number not in faulty or not isinstance(message, Beats):
                return message
            own = key(sender.number).public
            members = tuple(each for each in message.members if each.heartbeat.pubkey == own)
            return Beats(members, ()) if members else None

        world.tamper = withhold
        self.always_live(world, 10, [number for number in world.peers if number not in faulty])

    def test_relays_that_pass_no_attestations_on(self) -> None:
        world = sparse(24, 6)
        world.boot()
        world.run(4 * INTERVAL)
        faulty = {3, 11, 17, 23}

        def withhold(sender: Peer, to: Peer, message: Wire) -> Wire | None:
            if sender.number in faulty and isinstance(message, Beats) and message.witnessed:
                return None
            return message

        world.tamper = withhold
        self.always_live(world, 10, [number for number in world.peers if number not in faulty])

    def test_links_that_go_down_and_come_back(self) -> None:
        world = sparse(24, 6)
        world.boot()
        world.run(4 * INTERVAL)
        rng = Random(1)
        for _ in range(8):
            linked = [
                pair
                for pair in (
                    frozenset((one, other)) for one in world.peers for other in range(1, one)
                )
                if pair not in world.apart
            ]
            cut = sorted(rng.choice(linked))
            before = set(world.apart)
            world.part(cut[:1], cut[1:])
            self.always_live(world, 1, list(world.peers))
            world.apart = before
            for here, there in (cut, cut[::-1]):
                other = world.peers[there]
                world.deliver(world.peers[here], LinkUp(other.name, other.key.public))

    def test_a_sender_most_of_whose_links_go_at_once(self) -> None:
        """No way leads on from those that are left, and they are too few to attest."""
        world = World(10)
        world.boot()
        world.run(3 * INTERVAL - 100)
        world.part([1], range(4, 11))
        self.always_live(world, 12, list(world.peers))

    def test_a_lost_attestation_is_given_again(self) -> None:
        world = World(4)
        world.boot()
        world.run(2 * INTERVAL - 100)
        lost: Counter[int] = Counter()

        def lose(sender: Peer, to: Peer, message: Wire) -> Wire | None:
            if to.number == 1 and isinstance(message, Beats) and message.witnessed:
                lost[sender.number] += 1
                return None if lost[sender.number] == 1 else message
            return message

        world.tamper = lose
        world.run(INTERVAL)
        self.assertTrue(lost)
        own = world.peers[1].up.book.verified(key(1).public)
        assert own is not None
        self.assertGreater(own.heartbeat.timestamp, world.now_ms - INTERVAL)

    def test_who_is_gone_is_handed_nothing(self) -> None:
        world = sparse(12, 4)
        world.boot()
        world.run(3 * INTERVAL)
        victim = world.peers[1]
        gone = next(p for p in world.peers.values() if p is not victim and world.linked(victim, p))
        world.deliver(victim, LinkDown(gone.name))
        world.run(1)
        to_gone: list[Wire] = []

        def note(sender: Peer, to: Peer, message: Wire) -> Wire:
            if sender is victim and to is gone:
                to_gone.append(message)
            return message

        world.tamper = note
        world.run(2 * INTERVAL)
        self.assertEqual(to_gone, [])
