"""The rounds of one height: time-outs, locks, jumps, broken safety."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.desk import Desk, broadcasts, signals_in, timers, votes_in
from tests.consensus.fakes import SLOT_MS, TIMING, verify
from timecoin.codec import encode
from timecoin.consensus import events
from timecoin.consensus.messages import Proposal
from timecoin.consensus.timeouts import Timeout, delay_ms
from timecoin.machine import Start, StopTimer, TimerFired
from timecoin.quorum.certificate import check_prepare_quorum
from timecoin.quorum.statement import NIL, VoteKind

PREPARE, PRECOMMIT = VoteKind.PREPARE, VoteKind.PRECOMMIT


class Rounds(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = Desk()
        while self.desk.ranking()[-1] != 0:
            self.desk.now_ms += SLOT_MS
            self.desk.first_slot += 1
        self.desk.start(1, 2, 3)
        self.desk.collect()
        self.first = self.desk.ranking()[0]

    def test_time_outs_grow(self) -> None:
        self.assertEqual([delay_ms(TIMING, round_) for round_ in (0, 1, 10)], [2_000, 2_500, 7_000])
        name = ("round", 1, 0, int(Timeout.PROPOSE))
        self.assertEqual(timers(self.desk.effects)[name], 2_000)

    def test_silent_proposer(self) -> None:
        desk = self.desk
        self.assertEqual(votes_in(desk.expire(Timeout.PROPOSE)), [NIL])
        for index in (1, 2):
            effects = desk.hear(index, desk.vote(index, NIL))
        self.assertEqual(votes_in(effects, PRECOMMIT), [NIL])
        for index in (1, 2):
            effects = desk.hear(index, desk.vote(index, NIL, PRECOMMIT))
        # The round has lasted its time-out: a quorum of nil ends it without further waiting.
        self.assertEqual(desk.view.round, 1)
        stopped = [e.name for e in effects if isinstance(e, StopTimer)]
        self.assertIn(("round", 1, 0, int(Timeout.PROPOSE)), stopped)

    def test_a_round_refused_at_once_lasts_its_time_out(self) -> None:
        desk = self.desk
        for kind in (PREPARE, PRECOMMIT):
            for index in (1, 2, 3):
                desk.hear(index, desk.vote(index, NIL, kind))
        self.assertEqual(desk.view.round, 0)
        desk.expire(Timeout.PROPOSE)
        self.assertEqual(desk.view.round, 1)

    def test_prepares_that_differ(self) -> None:
        desk = self.desk
        block = desk.block(self.first)
        desk.hear(self.first, desk.proposal(self.first, block))
        desk.hear(1, desk.vote(1, NIL))
        effects = desk.hear(2, desk.vote(2, b"\x05" * 32))
        self.assertIn(("round", 1, 0, int(Timeout.PREPARE)), timers(effects))
        self.assertEqual(votes_in(desk.expire(Timeout.PREPARE), PRECOMMIT), [NIL])

    def test_precommits_that_differ(self) -> None:
        desk = self.desk
        for index, block_hash in ((1, NIL), (2, b"\x05" * 32), (3, b"\x06" * 32)):
            effects = desk.hear(index, desk.vote(index, block_hash, PRECOMMIT))
        self.assertIn(("round", 1, 0, int(Timeout.PRECOMMIT)), timers(effects))
        desk.expire(Timeout.PRECOMMIT)
        self.assertEqual(desk.view.round, 1)

    def test_time_outs_of_other_rounds_and_heights_do_nothing(self) -> None:
        for name in (
            ("round", 1, 7, int(Timeout.PROPOSE)),
            ("round", 2, 0, int(Timeout.PROPOSE)),
            ("retransmit", 9),
        ):
            self.assertEqual(self.desk.do(TimerFired(name)), [])

    def test_more_than_a_third_in_a_higher_round_is_followed(self) -> None:
        desk = self.desk
        desk.hear(1, desk.vote(1, NIL, PREPARE, 9))
        self.assertEqual(desk.view.round, 0)
        desk.hear(2, desk.vote(2, NIL, PREPARE, 7))
        self.assertEqual(desk.view.round, 7)
        desk.hear(3, desk.vote(3, NIL, PREPARE, 9))
        self.assertEqual(desk.view.round, 9)

    def test_more_than_a_third_in_round_0_ends_the_wait(self) -> None:
        desk = Desk()
        desk.now_ms = desk.chain.tip.slot_time + 9_000
        desk.do(Start())
        desk.hear(1, desk.vote(1, NIL))
        self.assertEqual(desk.view.round, -1)
        desk.hear(2, desk.vote(2, NIL))
        self.assertEqual(desk.view.round, 0)

    def test_locked_on_one_block_it_refuses_another_until_a_newer_quorum(self) -> None:
        desk = self.desk
        ranking = desk.ranking()
        block = desk.block(self.first)
        desk.hear(self.first, desk.proposal(self.first, block))
        for index in (1, 2):
            desk.hear(index, desk.vote(index, block.hash))
        self.assertEqual(desk.view.locked, block.hash)
        for index in (1, 2, 3):
            desk.hear(index, desk.vote(index, NIL, PRECOMMIT, 1))
        self.assertEqual(desk.view.round, 1)
        other = desk.block(ranking[1], round_=1)
        effects = desk.hear(ranking[1], desk.proposal(ranking[1], other, round_=1))
        self.assertEqual(votes_in(effects), [NIL])
        # The others prepare it all the same: a newer quorum, and the lock gives way.
        for index in (1, 2, 3):
            effects = desk.hear(index, desk.vote(index, other.hash, PREPARE, 1))
        self.assertEqual(votes_in(effects, PRECOMMIT), [other.hash])
        self.assertEqual(desk.view.locked, other.hash)
        for index in (1, 2, 3):
            desk.hear(index, desk.vote(index, NIL, PRECOMMIT, 2))
        old = desk.proposal(
            ranking[2], block, round_=2, quorum=desk.quorum(block.hash, voters=(0, 1, 2))
        )
        self.assertEqual(votes_in(desk.hear(ranking[2], old)), [NIL])

    def test_the_latest_valid_block_is_proposed_on_its_own_turn(self) -> None:
        desk = self.desk
        block = desk.block(self.first)
        desk.hear(self.first, desk.proposal(self.first, block))
        for index in (1, 2):
            desk.hear(index, desk.vote(index, block.hash))
        for index in (1, 2, 3):
            effects = desk.hear(index, desk.vote(index, NIL, PRECOMMIT, 3))
        self.assertEqual(desk.view.round, 3)  # the last rank's: validator 0
        proposal = next(m for m in broadcasts(desk.effects) if isinstance(m, Proposal))
        self.assertEqual(encode(proposal.block), encode(block))
        self.assertEqual((proposal.round, proposal.valid_round), (3, 1))
        assert proposal.prepare_quorum is not None
        check_prepare_quorum(proposal.prepare_quorum, (desk.chain.members,), desk.chain_id, verify)
        self.assertEqual(votes_in(desk.effects)[-1], block.hash)
        self.assertEqual(signals_in(effects, events.ProposalRefused), [])

    def test_two_blocks_with_a_quorum_halt_finalization_for_good(self) -> None:
        desk = self.desk
        one, two = b"\x01" * 32, b"\x02" * 32
        for round_, block_hash in ((0, one), (1, two)):
            for index in (1, 2, 3):
                effects = desk.hear(index, desk.vote(index, block_hash, PRECOMMIT, round_))
        (broken,) = signals_in(effects, events.SafetyBroken)
        assert isinstance(broken, events.SafetyBroken)
        self.assertEqual({broken.first.block_hash, broken.second.block_hash}, {one, two})
        for restarted in (False, True):
            if restarted:
                desk.restart()
            self.assertTrue(desk.view.halted)
            self.assertFalse(desk.view.voting)
            block = desk.block(self.first)
            effects = desk.hear(self.first, desk.proposal(self.first, block))
            effects += desk.expire(Timeout.PROPOSE)
            self.assertEqual(votes_in(effects), [])

    def test_a_fork_that_the_chain_knows_of_halts_voting_and_proposing(self) -> None:
        """Synchronization finds forks too: of heights that are history here already."""
        desk = Desk()
        while desk.ranking()[0] != 0:
            desk.now_ms += SLOT_MS
            desk.first_slot += 1
        desk.start(1, 2, 3)
        desk.chain.fork_height = 1
        effects = desk.collect()
        self.assertEqual([m for m in broadcasts(effects) if isinstance(m, Proposal)], [])
        effects = desk.expire(Timeout.PROPOSE)
        self.assertEqual(votes_in(effects), [])
        self.assertTrue(desk.view.halted)
        desk.restart()
        self.assertEqual(votes_in(desk.collect() + desk.expire(Timeout.PROPOSE)), [])
