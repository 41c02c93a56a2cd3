"""What survives a crash, and what is cleared when a height is over."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.desk import Desk, broadcasts, signals_in, votes_in
from tests.consensus.fakes import SLOT_MS, payment
from tests.consensus.world import World, journal_votes
from timecoin.codec import encode
from timecoin.consensus import events, machine
from timecoin.consensus.journal import JournalError, vote_key
from timecoin.consensus.messages import Proposal, Votes
from timecoin.consensus.timeouts import Timeout
from timecoin.machine import NewTip, TimerFired
from timecoin.quorum.statement import NIL, VoteKind

PREPARE, PRECOMMIT = VoteKind.PREPARE, VoteKind.PRECOMMIT


class Restarting(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = Desk()
        while self.desk.ranking()[-1] != 0:
            self.desk.now_ms += SLOT_MS
            self.desk.first_slot += 1
        self.desk.start(1, 2, 3)
        self.desk.collect()
        self.first = self.desk.ranking()[0]
        self.block = self.desk.block(self.first, transactions=[payment(1)])
        self.desk.bodies[payment(1).wtxid] = payment(1)

    def test_after_a_prepare_it_prepares_nothing_else(self) -> None:
        desk = self.desk
        desk.hear(self.first, desk.proposal(self.first, self.block))
        desk.restart()
        other = desk.block(self.first, timestamp_ms=desk.now_ms + 1)
        effects = desk.hear(self.first, desk.proposal(self.first, other))
        effects += desk.expire(Timeout.PROPOSE)
        self.assertEqual(votes_in(effects), [])
        resent = broadcasts(desk.do(TimerFired(("retransmit", 1))))
        votes = next(m for m in resent if isinstance(m, Votes)).votes
        self.assertEqual(votes, (desk.vote(0, self.block.hash),))

    def test_the_lock_the_block_and_its_bodies_come_back(self) -> None:
        desk = self.desk
        desk.hear(self.first, desk.proposal(self.first, self.block))
        for index in (1, 2):
            desk.hear(index, desk.vote(index, self.block.hash))
        desk.bodies.clear()
        desk.restart()
        self.assertEqual(desk.view.locked, self.block.hash)
        self.assertEqual((desk.view.round, desk.view.step), (0, "precommit"))
        for index in (1, 2):
            effects = desk.hear(index, desk.vote(index, self.block.hash, PRECOMMIT))
        (decided,) = signals_in(effects, events.Decided)
        assert isinstance(decided, events.Decided)
        self.assertEqual(decided.checked.block, self.block)
        self.assertEqual(decided.checked.transactions, (payment(1),))

    def test_the_own_proposal_is_sent_again_unchanged(self) -> None:
        desk = self.desk
        for index in (1, 2, 3):
            desk.hear(index, desk.vote(index, NIL, PRECOMMIT, 3))
        mine = next(m for m in broadcasts(desk.effects) if isinstance(m, Proposal))
        desk.restart()
        resent = broadcasts(desk.do(TimerFired(("retransmit", 1))))
        self.assertIn(mine, resent)

    def test_the_valid_block_is_proposed_again_after_a_restart(self) -> None:
        desk = self.desk
        desk.hear(self.first, desk.proposal(self.first, self.block))
        for index in (1, 2):
            desk.hear(index, desk.vote(index, self.block.hash))
        desk.restart()
        for index in (1, 2, 3):
            desk.hear(index, desk.candidate(index))
        desk.collect()
        desk.effects.clear()
        for index in (1, 2, 3):
            desk.hear(index, desk.vote(index, NIL, PRECOMMIT, 3))
        mine = next(m for m in broadcasts(desk.effects) if isinstance(m, Proposal))
        self.assertEqual((mine.block, mine.round, mine.valid_round), (self.block, 3, 1))

    def test_without_the_locked_block_it_does_not_start(self) -> None:
        desk = self.desk
        desk.hear(self.first, desk.proposal(self.first, self.block))
        for index in (1, 2):
            desk.hear(index, desk.vote(index, self.block.hash))
        del desk.rows["consensus", b"b" + self.block.hash]
        with self.assertRaises(JournalError):
            desk.restart()

    def test_refuses_the_journal_of_another_validator(self) -> None:
        foreign = encode(self.desk.vote(1, NIL))
        self.desk.rows["consensus", vote_key(1, 0, 1)] = foreign
        with self.assertRaises(JournalError):
            self.desk.restart()

    def test_rows_of_finished_heights_are_cleared(self) -> None:
        desk = self.desk
        desk.hear(self.first, desk.proposal(self.first, self.block))
        for kind in (PREPARE, PRECOMMIT):
            for index in (1, 2):
                desk.hear(index, desk.vote(index, self.block.hash, kind))
        (decided,) = signals_in(desk.effects, events.Decided)
        assert isinstance(decided, events.Decided)
        before = dict(desk.rows)
        self.assertEqual({key[:1] for _, key in before if _ == "consensus"}, set(b_of("vsqb")))
        desk.chain.commit(self.block, decided.certificate)
        for restarted in (False, True):
            if restarted:
                desk.rows = before
                desk.restart()  # crashed before the clearing was written
            else:
                desk.do(NewTip())
            self.assertEqual(desk.view.height, 2)
            self.assertIsNone(desk.view.locked)
            self.assertEqual({key[:1] for _, key in desk.rows}, set(b_of("vs")))

    def test_votes_of_long_ago_are_dropped(self) -> None:
        self.patch(machine, "HEIGHTS_KEPT", 3)
        world = World([100], seed=1)
        world.start()
        world.run(12 * SLOT_MS)
        world.sync_journal(world.peers[0])
        heights = {vote.height for vote in journal_votes(world)}
        top = world.heights[0]
        self.assertEqual(heights, {top - 2, top - 1, top})


def b_of(letters: str) -> list[bytes]:
    return [letter.encode() for letter in letters]
