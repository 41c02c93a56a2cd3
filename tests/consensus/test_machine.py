"""The machine, event by event: slots, proposing, links, catching up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.desk import Desk, broadcasts, peer, sends_in, signals_in, timers, votes_in
from tests.consensus.fakes import SLOT_MS, TIMING, payment, signing_key, verify
from timecoin.consensus import events
from timecoin.consensus.journal import read_rows
from timecoin.consensus.messages import CandidateMessage, Proposal, Votes
from timecoin.consensus.timeouts import Timeout
from timecoin.machine import CatchUpChanged, LinkUp, NewTip, Record, Spread, Start, TimerFired
from timecoin.quorum.certificate import check_precommit_certificate, check_prepare_quorum
from timecoin.quorum.statement import NIL, VoteKind

PREPARE, PRECOMMIT = VoteKind.PREPARE, VoteKind.PRECOMMIT


class Slots(SynchronousTestCase):
    def test_waits_for_a_slot_after_the_parents(self) -> None:
        desk = Desk()
        desk.now_ms = desk.chain.tip.slot_time + 4_000
        effects = desk.do(Start())
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
        effects = desk.do(Start())
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

    def test_candidates_are_passed_on_once(self) -> None:
        desk = Desk()
        desk.start()
        effects = desk.hear(2, desk.candidate(3))
        self.assertEqual(effects, [Spread(desk.candidate(3), author=signing_key(3).public)])
        self.assertEqual(desk.hear(1, desk.candidate(3)), [])
        self.assertEqual(desk.view.candidates, 2)


class NewTips(SynchronousTestCase):
    def test_a_tip_that_moved_is_seen_before_the_event_that_tells(self) -> None:
        """Sync connects a block while a timer of the old height waits in the queue."""
        desk = Desk()
        desk.start(1, 2, 3)
        block = desk.block(1)
        desk.chain.commit(block, desk.quorum(block.hash, kind=PRECOMMIT))
        desk.now_ms += TIMING.collection_delay_ms
        effects = desk.do(TimerFired(("collect", 1, desk.first_slot)))
        self.assertEqual(desk.view.height, 2)
        self.assertEqual(votes_in(effects), [])
        self.assertEqual(desk.do(NewTip()), [])


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

    def test_proposes_the_evidence_that_waits(self) -> None:
        self.desk.accusations.found = (b"one proof", b"another")
        proposal = next(m for m in broadcasts(self.desk.collect()) if isinstance(m, Proposal))
        self.assertEqual(proposal.block.body.evidence, (b"one proof", b"another"))

    def test_timestamp_is_above_the_parents_even_with_a_slow_clock(self) -> None:
        desk = self.desk
        (decided,) = signals_in(desk.collect(), events.Decided)
        assert isinstance(decided, events.Decided)
        desk.chain.commit(decided.checked.block, decided.certificate)
        ahead = desk.chain.blocks[0].header.timestamp_ms
        desk.do(NewTip())
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
        prepares = [v for v in votes if (v.kind, v.round) == (PREPARE, 0)]
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

    def test_the_votes_that_ended_the_last_round_are_sent_again_too(self) -> None:
        """Of all members: who missed them cannot follow into this round (too few are ahead)."""
        desk = self.desk
        for index in (1, 2):
            desk.hear(index, desk.vote(index, NIL, PRECOMMIT))
        desk.expire(Timeout.PROPOSE)
        desk.hear(3, desk.vote(3, NIL, PRECOMMIT))
        self.assertEqual(desk.view.round, 1)
        sent = broadcasts(desk.do(TimerFired(("retransmit", 1))))
        votes = next(m for m in sent if isinstance(m, Votes)).votes
        for index in (1, 2, 3):
            self.assertIn(desk.vote(index, NIL, PRECOMMIT), votes)

    def test_nothing_is_sent_again_before_the_slot_begins(self) -> None:
        desk = Desk()
        desk.now_ms -= 5_000
        desk.do(Start())
        self.assertNotIn(("retransmit", 1), timers(desk.effects))


def _index_of(pubkey: bytes) -> int:
    return next(index for index in range(10) if signing_key(index).public == pubkey)


class ClockTests(SynchronousTestCase):
    """A node whose clock is off votes, since its journal keeps that safe, but does not propose."""

    def test_neither_stands_nor_proposes(self) -> None:
        desk = Desk(weights=(100,))
        desk.do(events.ClockJudged(False))
        desk.start()
        desk.collect()
        sent = broadcasts(desk.effects)
        self.assertEqual([m for m in sent if isinstance(m, CandidateMessage | Proposal)], [])

    def test_proposes_again_when_it_is_right(self) -> None:
        desk = Desk(weights=(100,))
        desk.do(events.ClockJudged(False))
        desk.do(events.ClockJudged(True))
        desk.start()
        desk.collect()
        self.assertTrue(any(isinstance(m, Proposal) for m in broadcasts(desk.effects)))

    def test_proposes_the_changes_of_its_membership(self) -> None:
        desk = Desk(weights=(100,))
        desk.membership.offered = (b"leave", b"removal")
        desk.start()
        desk.collect()
        (own,) = [m for m in broadcasts(desk.effects) if isinstance(m, Proposal)]
        self.assertEqual(own.block.body.avs_changes, (b"leave", b"removal"))


class CatchingUp(SynchronousTestCase):
    def test_does_not_vote_nor_stand(self) -> None:
        desk = Desk()
        desk.do(CatchUpChanged(True))
        desk.start(1, 2, 3)
        desk.collect()
        desk.expire(Timeout.PROPOSE)
        desk.do(TimerFired(("retransmit", 1)))
        self.assertEqual(votes_in(desk.effects), [])
        own = [m for m in broadcasts(desk.effects) if isinstance(m, CandidateMessage)]
        self.assertNotIn(desk.candidate(0), own)
        self.assertFalse(desk.view.voting)
        effects = desk.do(CatchUpChanged(False))
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
