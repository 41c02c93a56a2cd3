"""Proposals: form, turn, the objective and the subjective rules, each at its time."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.desk import Desk, blames_in, peer, sends_in, signals_in, votes_in
from tests.consensus.fakes import SLOT_MS, TIMING, FakeObjection, payment, signing_key
from timecoin import params
from timecoin.consensus import events
from timecoin.consensus.messages import Proposal
from timecoin.consensus.timeouts import Timeout
from timecoin.ledger.block import Block, Resolution
from timecoin.machine import Record, TimerFired
from timecoin.mempool.exchange import BodiesFetched, BodiesWanted
from timecoin.mempool.messages import GetTransactions
from timecoin.quorum.statement import NIL, VoteKind


class Case(SynchronousTestCase):
    """A slot in which validator 0 has the last turn of all, and ``first`` the first."""

    def setUp(self) -> None:
        self.desk = Desk()
        while self.desk.ranking()[-1] != 0:
            self.desk.now_ms += SLOT_MS
            self.desk.first_slot += 1
        self.first = self.desk.ranking()[0]

    def begin(self, *standing: int) -> None:
        self.desk.start(*(standing or (1, 2, 3)))
        self.desk.collect(self.desk.first_slot)

    def refused(self, proposal: Proposal, reason: str) -> None:
        """``proposal`` gets a nil prepare for ``reason``."""
        effects = self.desk.hear(self.first, proposal)
        self.assertEqual(votes_in(effects), [NIL])
        (signal,) = signals_in(effects, events.ProposalRefused)
        assert isinstance(signal, events.ProposalRefused)
        self.assertEqual(signal.reason, reason)

    def prepared(self, proposal: Proposal) -> None:
        effects = self.desk.hear(self.first, proposal)
        self.assertEqual(votes_in(effects), [proposal.block.hash])

    def forged(self, proposal: Proposal, reason: str) -> None:
        """``proposal`` is charged to its sender and changes nothing."""
        before = self.desk.view
        effects = self.desk.hear(3, proposal)
        self.assertEqual(blames_in(effects), [(peer(3), f"proposal: {reason}")])
        self.assertEqual(votes_in(effects), [])
        self.assertEqual(self.desk.view, before)


class Timestamps(Case):
    def test_above_the_parents(self) -> None:
        parent_ms = self.desk.chain.tip.timestamp_ms
        self.begin()
        block = self.desk.block(self.first, timestamp_ms=parent_ms)
        self.refused(self.desk.proposal(self.first, block), "timestamp not above the parent's")

    def test_one_above_is_enough(self) -> None:
        parent_ms = self.desk.chain.tip.timestamp_ms
        self.begin()
        block = self.desk.block(self.first, timestamp_ms=parent_ms + 1)
        self.prepared(self.desk.proposal(self.first, block))

    def test_fifteen_seconds_ahead_at_most(self) -> None:
        self.begin()
        late = self.desk.now_ms + params.TIMESTAMP_DRIFT_MS
        block = self.desk.block(self.first, timestamp_ms=late + 1)
        self.refused(
            self.desk.proposal(self.first, block), "timestamp too far ahead of this node's clock"
        )

    def test_fifteen_seconds_are_allowed(self) -> None:
        self.begin()
        late = self.desk.now_ms + params.TIMESTAMP_DRIFT_MS
        self.prepared(
            self.desk.proposal(self.first, self.desk.block(self.first, timestamp_ms=late))
        )

    def test_one_that_comes_early_is_judged_when_the_round_starts(self) -> None:
        """Too far ahead on arrival, no longer so at the round's start."""
        self.desk.start(1, 2, 3)
        ahead = self.desk.now_ms + TIMING.collection_delay_ms + params.TIMESTAMP_DRIFT_MS
        block = self.desk.block(self.first, timestamp_ms=ahead)
        effects = self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(votes_in(effects), [])
        effects = self.desk.collect(self.desk.first_slot)
        self.assertEqual(votes_in(effects), [block.hash])


