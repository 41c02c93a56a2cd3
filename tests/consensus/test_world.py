"""Whole agreements among several machines, under every kind of bad luck."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.fakes import (
    SLOT_MS,
    FakeChain,
    FakeChecked,
    FakeObjection,
    payment,
    signing_key,
)
from tests.consensus.world import Peer, World, journal_votes
from timecoin.codec import Wire
from timecoin.consensus import events
from timecoin.consensus.messages import BlockVote, Proposal, Votes
from timecoin.consensus.ports import FindBody
from timecoin.ledger.block import Block
from timecoin.ledger.rules import RuleBroken
from timecoin.mempool.exchange import BodiesWanted
from timecoin.quorum.statement import NIL, VoteKind


def is_vote(message: Wire, kind: VoteKind) -> bool:
    match message:
        case BlockVote():
            return message.kind == kind
        case Votes(votes):
            return any(vote.kind == kind for vote in votes)
    return False


def locked_of(peer: Peer) -> bytes | None:
    view = None if peer.machine is None else peer.machine.view()
    return None if view is None else view.locked


class Together(SynchronousTestCase):
    """Networks without faulty members."""

    def test_all_decide_the_same_blocks(self) -> None:
        for weights in ([100], [100] * 3, [100] * 4, [10, 1000, 100, 100, 10, 500, 300]):
            with self.subTest(weights=weights):
                world = World(weights, seed=len(weights))
                world.start()
                world.run(20 * SLOT_MS)
                world.check_agreement()
                self.assertGreaterEqual(min(world.heights), 19)
                self.assertEqual(world.blames, [])
                rounds = {block.header.round for block in world.peers[0].chain.blocks}
                self.assertEqual(rounds, {0})

    def test_one_block_a_slot_at_most(self) -> None:
        world = World([100] * 3, seed=5)
        world.start()
        world.run(10 * SLOT_MS)
        slots = [block.header.slot for block in world.peers[0].chain.blocks]
        self.assertEqual(slots, sorted(set(slots)))

    def test_producers_are_members_that_take_turns(self) -> None:
        world = World([100] * 4, seed=6)
        world.start()
        world.run(40 * SLOT_MS)
        producers = {block.header.producer for block in world.peers[0].chain.blocks}
        self.assertEqual(producers, {signing_key(index).public for index in range(4)})

    def test_of_a_large_set_some_stand_and_all_decide(self) -> None:
        world = World([100] * 22, seed=1)
        world.start()
        world.run(4 * SLOT_MS - 1)
        world.check_agreement()
        self.assertEqual(min(world.heights), 3)

    def test_lost_messages_only_delay(self) -> None:
        for seed in range(3):
            world = World([100] * 4, seed=seed)
            world.loss = 0.3
            world.start()
            world.run(20 * SLOT_MS)
            world.check_agreement()
            self.assertGreaterEqual(min(world.heights), 12)

    def test_slow_links(self) -> None:
        world = World([100] * 4, seed=9)
        world.delay_ms = (100, 900)
        world.start()
        world.run(20 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights), 12)

    def test_a_node_outside_the_set_follows_without_signing(self) -> None:
        world = World([100] * 3, seed=2, followers=1)
        follower = world.peers[3]
        world.start()
        world.run(10 * SLOT_MS)
        world.check_agreement()
        self.assertEqual(world.heights, [9] * 4)
        self.assertEqual(len(follower.said(events.Decided)), 9)
        self.assertNotIn(("consensus", b"v"), {(t, k[:1]) for t, k in follower.rows})

    def test_bodies_that_are_missing_are_fetched(self) -> None:
        world = World([100] * 3, seed=3)
        transactions = [payment(number) for number in range(50)]
        for peer in world.peers[:1]:
            peer.archive.pool = list(transactions)
            peer.bodies = {tx.wtxid: tx for tx in transactions}
        world.start()
        world.run(20 * SLOT_MS)
        world.check_agreement()
        entries = [e.txid for b in world.peers[2].chain.blocks for e in b.body.entries]
        self.assertEqual(sorted(entries), sorted(tx.txid for tx in transactions))
        self.assertTrue(world.peers[1].said(BodiesWanted))


class Faulty(SynchronousTestCase):
    """Members that are silent, split or lying."""

    def test_one_of_three_is_silent(self) -> None:
        world = World([100] * 3, seed=1)
        world.start(0, 1)
        world.run(20 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights[:2]), 19)

    def test_one_of_three_falls_silent_after_announcing_itself(self) -> None:
        world = World([100] * 3, seed=8)
        world.mute = lambda sender, receiver, message: (
            sender == 2 and (isinstance(message, BlockVote | Votes | Proposal))
        )
        world.start()
        world.run(30 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights), 25)
        later = [b for b in world.peers[0].chain.blocks if b.header.round > 0]
        self.assertTrue(later, "the silent member never had the first turn")
        self.assertLess(max(b.header.round for b in later), 4)

    def test_too_few_decide_nothing(self) -> None:
        world = World([100] * 4, seed=1)
        world.start(0, 1)
        world.run(10 * SLOT_MS)
        self.assertEqual(world.heights, [0] * 4)

    def test_two_and_two_decide_nothing_until_they_meet(self) -> None:
        world = World([100] * 4, seed=4)
        world.start()
        world.run(3 * SLOT_MS)
        world.partition((0, 1), (2, 3))
        world.run(1_000)
        before = world.heights
        world.run(6 * SLOT_MS)
        self.assertEqual(world.heights, before)
        world.heal()
        self.assertTrue(
            world.run_until(lambda: min(world.heights) > max(before), SLOT_MS + 4_000),
            "no block within a slot and a round after healing",
        )
        world.run(5 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights), max(before) + 5)

    def test_three_and_one_go_on(self) -> None:
        world = World([100] * 4, seed=7)
        world.start()
        world.run(2 * SLOT_MS)
        world.partition((0, 1, 2), (3,))
        world.run(10 * SLOT_MS)
        self.assertGreaterEqual(min(world.heights[:3]), 10)
        self.assertLessEqual(world.heights[3], 3)
        world.heal()
        world.run(2 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(world.heights[3], world.heights[0] - 1)

    def test_who_hears_but_is_not_heard(self) -> None:
        world = World([100] * 4, seed=11)
        world.mute = lambda sender, receiver, message: sender == 1
        world.start()
        world.run(20 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights), 18)

    def test_an_invalid_block_is_refused_and_the_next_turn_comes(self) -> None:
        world = World([100] * 4, seed=12)
        bad = payment(1, valid=False)
        world.peers[0].archive.pool = [bad]
        world.peers[0].chain = Lenient(world.genesis)
        for peer in world.peers:
            peer.bodies[bad.wtxid] = bad
        world.start()
        world.run(25 * SLOT_MS)
        for peer in world.peers[1:]:
            self.assertGreaterEqual(len(peer.chain.blocks), 18)
            for block in peer.chain.blocks:
                self.assertEqual(block.body.entries, ())
        blamed = {(whom, reason) for _, whom, reason in world.blames}
        self.assertEqual(blamed, {(world.peers[0].name, "bad-txns: a transaction is invalid")})

    def test_a_block_objected_to_is_refused_and_the_proposer_told(self) -> None:
        world = World([100] * 3, seed=13)
        hint = payment(7)

        def object_to(block: Block) -> FakeObjection | None:
            ours = signing_key(0).public
            return (
                FakeObjection("leaves one out", (hint,)) if block.header.producer == ours else None
            )

        heard: list[tuple[int, int]] = []
        for peer in world.peers[1:]:
            peer.archive.object_to = object_to

        def listen(sender: int, receiver: int, message: Wire) -> bool:
            if message == hint:
                heard.append((sender, receiver))
            return False

        world.mute = listen
        world.start()
        world.run(20 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights), 15)
        self.assertNotIn(
            signing_key(0).public, {b.header.producer for b in world.peers[1].chain.blocks}
        )
        self.assertEqual(set(heard), {(1, 0), (2, 0)})
        refusals = world.peers[1].said(events.ProposalRefused)
        assert isinstance(refusals[0], events.ProposalRefused)
        self.assertEqual(refusals[0].reason, "leaves one out")


class Lenient(FakeChain):
    """The chain of a member that takes any transaction."""

    def check(self, block: Block, find: FindBody) -> FakeChecked:
        try:
            return super().check(block, find)
        except RuleBroken:
            return FakeChecked(block, ())


class Locked(SynchronousTestCase):
    """A block that some have precommitted comes back, byte for byte."""

    def test_the_locked_block_is_proposed_again_in_a_later_round_and_slot(self) -> None:
        for seed in range(5):
            self._all_locked(seed)

    def _all_locked(self, seed: int) -> None:
        world = World([100] * 4, seed=seed)
        # All prepare, but no precommit arrives: everybody is locked, nobody decides.
        world.mute = lambda sender, receiver, message: is_vote(message, VoteKind.PRECOMMIT)
        world.start()
        world.run(3 * SLOT_MS)
        self.assertEqual(world.heights, [0] * 4)
        locks = {locked_of(peer) for peer in world.peers}
        self.assertEqual(len(locks), 1)
        self.assertNotEqual(locks, {None})
        world.mute = lambda sender, receiver, message: False
        self.assertTrue(world.run_until(lambda: min(world.heights) >= 1, 20_000))
        block = world.peers[0].chain.blocks[0]
        self.assertEqual({block.hash}, locks)
        self.assertEqual(block.header.round, 0)
        world.check_agreement()

    def test_one_locked_member_brings_the_others_to_its_block(self) -> None:
        for seed in range(5):
            self._one_locked(seed)

    def _one_locked(self, seed: int) -> None:
        world = World([100] * 4, seed=seed)
        # Only node 0 sees the prepares of round 0, and nobody hears its precommit.
        world.mute = lambda sender, receiver, message: (
            (receiver != 0 and is_vote(message, VoteKind.PREPARE))
            or is_vote(message, VoteKind.PRECOMMIT)
        )
        world.start()
        alone = world.peers[0]
        self.assertTrue(world.run_until(lambda: locked_of(alone) is not None, 2 * SLOT_MS))
        locked = locked_of(alone)
        world.mute = lambda sender, receiver, message: False
        self.assertTrue(world.run_until(lambda: min(world.heights) >= 1, 60_000))
        self.assertEqual(world.peers[0].chain.blocks[0].hash, locked)
        world.check_agreement()

    def test_a_repeated_block_is_judged_by_the_objective_rules_alone(self) -> None:
        world = World([100] * 4, seed=3)
        world.mute = lambda sender, receiver, message: is_vote(message, VoteKind.PRECOMMIT)
        world.start()
        world.run(2 * SLOT_MS)
        for peer in world.peers:
            peer.archive.object_to = lambda block: FakeObjection("never again")
        world.mute = lambda sender, receiver, message: False
        self.assertTrue(world.run_until(lambda: min(world.heights) >= 1, 20_000))
        world.check_agreement()


class Crashing(SynchronousTestCase):
    """The world checks that nobody signs twice; the blocks must go on, too."""

    def test_crashes_at_every_moment(self) -> None:
        for moment in ("before records", "after records", "after a send"):
            for seed in range(4):
                self._crashes(moment, seed)

    def _crashes(self, moment: str, seed: int) -> None:
        world = World([100] * 4, seed=seed)
        chance = random.Random(f"{moment}/{seed}")
        world.crash = lambda peer, event, now: now == moment and chance.random() < 0.02
        world.start()
        world.run(15 * SLOT_MS)
        world.crash = lambda peer, event, now: False
        world.run(4 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights), 5, (moment, seed))
        self.assertTrue(any(peer.life for peer in world.peers))

    def test_all_crash_after_the_precommit(self) -> None:
        """The lock and the block survive: the same block is decided afterwards."""
        for count in (1, 3, 4):
            self._all_crash_locked(count)

    def _all_crash_locked(self, count: int) -> None:
        world = World([100] * count, seed=count)
        killed: set[int] = set()

        def crash(peer: Peer, event: object, now: str) -> bool:
            if now == "after records" and locked_of(peer) and peer.index not in killed:
                killed.add(peer.index)
                return True
            return False

        world.crash = crash
        world.start()
        self.assertTrue(world.run_until(lambda: len(killed) == count, 3 * SLOT_MS))
        locked = {
            vote.block_hash
            for vote in journal_votes(world)
            if vote.kind == VoteKind.PRECOMMIT and vote.height == 1
        }
        self.assertEqual(len(locked - {NIL}), 1)
        self.assertTrue(world.run_until(lambda: min(world.heights) >= 1, 4 * SLOT_MS))
        self.assertIn(world.peers[0].chain.blocks[0].hash, locked)
        world.run(4 * SLOT_MS)
        self.assertGreaterEqual(min(world.heights), 3)
        world.check_agreement()

    def test_the_same_bytes_are_sent_again(self) -> None:
        world = World([100] * 4, seed=1)
        world.mute = lambda sender, receiver, message: is_vote(message, VoteKind.PRECOMMIT)
        world.start()
        world.run(SLOT_MS + 5_000)
        peer = world.peers[0]
        before = {key: row for key, row in peer.rows.items() if key[1][:1] == b"v"}
        self.assertTrue(before)
        world.kill(peer, 500)
        sent: list[Wire] = []

        def record(sender: int, receiver: int, message: Wire) -> bool:
            if sender == 0:
                sent.append(message)
            return is_vote(message, VoteKind.PRECOMMIT)

        world.mute = record
        world.run(3_000)
        after = {key: peer.rows[key] for key in before}
        self.assertEqual(before, after)
        own = signing_key(0).public
        again = {v for m in sent if isinstance(m, Votes) for v in m.votes if v.voter == own}
        self.assertTrue(again)

    def test_lost_journal_writes_that_were_not_synced_do_no_harm(self) -> None:
        world = World([100] * 3, seed=21)
        world.start()
        for _ in range(12):
            world.run(2_345)
            for peer in world.peers:
                world.kill(peer, world.rng.randint(10, 2_000))
            world.run(2_500)
        world.run(3 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights), 4)
