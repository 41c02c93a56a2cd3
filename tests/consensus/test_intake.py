"""Bad, early and doubled messages: charged, kept a little, reported; never obeyed."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.desk import Desk, blames_in, peer, signals_in
from tests.consensus.fakes import signing_key, verify
from timecoin.consensus import early, events
from timecoin.consensus.messages import CandidateMessage, Votes, candidate_statement
from timecoin.machine import NewTip
from timecoin.quorum.evidence import check_evidence
from timecoin.quorum.statement import NIL, VoteKind
from timecoin.signal import Signal

PREPARE, PRECOMMIT = VoteKind.PREPARE, VoteKind.PRECOMMIT


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
        block, later = desk.block(1), Desk()
        later.chain.commit(block, desk.quorum(block.hash, kind=PRECOMMIT))
        votes = [later.vote(index, NIL, PREPARE, 4) for index in (1, 2)]
        for index, vote in zip((1, 2), votes, strict=True):
            self.assertEqual(desk.hear(index, vote), [])
        desk.chain.commit(block, desk.quorum(block.hash, kind=PRECOMMIT))
        desk.do(NewTip())
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

    def test_two_proposals_of_one_member_are_evidence_and_a_third_is_ignored(self) -> None:
        desk = self.desk
        made = [
            desk.proposal(1, desk.block(1, timestamp_ms=desk.now_ms + number))
            for number in range(3)
        ]
        seen = []
        for proposal in [*made, *made]:
            effects = desk.hear(1, proposal)
            seen += signals_in(effects, events.Equivocation)
            self.assertEqual(blames_in(effects), [])
        self.assertEqual(seen, [events.Equivocation(made[0], made[1])])
        self.assertEqual(self.proved(seen[0]), (made[0].proposer, "double-proposal"))

    def proved(self, signal: Signal) -> tuple[bytes, str]:
        """What the evidence of an equivocation proves, by the rules of evidence themselves."""
        assert isinstance(signal, events.Equivocation)
        evidence = signal.evidence()
        assert evidence is not None
        chain = self.desk.chain
        offence = check_evidence(evidence, chain, chain.genesis.chain_id, verify)
        self.assertEqual(offence.height, 1)
        return offence.signer, evidence.offence

    def test_votes_become_evidence(self) -> None:
        for kind in (VoteKind.PREPARE, VoteKind.PRECOMMIT):
            first = self.desk.vote(1, NIL, kind)
            second = self.desk.vote(1, b"\x07" * 32, kind)
            self.desk.hear(1, first)
            (signal,) = signals_in(self.desk.hear(2, second), events.Equivocation)
            self.assertEqual(
                self.proved(signal), (signing_key(1).public, f"double-{kind.name.lower()}")
            )

    def test_one_block_proposed_for_two_slots_is_no_evidence(self) -> None:
        made = self.desk.proposal(1, self.desk.block(1))
        again = msgspec.structs.replace(made, slot=made.slot + 1)
        self.assertIsNone(events.Equivocation(made, again).evidence())

    def test_proposals_of_rounds_far_ahead_are_dropped(self) -> None:
        desk = self.desk
        block = desk.block(1, round_=9)
        forged = msgspec.structs.replace(desk.proposal(1, block, 9), signature=bytes(64))
        self.assertEqual(desk.hear(1, forged), [])

    def test_before_start_nothing_is_taken(self) -> None:
        desk = Desk()
        self.assertEqual(desk.hear(1, desk.vote(1, NIL)), [])
        self.assertIsNone(desk.machine.view())