class Slots(Case):
    def test_more_than_fifteen_seconds_early_is_dropped(self) -> None:
        slot = self.desk.first_slot
        start_ms = slot * SLOT_MS
        for early_ms, kept in ((params.SLOT_EARLY_MS + 1, False), (params.SLOT_EARLY_MS, True)):
            desk = Desk()
            desk.first_slot = slot
            desk.now_ms = start_ms - early_ms
            desk.start()
            block = desk.block(self.first, timestamp_ms=start_ms)
            effects = desk.hear(self.first, desk.proposal(self.first, block))
            self.assertEqual(blames_in(effects), [])
            desk.now_ms = start_ms
            desk.do(TimerFired(("slot", 1)))
            for index in (1, 2, 3):
                desk.hear(index, desk.candidate(index))
            effects = desk.collect(slot)
            self.assertEqual(votes_in(effects), [block.hash] if kept else [])


class Objections(Case):
    def test_inclusion_is_judged_at_the_earlier_of_round_start_and_arrival(self) -> None:
        self.begin()
        start_ms = self.desk.now_ms
        self.desk.now_ms += 700
        self.prepared(self.desk.proposal(self.first, self.desk.block(self.first)))
        self.assertEqual(self.desk.archive.asked, [(0, start_ms, start_ms + 700)])

    def test_an_early_one_at_its_arrival(self) -> None:
        self.desk.start(1, 2, 3)
        arrived_ms = self.desk.now_ms
        block = self.desk.block(self.first)
        self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.desk.collect(self.desk.first_slot)
        start_ms = arrived_ms + TIMING.collection_delay_ms
        self.assertEqual(self.desk.archive.asked, [(0, arrived_ms, start_ms)])

    def test_the_refuser_sends_what_is_missing(self) -> None:
        self.begin()
        hint = payment(5)
        self.desk.archive.object_to = lambda block: FakeObjection("leaves one out", (hint,))
        proposal = self.desk.proposal(self.first, self.desk.block(self.first))
        effects = self.desk.hear(self.first, proposal)
        self.assertEqual(votes_in(effects), [NIL])
        self.assertEqual(sends_in(effects), [(peer(self.first), hint)])
        self.assertEqual(blames_in(effects), [])

    def test_a_removal_that_this_node_sees_otherwise_is_refused_with_what_it_saw(self) -> None:
        self.begin()
        self.desk.membership.refused = (b"removal",)
        block = self.desk.block(self.first, avs_changes=(b"removal",))
        effects = self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(votes_in(effects), [NIL])
        self.assertEqual(sends_in(effects), [(peer(self.first), GetTransactions(()))])

    def test_other_changes_of_the_set_are_prepared(self) -> None:
        self.begin()
        self.desk.membership.refused = (b"removal",)
        block = self.desk.block(self.first, avs_changes=(b"join",))
        effects = self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(votes_in(effects), [block.hash])

    def test_not_asked_for_a_block_with_a_prepare_quorum(self) -> None:
        self.begin()
        self.desk.archive.object_to = lambda block: FakeObjection("never")
        block = self.desk.block(self.first, timestamp_ms=self.desk.chain.tip.timestamp_ms)
        self.desk.expire(Timeout.PROPOSE)
        for index in (1, 2, 3):
            self.desk.hear(index, self.desk.vote(index, NIL, VoteKind.PRECOMMIT))
        self.desk.expire(Timeout.PRECOMMIT)
        self.assertEqual(self.desk.view.round, 1)
        second = self.desk.ranking()[1]
        quorum = self.desk.quorum(block.hash)
        effects = self.desk.hear(second, self.desk.proposal(second, block, round_=1, quorum=quorum))
        self.assertEqual(votes_in(effects), [block.hash])
        self.assertEqual(self.desk.archive.asked, [])

    def test_resolutions_are_banned_in_the_write_of_the_vote(self) -> None:
        self.begin()
        first = self.desk.candidate(self.first)
        archive = self.desk.archive
        resolution = Resolution(payment(1).txid, bytes(36), payment(2))
        archive.resolutions = (resolution,)
        contents = archive.contents(0, 10, 10)
        block = self.desk.chain.assemble(
            contents, first.slot, 0, first.pubkey, first.vrf_proof, self.desk.now_ms
        ).block
        effects = self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(archive.banned, [block.hash])
        records = [e for e in effects if isinstance(e, Record)]
        self.assertIn(Record("bans", block.hash, b"\x01"), records)
        self.assertTrue(any(r.key[:1] == b"v" and r.durable for r in records))

    def test_no_ban_for_a_block_that_is_refused(self) -> None:
        self.begin()
        first = self.desk.candidate(self.first)
        archive = self.desk.archive
        archive.resolutions = (Resolution(payment(1).txid, bytes(36), payment(2)),)
        archive.object_to = lambda block: FakeObjection("against a stored certificate")
        contents = archive.contents(0, 10, 10)
        block = self.desk.chain.assemble(
            contents, first.slot, 0, first.pubkey, first.vrf_proof, self.desk.now_ms
        ).block
        self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(archive.banned, [])


