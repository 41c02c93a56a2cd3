"""The machine, event by event: slots, rounds, links, catching up, restarts, bad input."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.desk import (
    Desk,
    blames_in,
    peer,
    sends_in,
    signals_in,
    votes_in,
)
from tests.consensus.fakes import SLOT_MS, TIMING, payment, signing_key, verify
from tests.consensus.world import World
from timecoin.codec import encode
from timecoin.consensus import early, events, machine
from timecoin.consensus.journal import JournalError, read_rows, vote_key
from timecoin.consensus.messages import (
    BlockVote,
    CandidateMessage,
    Proposal,
    VoteKind,
    Votes,
)
from timecoin.consensus.timeouts import Timeout, delay_ms
from timecoin.machine import (
    Broadcast,
    Effect,
    LinkDown,
    LinkUp,
    Received,
    Record,
    Send,
    StartTimer,
    StopTimer,
    TimerFired,
)
from timecoin.quorum.certificate import check_precommit_certificate, check_prepare_quorum
from timecoin.quorum.statement import NIL

PREPARE, PRECOMMIT = VoteKind.PREPARE, VoteKind.PRECOMMIT


def broadcasts(effects: list[Effect]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Broadcast)]


def timers(effects: list[Effect]) -> dict[object, int]:
    return {e.name: e.delay_ms for e in effects if isinstance(e, StartTimer)}


class Slots(SynchronousTestCase):
    def test_waits_for_a_slot_after_the_parents(self) -> None:
        desk = Desk()
        desk.now_ms = desk.chain.tip.slot_time + 4_000
        effects = desk.do(events.Start())
        self.assertEqual(timers(effects), {("slot", 1): SLOT_MS - 4_000})
        self.assertEqual(broadcasts(effects), [])
        self.assertEqual(desk.view.step, "wait")
        desk.now_ms = desk.first_slot * SLOT_MS
        effects = desk.do(TimerFired(("slot", 1)))
        (candidate,) = broadcasts(effects)
        self.assertEqual(candidate, desk.candidate(0))
        started = timers(effects)
        self.assertEqual(started["collect", 1, desk.first_slot], TIMING.collection_delay_ms)
        self.assertEqual(started["slot", 1], SLOT_MS)
        self.assertEqual(desk.view.round, -1)
        desk.collect()
        self.assertEqual(desk.view.round, 0)

    def test_a_slot_that_began_long_ago_still_gets_its_collection_delay(self) -> None:
        desk = Desk()
        desk.now_ms += 3 * SLOT_MS + 123
        effects = desk.do(events.Start())
        slot = desk.first_slot + 3
        self.assertEqual(timers(effects)["collect", 1, slot], TIMING.collection_delay_ms)
        self.assertEqual(timers(effects)["slot", 1], SLOT_MS - 123)

    def test_a_clock_set_back_only_waits(self) -> None:
        desk = Desk()
        desk.start()
        desk.now_ms -= 5_000
        effects = desk.do(TimerFired(("slot", 1)))
        self.assertEqual(timers(effects), {("slot", 1): SLOT_MS + 5_000})
        self.assertEqual(desk.view.slot, desk.first_slot)

    def test_a_new_slot_brings_candidates_but_no_new_round(self) -> None:
        desk = Desk()
        desk.start(1, 2, 3)
        desk.collect()
        desk.now_ms = (desk.first_slot + 1) * SLOT_MS
        effects = desk.do(TimerFired(("slot", 1)))
        self.assertEqual(broadcasts(effects), [desk.candidate(0, desk.first_slot + 1)])
        self.assertEqual(desk.view.round, 0)
        desk.collect(desk.first_slot + 1)
        self.assertEqual(desk.view.round, 0)
        self.assertEqual(desk.view.slot, desk.first_slot + 1)

    def test_later_rounds_belong_to_the_newest_collected_slot(self) -> None:
        desk = Desk()
        desk.start(1, 2, 3)
        desk.collect()
        slot = desk.first_slot + 1
        desk.now_ms = slot * SLOT_MS
        desk.do(TimerFired(("slot", 1)))
        for index in (1, 2, 3):
            desk.hear(index, desk.candidate(index, slot))
        for round_, expected_slot in ((1, desk.first_slot), (2, slot)):
            for index in (1, 2, 3):
                desk.hear(index, desk.vote(index, NIL, PRECOMMIT, round_))
            (started,) = signals_in(desk.effects, events.RoundStarted)[-1:]
            assert isinstance(started, events.RoundStarted)
            first = desk.ranking(expected_slot)[round_ % 4]
            expected = (1, round_, expected_slot, signing_key(first).public)
            self.assertEqual(
                (started.height, started.round, started.slot, started.proposer), expected
            )
            desk.collect(slot)

    def test_without_any_candidate_it_keeps_collecting(self) -> None:
        desk = Desk(follows=True)
        desk.start()
        desk.collect()
        self.assertEqual(desk.view.round, -1)
        desk.hear(2, desk.candidate(2))
        self.assertEqual(desk.view.round, 0)
        self.assertEqual(desk.view.proposer, signing_key(2).public)

    def test_candidates_are_passed_on_once_but_not_back(self) -> None:
        desk = Desk()
        desk.start()
        effects = desk.hear(2, desk.candidate(3))
        self.assertEqual(effects, [Broadcast(desk.candidate(3), skip=peer(2))])
        self.assertEqual(desk.hear(1, desk.candidate(3)), [])
        self.assertEqual(desk.view.candidates, 2)


class Proposing(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = Desk([100])
        self.desk.start()

    def test_alone_it_decides_at_once(self) -> None:
        effects = self.desk.collect()
        (decided,) = signals_in(effects, events.Decided)
        assert isinstance(decided, events.Decided)
        snapshots = (self.desk.chain.members,)
        check_precommit_certificate(decided.certificate, snapshots, self.desk.chain_id, verify)
        self.assertEqual(self.desk.view.step, "decided")

    def test_proposes_what_the_archive_offers(self) -> None:
        self.desk.archive.pool = [payment(1)]
        self.desk.bodies[payment(1).wtxid] = payment(1)
        effects = self.desk.collect()
        (proposing,) = signals_in(effects, events.Proposing)
        assert isinstance(proposing, events.Proposing)
        self.assertEqual(proposing.entries, 1)
        proposal = next(m for m in broadcasts(effects) if isinstance(m, Proposal))
        header = proposal.block.header
        self.assertEqual(header.timestamp_ms, self.desk.now_ms)
        self.assertEqual((header.round, header.slot), (0, self.desk.first_slot))

    def test_timestamp_is_above_the_parents_even_with_a_slow_clock(self) -> None:
        desk = self.desk
        (decided,) = signals_in(desk.collect(), events.Decided)
        assert isinstance(decided, events.Decided)
        desk.chain.commit(decided.checked.block, decided.certificate)
        ahead = desk.chain.blocks[0].header.timestamp_ms
        desk.do(events.NewTip())
        desk.now_ms = ahead - 5_000  # the clock was set back, the slot timer fires anyhow
        desk.do(TimerFired(("slot", 2)))
        desk.now_ms = (desk.first_slot + 1) * SLOT_MS
        desk.do(TimerFired(("slot", 2)))
        desk.now_ms = ahead - 5_000
        effects = desk.do(TimerFired(("collect", 2, desk.first_slot + 1)))
        proposal = next(m for m in broadcasts(effects) if isinstance(m, Proposal))
        self.assertEqual(proposal.block.header.timestamp_ms, ahead + 1)

    def test_everything_is_recorded_with_the_precommit(self) -> None:
        self.desk.archive.pool = [payment(1)]
        self.desk.bodies[payment(1).wtxid] = payment(1)
        effects = self.desk.collect()
        found = read_rows((e.table, e.key, e.value or b"") for e in effects if type(e) is Record)
        block = next(m for m in broadcasts(effects) if isinstance(m, Proposal)).block
        self.assertEqual([vote.kind for vote in found.votes], [0, 1, 2])
        self.assertEqual(found.blocks, {block.hash: block})
        self.assertEqual(found.bodies, {payment(1).wtxid: payment(1)})
        assert found.quorum is not None and found.proposal is not None
        check_prepare_quorum(found.quorum, (self.desk.chain.members,), self.desk.chain_id, verify)
        durable = {e.key[:1] for e in effects if isinstance(e, Record) and e.durable}
        self.assertEqual(durable & {b"v", b"b", b"q", b"p"}, {b"v", b"b", b"q", b"p"})


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
        desk.do(events.Start())
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


class Links(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = Desk()
        while self.desk.ranking()[-1] != 0:
            self.desk.now_ms += SLOT_MS
            self.desk.first_slot += 1
        self.desk.start(1, 2)
        self.desk.collect()
        self.first = next(index for index in self.desk.ranking() if index in (1, 2))
        self.block = self.desk.block(self.first)
        self.proposal = self.desk.proposal(self.first, self.block, candidates=(1, 2))
        self.desk.hear(self.first, self.proposal)

    def test_a_new_link_gets_what_still_matters(self) -> None:
        desk = self.desk
        desk.hear(1, desk.vote(1, self.block.hash))
        effects = desk.do(LinkUp(peer(3), signing_key(3).public))
        sent = sends_in(effects)
        self.assertEqual({to for to, _ in sent}, {peer(3)})
        messages = [message for _, message in sent]
        for index in (0, 1, 2):
            self.assertIn(desk.candidate(index), messages)
        self.assertIn(self.proposal, messages)
        votes = next(m for m in messages if isinstance(m, Votes)).votes
        self.assertEqual({vote.voter for vote in votes}, {signing_key(i).public for i in (0, 1)})

    def test_the_prepare_quorum_goes_along_from_long_ago(self) -> None:
        desk = self.desk
        for index in (1, 2):
            desk.hear(index, desk.vote(index, self.block.hash))
        for index in (1, 2, 3):
            desk.hear(index, desk.vote(index, NIL, PRECOMMIT, 5))
        effects = desk.do(LinkUp(peer(3), signing_key(3).public))
        votes = next(m for _, m in sends_in(effects) if isinstance(m, Votes)).votes
        prepares = [v for v in votes if v.kind == PREPARE and v.block_hash == self.block.hash]
        self.assertEqual(len(prepares), 3)
        for vote in prepares:
            self.assertEqual(vote, desk.vote(_index_of(vote.voter), self.block.hash))

    def test_everything_own_is_sent_again_each_second(self) -> None:
        effects = self.desk.do(TimerFired(("retransmit", 1)))
        sent = broadcasts(effects)
        self.assertIn(self.desk.candidate(0), sent)
        votes = next(m for m in sent if isinstance(m, Votes)).votes
        self.assertIn(self.desk.vote(0, self.block.hash), votes)
        self.assertEqual(timers(effects)["retransmit", 1], TIMING.retransmit_ms)

    def test_nothing_is_sent_again_before_the_slot_begins(self) -> None:
        desk = Desk()
        desk.now_ms -= 5_000
        desk.do(events.Start())
        self.assertNotIn(("retransmit", 1), timers(desk.effects))


def _index_of(pubkey: bytes) -> int:
    return next(index for index in range(10) if signing_key(index).public == pubkey)


class CatchingUp(SynchronousTestCase):
    def test_does_not_vote_nor_stand(self) -> None:
        desk = Desk()
        desk.do(events.CatchUpChanged(True))
        desk.start(1, 2, 3)
        desk.collect()
        desk.expire(Timeout.PROPOSE)
        desk.do(TimerFired(("retransmit", 1)))
        self.assertEqual(votes_in(desk.effects), [])
        own = [m for m in broadcasts(desk.effects) if isinstance(m, CandidateMessage)]
        self.assertNotIn(desk.candidate(0), own)
        self.assertFalse(desk.view.voting)
        effects = desk.do(events.CatchUpChanged(False))
        self.assertEqual(votes_in(effects), [NIL])
        self.assertIn(desk.candidate(0), broadcasts(effects))

    def test_follows_the_votes_of_others(self) -> None:
        desk = Desk(follows=True)
        desk.start(1, 2, 3)
        desk.collect()
        first = next(index for index in desk.ranking() if index)
        block = desk.block(first)
        desk.hear(first, desk.proposal(first, block, candidates=(1, 2, 3)))
        for index in (1, 2, 3):
            desk.hear(index, desk.vote(index, block.hash, PRECOMMIT))
        self.assertEqual(len(signals_in(desk.effects, events.Decided)), 1)
        self.assertEqual(votes_in(desk.effects) + votes_in(desk.effects, PRECOMMIT), [])


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
                desk.do(events.NewTip())
            self.assertEqual(desk.view.height, 2)
            self.assertIsNone(desk.view.locked)
            self.assertEqual({key[:1] for _, key in desk.rows}, set(b_of("vs")))

    def test_votes_of_long_ago_are_dropped(self) -> None:
        self.patch(machine, "HEIGHTS_KEPT", 3)
        world = World([100], seed=1)
        world.start()
        world.run(12 * SLOT_MS)
        heights = {
            vote.height
            for vote in read_rows((t, k, v) for (t, k), v in world.peers[0].rows.items()).votes
        }
        top = world.heights[0]
        self.assertEqual(heights, {top - 2, top - 1, top})


def b_of(letters: str) -> list[bytes]:
    return [letter.encode() for letter in letters]


class BadInput(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = Desk()
        self.desk.start(1, 2, 3)
        self.desk.collect()

    def refused(self, message: msgspec.Struct, reason: str) -> None:
        before = self.desk.view
        effects = self.desk.hear(3, message)  # type: ignore[arg-type]
        self.assertEqual(blames_in(effects), [(peer(3), reason)])
        self.assertEqual(len(effects), 1)
        self.assertEqual(self.desk.view, before)

    def test_votes(self) -> None:
        good = self.desk.vote(1, b"\x09" * 32)
        replace = msgspec.structs.replace
        self.refused(replace(good, signature=bytes(64)), "bad signature of a vote")
        self.refused(replace(good, block_hash=NIL), "bad signature of a vote")
        self.refused(replace(good, kind=2), "bad signature of a vote")
        self.refused(replace(good, kind=0), "vote of another kind or height")
        self.refused(replace(good, voter=bytes(32)), "vote of one who is no voter")
        mixed = Votes((good, replace(good, height=2)))
        effects = self.desk.hear(3, mixed)
        self.assertEqual(blames_in(effects), [(peer(3), "vote of another kind or height")])

    def test_candidates(self) -> None:
        slot = self.desk.first_slot + 1
        good = self.desk.candidate(1, slot)
        replace = msgspec.structs.replace
        for bad, reason in (
            (replace(good, signature=bytes(64)), "bad signature of a candidate"),
            (replace(good, pubkey=bytes(32)), "not eligible to propose"),
        ):
            self.refused(bad, f"candidate: {reason}")
        key = signing_key(1)
        from timecoin.consensus.messages import candidate_statement

        proof = self.desk.candidate(2, slot).vrf_proof
        statement = candidate_statement(self.desk.chain_id, 1, slot, proof)
        foreign = CandidateMessage(1, slot, key.public, proof, key.sign(statement))
        self.refused(foreign, "candidate: invalid VRF proof")

    def test_slots_far_ahead_or_behind_are_no_fault(self) -> None:
        desk = self.desk
        for slot in (desk.first_slot - 1, desk.first_slot + 3):
            self.assertEqual(desk.hear(1, desk.candidate(1, slot)), [])

    def test_other_heights_are_ignored_or_kept_a_little(self) -> None:
        desk = self.desk
        for height in (0, 2, 3, 9):
            vote = msgspec.structs.replace(desk.vote(1, NIL), height=height)
            self.assertEqual(desk.hear(1, vote), [])

    def test_what_is_kept_for_the_next_height_is_bounded(self) -> None:
        kept = early.Early()
        vote = self.desk.vote(1, NIL)
        proposal = self.desk.proposal(1, self.desk.block(1))
        for index in range(10):
            for _ in range(1_000):
                kept.keep(peer(index), vote)
                kept.keep(peer(index), Votes((vote,)))
                kept.keep(peer(index), proposal)
        kept.forget(peer(9))
        taken = kept.take()
        self.assertEqual(len(taken), 9 * early.SMALL_PER_PEER + 9 + early.MAX_PROPOSALS)
        self.assertEqual(kept.take(), [])

    def test_early_messages_are_taken_when_the_height_begins(self) -> None:
        desk = self.desk
        block = desk.block(1)
        later = Desk()
        for one in (desk, later):
            one.chain.commit(
                block, one.quorum(block.hash, kind=PRECOMMIT)
            ) if one is later else None
        votes = [later.vote(index, NIL, PREPARE, 4) for index in (1, 2)]
        for index, vote in zip((1, 2), votes, strict=True):
            self.assertEqual(desk.hear(index, vote), [])
        desk.chain.commit(block, desk.quorum(block.hash, kind=PRECOMMIT))
        desk.do(events.NewTip())
        self.assertEqual((desk.view.height, desk.view.round), (2, 4))

    def test_equivocating_vote_is_reported_once(self) -> None:
        desk = self.desk
        first, second = desk.vote(1, NIL), desk.vote(1, b"\x07" * 32)
        desk.hear(1, first)
        effects = desk.hear(2, second)
        self.assertEqual(
            signals_in(effects, events.Equivocation), [events.Equivocation(first, second)]
        )
        self.assertEqual(desk.hear(2, second), [])

    def test_before_start_nothing_is_taken(self) -> None:
        desk = Desk()
        self.assertEqual(desk.hear(1, desk.vote(1, NIL)), [])
        self.assertIsNone(desk.machine.view())


class Fuzz(SynchronousTestCase):
    """Any order of messages, true and false: no exception, no second signature, bounded answers."""

    @settings(max_examples=60)
    @given(st.data())
    def test_any_order(self, data: st.DataObject) -> None:
        desk = Desk()
        desk.bodies[payment(1).wtxid] = payment(1)
        desk.start()
        blocks = [
            desk.block(index, round_=round_, transactions=transactions)
            for index in (1, 2, 3)
            for round_ in (0, 1)
            for transactions in ((), (payment(1),), (payment(2),))
        ]
        signed: dict[tuple[int, int, int], bytes] = {}
        for _ in range(data.draw(st.integers(5, 60))):
            event = self._event(desk, blocks, data)
            if event is None:
                effects = desk.restart()
            else:
                effects = desk.do(event)
            desk.now_ms += data.draw(st.sampled_from([0, 1, 50, 1_000, 9_000]))
            for effect in effects:
                if isinstance(effect, Broadcast | Send):
                    for vote in own_votes(effect.message):
                        position = (vote.height, vote.round, vote.kind)
                        self.assertEqual(
                            signed.setdefault(position, vote.block_hash), vote.block_hash
                        )
                        self.assertIn(("consensus", vote_key(*position)), desk.rows)

    def _event(self, desk: Desk, blocks: list[object], data: st.DataObject) -> object | None:
        draw = data.draw
        index = draw(st.integers(1, 3))
        round_ = draw(st.integers(0, 3))
        block = draw(st.sampled_from(blocks))
        block_hash = draw(st.sampled_from([NIL, block.hash]))  # type: ignore[attr-defined]
        slot = desk.first_slot + draw(st.sampled_from([0, 0, 1]))
        match draw(st.integers(0, 12)):
            case 0 | 1 | 2 | 3:
                kind = draw(st.sampled_from([PREPARE, PRECOMMIT]))
                vote = desk.vote(index, block_hash, kind, round_)
                if draw(st.integers(0, 9)) == 0:
                    vote = msgspec.structs.replace(vote, signature=bytes(64))
                return Received(peer(index), vote)
            case 4 | 5:
                return Received(peer(index), desk.candidate(index, slot))
            case 6 | 7 | 8:
                quorum = draw(st.sampled_from([None, desk.quorum(block.hash)]))  # type: ignore[attr-defined]
                proposal = desk.proposal(index, block, round_, slot, quorum=quorum)  # type: ignore[arg-type]
                return Received(peer(index), proposal)
            case 9:
                timeout = draw(st.sampled_from(Timeout))
                return TimerFired(("round", desk.height, desk.view.round, int(timeout)))
            case 10:
                return draw(
                    st.sampled_from(
                        [
                            TimerFired(("slot", desk.height)),
                            TimerFired(("collect", desk.height, slot)),
                            TimerFired(("retransmit", desk.height)),
                            LinkUp(peer(index), signing_key(index).public),
                            LinkDown(peer(index)),
                            events.NewTip(),
                            events.BodiesFetched(()),
                        ]
                    )
                )
            case 11:
                return events.CatchUpChanged(draw(st.booleans()))
        return None


def own_votes(message: object) -> list[BlockVote]:
    own = signing_key(0).public
    match message:
        case BlockVote():
            return [message] if message.voter == own else []
        case Votes(votes):
            return [vote for vote in votes if vote.voter == own]
    return []


class Determinism(SynchronousTestCase):
    def test_order_does_not_depend_on_the_hash_seed(self) -> None:
        digests = set()
        for seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            command = [sys.executable, "-c", "import tests.consensus.test_machine as t; t.trace()"]
            digests.add(
                subprocess.run(command, env=environment, capture_output=True, check=True).stdout
            )
        self.assertEqual(len(digests), 1)
        self.assertEqual(len(digests.pop()), 65)


def trace() -> None:
    """Print a digest of all messages of some heights with lost messages."""
    digest = hashlib.sha256()
    world = World([100, 50, 70, 100], seed=3)
    world.loss = 0.2

    def note(sender: int, receiver: int, message: object) -> bool:
        digest.update(bytes((sender, receiver)) + world.now_ms.to_bytes(8, "big") + encode(message))
        return False

    world.mute = note
    world.start()
    world.run(6 * SLOT_MS)
    print(digest.hexdigest())
