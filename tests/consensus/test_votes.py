"""Tallies: weights from snapshots, one vote a member, bounded rounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.fakes import make_genesis, signing_key, verify
from timecoin.consensus.messages import BlockVote, vote_statement
from timecoin.consensus.votes import (
    FUTURE_ROUNDS_PER_VOTER,
    PAST_ROUNDS_KEPT,
    VoteBook,
)
from timecoin.masternodes.active_set import ActiveSet, genesis_set
from timecoin.quorum.certificate import check_precommit_certificate, check_prepare_quorum
from timecoin.quorum.statement import NIL, VoteKind

CHAIN_ID = bytes(12)
BLOCK, OTHER = b"\x01" * 32, b"\x02" * 32
PREPARE, PRECOMMIT = VoteKind.PREPARE, VoteKind.PRECOMMIT


def ballot(
    index: int,
    block_hash: bytes = BLOCK,
    kind: VoteKind = PREPARE,
    round_: int = 0,
    height: int = 1,
    chain_id: bytes = CHAIN_ID,
) -> BlockVote:
    unsigned = BlockVote(kind, height, round_, block_hash, signing_key(index).public, bytes(64))
    signature = signing_key(index).sign(vote_statement(chain_id, unsigned))
    return BlockVote(kind, height, round_, block_hash, unsigned.voter, signature)


def book(weights: list[int], before: list[int] | None = None) -> VoteBook:
    """``weights``: avs(h-1); ``before``: avs(h-2), the same unless given. 0 is no member."""
    newest = subset(weights)
    snapshots = (newest,) if before is None else (subset(before), newest)
    return VoteBook(1, snapshots, newest)


def subset(weights: list[int]) -> ActiveSet:
    members = genesis_set(make_genesis(weights)).members
    return ActiveSet(tuple(member for member in members if member.weight))


class Quorums(SynchronousTestCase):
    def test_two_thirds_of_the_weight(self) -> None:
        votes = book([100] * 3)
        votes.add(ballot(0), 0)
        self.assertIsNone(votes.quorum(0, PREPARE))
        votes.add(ballot(1), 0)
        self.assertEqual(votes.quorum(0, PREPARE), BLOCK)
        self.assertIsNone(votes.quorum(0, PRECOMMIT))
        self.assertIsNone(votes.quorum(1, PREPARE))

    def test_one_unit_below_is_none(self) -> None:
        votes = book([66, 67, 67])
        votes.add(ballot(1), 0)
        votes.add(ballot(0), 0)
        self.assertIsNone(votes.quorum(0, PREPARE))
        votes = book([66, 67, 67])
        votes.add(ballot(1), 0)
        votes.add(ballot(2), 0)
        self.assertEqual(votes.quorum(0, PREPARE), BLOCK)

    def test_is_demanded_in_each_snapshot(self) -> None:
        # Node 3 has left: it counts in avs(h-2) alone.
        votes = book([100, 100, 100, 0], before=[100, 100, 100, 300])
        for index in range(3):
            votes.add(ballot(index), 0)
        self.assertIsNone(votes.quorum(0, PREPARE))
        votes.add(ballot(3), 0)
        self.assertEqual(votes.quorum(0, PREPARE), BLOCK)
        self.assertEqual(votes.weight(0, PREPARE, BLOCK), 300)

    def test_of_differing_votes_together(self) -> None:
        votes = book([100] * 3)
        votes.add(ballot(0), 0)
        votes.add(ballot(1, NIL), 0)
        self.assertTrue(votes.any_quorum(0, PREPARE))
        self.assertIsNone(votes.quorum(0, PREPARE))
        votes.add(ballot(2, NIL), 0)
        self.assertEqual(votes.quorum(0, PREPARE), NIL)
        self.assertEqual(votes.blocks_with_quorum(PREPARE), [])
        self.assertEqual(votes.top_weight(0, PREPARE), 100)

    def test_certificates_verify(self) -> None:
        votes = book([100, 0, 100, 100], before=[100, 100, 100, 100])
        snapshots = (subset([100] * 4), subset([100, 0, 100, 100]))
        for kind, check in (
            (PREPARE, check_prepare_quorum),
            (PRECOMMIT, check_precommit_certificate),
        ):
            for index in (3, 0, 2):
                votes.add(ballot(index, kind=kind, round_=2), 2)
            votes.add(ballot(1, OTHER, kind=kind, round_=2), 2)
            certificate = votes.certificate(2, kind, BLOCK)
            self.assertEqual((certificate.height, certificate.round), (1, 2))
            self.assertEqual(len(certificate.signatures), 3)
            check(certificate, snapshots, CHAIN_ID, verify)
            self.assertEqual(votes.blocks_with_quorum(kind), [(2, BLOCK)])

    @given(
        st.lists(st.integers(1, 50), min_size=1, max_size=6),
        st.lists(st.tuples(st.integers(0, 5), st.sampled_from([BLOCK, OTHER, NIL])), max_size=20),
    )
    def test_first_votes_alone_count(
        self, weights: list[int], cast: list[tuple[int, bytes]]
    ) -> None:
        votes = book(weights)
        first: dict[int, bytes] = {}
        for voter, block_hash in cast:
            if voter < len(weights):
                vote = ballot(voter, block_hash)
                if votes.wants(vote, 0):
                    known = votes.add(vote, 0)
                    self.assertEqual(known is not None, voter in first)
                first.setdefault(voter, block_hash)
        for block_hash in (BLOCK, OTHER, NIL):
            weight = sum(weights[voter] for voter, found in first.items() if found == block_hash)
            self.assertEqual(votes.weight(0, PREPARE, block_hash), weight)
            reached = 3 * weight >= 2 * sum(weights)
            self.assertEqual(votes.quorum(0, PREPARE) == block_hash, reached)


class Equivocation(SynchronousTestCase):
    def test_the_second_vote_is_evidence_once_and_counts_nothing(self) -> None:
        votes = book([100] * 3)
        first, second = ballot(0), ballot(0, OTHER)
        self.assertIsNone(votes.add(first, 0))
        self.assertTrue(votes.wants(second, 0))
        self.assertEqual(votes.add(second, 0), first)
        self.assertFalse(votes.wants(second, 0))
        self.assertFalse(votes.wants(ballot(0, NIL), 0))
        self.assertEqual(votes.weight(0, PREPARE, OTHER), 0)
        self.assertEqual(votes.weight(0, PREPARE, BLOCK), 100)

    def test_the_same_vote_again_is_not_wanted(self) -> None:
        votes = book([100] * 3)
        votes.add(ballot(0), 0)
        self.assertFalse(votes.wants(ballot(0), 0))
        self.assertTrue(votes.wants(ballot(0, kind=PRECOMMIT), 0))


class Rounds(SynchronousTestCase):
    def test_more_than_a_third_ahead(self) -> None:
        votes = book([100] * 3)
        votes.add(ballot(0, NIL, round_=4), 0)
        self.assertIsNone(votes.round_ahead(0))  # just a third is not more
        votes.add(ballot(1, NIL, round_=3), 0)
        self.assertEqual(votes.round_ahead(0), 3)
        self.assertIsNone(votes.round_ahead(3))

    def test_weight_that_has_left_does_not_pull_ahead(self) -> None:
        votes = book([100, 100, 100, 0], before=[100, 100, 100, 300])
        votes.add(ballot(3, NIL, round_=4), 0)
        self.assertIsNone(votes.round_ahead(0))

    def test_few_future_rounds_of_a_voter_are_kept(self) -> None:
        votes = book([100] * 4)
        for round_ in range(1, 50):
            vote = ballot(0, NIL, round_=round_)
            self.assertTrue(votes.wants(vote, 0))
            votes.add(vote, 0)
        kept = [vote.round for vote in votes.since(0)]
        self.assertEqual(kept, list(range(50 - FUTURE_ROUNDS_PER_VOTER, 50)))
        self.assertFalse(votes.wants(ballot(0, NIL, round_=3), 0))
        votes.add(ballot(1, NIL, round_=49), 0)
        self.assertEqual(votes.round_ahead(0), 49)

    def test_who_stays_when_a_vote_is_dropped_is_counted_once(self) -> None:
        votes = book([100] * 4)
        votes.add(ballot(1, NIL, round_=1), 0)
        for round_ in range(1, FUTURE_ROUNDS_PER_VOTER + 2):
            votes.add(ballot(0, NIL, round_=round_), 0)
        self.assertEqual([vote.voter for vote in votes.since(0)].count(signing_key(1).public), 1)
        votes.add(ballot(2, NIL, round_=1), 0)
        self.assertIsNone(votes.quorum(1, PREPARE), "two of four")
        self.assertFalse(votes.any_quorum(1, PREPARE))
        votes.add(ballot(3, NIL, round_=1), 0)
        self.assertEqual(votes.quorum(1, PREPARE), NIL)

    def test_old_rounds_are_forgotten(self) -> None:
        votes = book([100] * 4)
        votes.add(ballot(0), 0)
        votes.enter(PAST_ROUNDS_KEPT + 1)
        self.assertEqual(votes.since(0), [])
        self.assertFalse(votes.wants(ballot(1), PAST_ROUNDS_KEPT + 1))