class Turns(Case):
    def test_out_of_turn_waits_for_its_turn_or_the_time_out(self) -> None:
        self.begin()
        other = next(index for index in (1, 2, 3) if index != self.first)
        effects = self.desk.hear(other, self.desk.proposal(other, self.desk.block(other)))
        self.assertEqual(votes_in(effects), [])
        self.assertEqual(blames_in(effects), [])
        self.assertEqual(votes_in(self.desk.expire(Timeout.PROPOSE)), [NIL])

    def test_a_candidate_that_arrives_later_gives_the_turn(self) -> None:
        """Round 1 is the second's of all four, but another's of the three known first."""
        self.begin(*(index for index in (1, 2, 3) if index != self.first))
        self.desk.expire(Timeout.PROPOSE)
        for index in (1, 2, 3):
            self.desk.hear(index, self.desk.vote(index, NIL, VoteKind.PRECOMMIT))
        self.desk.expire(Timeout.PRECOMMIT)
        ranking = self.desk.ranking()
        known = [index for index in ranking if index != self.first]
        self.assertEqual(self.desk.view.round, 1)
        proposal = self.desk.proposal(
            ranking[1], self.desk.block(ranking[1], round_=1), round_=1, candidates=known
        )
        effects = self.desk.hear(ranking[1], proposal)
        self.assertEqual(votes_in(effects), [])
        effects = self.desk.hear(self.first, self.desk.candidate(self.first))
        self.assertEqual(votes_in(effects), [proposal.block.hash])

    def test_a_quorum_for_a_block_out_of_turn_is_followed(self) -> None:
        self.begin()
        other = next(index for index in (1, 2, 3) if index != self.first)
        block = self.desk.block(other)
        self.desk.hear(other, self.desk.proposal(other, block))
        self.desk.expire(Timeout.PROPOSE)
        for index in (1, 2, 3):
            effects = self.desk.hear(index, self.desk.vote(index, block.hash))
        self.assertEqual(votes_in(effects, VoteKind.PRECOMMIT), [block.hash])


