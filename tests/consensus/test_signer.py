"""The signer: one signature a position, in one direction, across restarts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.fakes import signing_key, verify
from timecoin.consensus.messages import BlockVote
from timecoin.consensus.signer import Signer, position_of
from timecoin.quorum.statement import VoteKind

A, B = b"\x0a" * 32, b"\x0b" * 32
Asked = tuple[VoteKind, int, int, bytes]
asked = st.tuples(
    st.sampled_from(VoteKind), st.integers(0, 3), st.integers(0, 3), st.sampled_from([A, B])
)


def sign(
    signer: Signer, kind: VoteKind, height: int, round_: int, block: bytes
) -> BlockVote | None:
    return signer.sign(kind, height, round_, block, bytes([kind, height, round_]) + block)


class Once(SynchronousTestCase):
    def test_signs_and_remembers(self) -> None:
        signer = Signer(signing_key(0))
        vote = sign(signer, VoteKind.PREPARE, 1, 0, A)
        assert vote is not None
        self.assertTrue(verify(signer.public, bytes([1, 1, 0]) + A, vote.signature))
        self.assertEqual(sign(signer, VoteKind.PREPARE, 1, 0, B), vote)
        self.assertEqual(signer.signed(1, 0, VoteKind.PREPARE), vote)
        self.assertEqual(signer.votes_at(1), (vote,))

    def test_never_goes_back(self) -> None:
        signer = Signer(signing_key(0))
        self.assertIsNotNone(sign(signer, VoteKind.PRECOMMIT, 2, 5, A))
        for position in (
            (VoteKind.PREPARE, 2, 5),
            (VoteKind.PRECOMMIT, 2, 4),
            (VoteKind.PRECOMMIT, 1, 9),
        ):
            self.assertIsNone(sign(signer, *position, A))
        self.assertIsNotNone(sign(signer, VoteKind.PROPOSAL, 2, 6, A))

    def test_forgets_votes_but_not_the_position(self) -> None:
        signer = Signer(signing_key(0))
        votes = [sign(signer, VoteKind.PREPARE, height, 0, A) for height in range(5)]
        self.assertEqual(list(signer.forget_before(5)), votes)
        self.assertEqual(signer.votes_at(4), ())
        self.assertIsNone(sign(signer, VoteKind.PREPARE, 3, 0, B))

    def test_refuses_the_journal_of_another_key(self) -> None:
        vote = sign(Signer(signing_key(1)), VoteKind.PREPARE, 1, 0, A)
        assert vote is not None
        with self.assertRaises(ValueError):
            Signer(signing_key(0)).restore([vote])

    @given(st.lists(asked, max_size=40), st.lists(st.integers(0, 40), max_size=5))
    def test_whatever_is_asked_and_whenever_it_restarts(
        self, questions: list[Asked], restarts: list[int]
    ) -> None:
        signer = Signer(signing_key(0))
        journal: dict[tuple[int, int, int], BlockVote] = {}
        last = (-1, -1, -1)
        for number, question in enumerate(questions):
            if number in restarts:
                signer = Signer(signing_key(0))
                signer.restore(journal.values())
            vote = sign(signer, *question)
            if vote is None:
                continue
            self.assertEqual(journal.setdefault(position_of(vote), vote), vote)
            last = max(last, position_of(vote))
            self.assertEqual(max(journal), last)