class Bodies(Case):
    def test_missing_ones_are_fetched_before_the_vote(self) -> None:
        self.begin()
        transactions = [payment(number) for number in range(3)]
        block = self.desk.block(self.first, transactions=transactions)
        effects = self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(votes_in(effects), [])
        (wanted,) = signals_in(effects, BodiesWanted)
        assert isinstance(wanted, BodiesWanted)
        self.assertEqual(set(wanted.wtxids), {tx.wtxid for tx in transactions})
        self.assertEqual(wanted.peers[0], peer(self.first))
        for transaction in transactions[:2]:
            self.desk.bodies[transaction.wtxid] = transaction
        effects = self.desk.do(BodiesFetched(()))
        self.assertEqual(votes_in(effects), [])
        self.assertEqual(signals_in(effects, BodiesWanted), [])
        self.desk.bodies[transactions[2].wtxid] = transactions[2]
        effects = self.desk.do(BodiesFetched(()))
        self.assertEqual(votes_in(effects), [block.hash])

    def test_those_of_rounds_long_past_are_wanted_no_more(self) -> None:
        self.begin()
        block = self.desk.block(self.first, transactions=[payment(1)])
        self.desk.hear(self.first, self.desk.proposal(self.first, block))
        for round_, wanted in ((1, 1), (2, 0)):
            for index in (1, 2, 3):
                self.desk.hear(index, self.desk.vote(index, NIL, VoteKind.PRECOMMIT, round_))
            effects = self.desk.do(TimerFired(("retransmit", 1)))
            self.assertEqual(len(signals_in(effects, BodiesWanted)), wanted)

    def test_none_come_in_time(self) -> None:
        self.begin()
        block = self.desk.block(self.first, transactions=[payment(1)])
        self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(votes_in(self.desk.expire(Timeout.PROPOSE)), [NIL])

    def test_a_decided_block_waits_for_its_bodies(self) -> None:
        self.begin()
        transaction = payment(1)
        block = self.desk.block(self.first, transactions=[transaction])
        self.desk.hear(self.first, self.desk.proposal(self.first, block))
        for index in (1, 2, 3):
            effects = self.desk.hear(index, self.desk.vote(index, block.hash, VoteKind.PRECOMMIT))
        self.assertEqual(signals_in(effects, events.Decided), [])
        self.desk.bodies[transaction.wtxid] = transaction
        effects = self.desk.do(BodiesFetched((transaction.wtxid,)))
        (decided,) = signals_in(effects, events.Decided)
        assert isinstance(decided, events.Decided)
        self.assertEqual(decided.checked.block, block)
        self.assertEqual(decided.certificate.block_hash, block.hash)


class Rules(Case):
    def test_a_broken_rule_is_refused_and_charged_to_the_proposer(self) -> None:
        self.begin()
        bad = payment(1, valid=False)
        self.desk.bodies[bad.wtxid] = bad
        block = self.desk.block(self.first, transactions=[bad])
        effects = self.desk.hear(self.first, self.desk.proposal(self.first, block))
        self.assertEqual(votes_in(effects), [NIL])
        reason = "bad-txns: a transaction is invalid"
        self.assertEqual(blames_in(effects), [(peer(self.first), reason)])

    def test_a_quorum_does_not_make_it_right(self) -> None:
        self.begin()
        bad = payment(1, valid=False)
        self.desk.bodies[bad.wtxid] = bad
        block = self.desk.block(self.first, transactions=[bad])
        self.desk.hear(self.first, self.desk.proposal(self.first, block))
        for kind in (VoteKind.PREPARE, VoteKind.PRECOMMIT):
            for index in (1, 2, 3):
                self.desk.hear(index, self.desk.vote(index, block.hash, kind))
        self.assertEqual(votes_in(self.desk.effects, VoteKind.PRECOMMIT), [])
        self.assertEqual(signals_in(self.desk.effects, events.Decided), [])


class Forged(Case):
    def setUp(self) -> None:
        super().setUp()
        self.begin()
        self.good = self.desk.proposal(self.first, self.desk.block(self.first))

    def test_signature(self) -> None:
        self.forged(msgspec.structs.replace(self.good, signature=bytes(64)), "bad signature")
        self.prepared(self.good)

    def test_another_block_under_the_signature(self) -> None:
        block = self.desk.block(self.first, timestamp_ms=self.desk.now_ms + 1)
        self.forged(msgspec.structs.replace(self.good, block=block), "bad signature")

    def test_body_of_another_block_blames_the_sender_not_the_hash(self) -> None:
        other = self.desk.block(self.first, transactions=[payment(1)])
        block = Block(self.good.block.header, other.body)
        self.forged(
            msgspec.structs.replace(self.good, block=block),
            "the entries do not match the header",
        )
        self.prepared(self.good)

    def test_parent(self) -> None:
        header = msgspec.structs.replace(self.good.block.header, prev_hash=bytes(32))
        block = Block(header, self.good.block.body)
        self.forged(self.desk.proposal(self.first, block), "does not follow the final tip")

    def test_height_of_the_header(self) -> None:
        header = msgspec.structs.replace(self.good.block.header, height=2)
        block = Block(header, self.good.block.body)
        self.forged(self.desk.proposal(self.first, block), "another height")

    def test_names_in_the_header(self) -> None:
        reason = "the header names another producer, round or slot"
        other = next(index for index in (1, 2, 3) if index != self.first)
        self.forged(self.desk.proposal(other, self.good.block), reason)
        block = self.desk.block(self.first, round_=1)
        self.forged(self.desk.proposal(self.first, block), reason)

    def test_vrf_proof(self) -> None:
        header = msgspec.structs.replace(self.good.block.header, vrf_proof=bytes(80))
        block = Block(header, self.good.block.body)
        self.forged(self.desk.proposal(self.first, block), "another VRF proof than the candidate's")

    def test_prepare_quorum(self) -> None:
        block = self.good.block
        good = self.desk.quorum(block.hash)
        few = self.desk.quorum(block.hash, voters=(1, 2))
        precommits = self.desk.quorum(block.hash, kind=VoteKind.PRECOMMIT)
        earliest = min(signing_key(index).public for index in (1, 2, 3))
        other_block = msgspec.structs.replace(good, block_hash=bytes(32))
        for quorum, reason in (
            (few, "prepare quorum: no quorum of block votes"),
            (precommits, f"prepare quorum: bad signature of {earliest.hex()}"),
            (other_block, "a prepare quorum of something else"),
        ):
            self.forged(self.desk.proposal(self.first, block, round_=1, quorum=quorum), reason)
        late = self.desk.quorum(block.hash, round_=1)
        self.forged(
            self.desk.proposal(self.first, block, round_=1, quorum=late), "rounds out of order"
        )
        fresh = msgspec.structs.replace(self.good, prepare_quorum=good)
        self.forged(fresh, "a fresh block with a prepare quorum")
        repeated = self.desk.proposal(self.first, block, round_=1, quorum=good)
        self.forged(
            msgspec.structs.replace(repeated, prepare_quorum=None),
            "a repeated block without its prepare quorum",
        )

    def test_of_one_who_is_no_member(self) -> None:
        stranger = signing_key(77)
        proposal = msgspec.structs.replace(self.good, proposer=stranger.public)
        self.forged(proposal, "the header names another producer, round or slot")


class ForgedCandidates(Case):
    def test_are_charged_to_the_sender(self) -> None:
        self.desk.start()  # no candidate is known but validator 0's own, which is not in turn
        other = next(index for index in (1, 2, 3) if index != self.first)
        good = self.desk.proposal(self.first, self.desk.block(self.first))
        bad = msgspec.structs.replace(self.desk.candidate(other), signature=bytes(64))
        stale = self.desk.candidate(other, self.desk.first_slot - 1)
        for candidates, reason in (
            ((bad,), "candidate: bad signature of a candidate"),
            ((stale,), "candidate of another slot"),
            ((), "the proposer is no candidate"),
        ):
            self.forged(msgspec.structs.replace(good, candidates=candidates), reason)
        self.desk.hear(self.first, good)
        self.assertEqual(votes_in(self.desk.collect(self.desk.first_slot)), [good.block.hash])
