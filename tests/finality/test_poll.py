"""What a poll certifies is what everybody else finds certified in its certificate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import CHAIN_ID, genesis_coin, key_of, make_set, pay
from timecoin.crypto.keys import verify
from timecoin.finality.messages import VoteReply
from timecoin.finality.poll import Poll
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.certificate import CertificateError, check_batch_certificate
from timecoin.quorum.statement import vote_statement

KEYS = [key_of(f"voter {index}") for index in range(5)]
BATCH = tuple(pay([genesis_coin(index)]) for index in range(3))

Weights = list[int]
Ballots = list[list[int] | None]


def make_poll(weights: list[Weights], ballots: Ballots) -> Poll:
    """A poll under one snapshot for each list of weights (0: no member there), with the votes of
    the keys that have a ballot: the leaves that they reject."""
    snapshots = {}
    for row in weights:
        members = [(key, weight) for key, weight in zip(KEYS, row, strict=True) if weight]
        snapshot = make_set(members)
        snapshots[snapshot.root] = snapshot
    poll = Poll(7, BATCH, tuple(snapshots.values()), ())
    known = {pubkey for snapshot in poll.snapshots for pubkey in snapshot.weights}
    for key, rejected in zip(KEYS, ballots, strict=True):
        if rejected is None or key.public not in known:
            continue
        bitmap = make_bitmap(len(BATCH), rejected)
        statement = vote_statement(CHAIN_ID, 7, poll.root, len(BATCH), bitmap)
        poll.add(key.public, VoteReply(bitmap, key.sign(statement)))
    return poll


_weights = st.lists(st.integers(0, 3), min_size=5, max_size=5).filter(any)
_ballots = st.lists(
    st.none() | st.lists(st.integers(0, 2), max_size=3, unique=True), min_size=5, max_size=5
)


class PollTests(SynchronousTestCase):
    @given(st.lists(_weights, min_size=1, max_size=2), _ballots)
    def test_agrees_with_the_check_of_certificates(
        self, weights: list[Weights], ballots: Ballots
    ) -> None:
        poll = make_poll(weights, ballots)
        try:
            found = check_batch_certificate(poll.certificate(), poll.snapshots, CHAIN_ID, verify)
        except CertificateError:
            found = ()
        self.assertEqual(poll.certified(), found)

    @given(st.lists(_weights, min_size=1, max_size=2), _ballots, _ballots)
    def test_settled_means_that_no_vote_changes_anything(
        self, weights: list[Weights], ballots: Ballots, rest: Ballots
    ) -> None:
        before = make_poll(weights, ballots)
        if not before.is_settled:
            return
        late = [
            first if first is not None else then for first, then in zip(ballots, rest, strict=True)
        ]
        self.assertEqual(make_poll(weights, late).certified(), before.certified())

    def test_rejections_are_not_votes(self) -> None:
        poll = make_poll([[1, 1, 1, 0, 0]], [[], [1], [], None, None])
        self.assertEqual(poll.certified(), (0, 1, 2))  # two of three for leaf 1 are a quorum
        poll = make_poll([[1, 1, 1, 0, 0]], [[], [1], [1], None, None])
        self.assertEqual(poll.certified(), (0, 2))
        self.assertTrue(poll.is_settled)

    def test_hopeless_leaf_does_not_hold_up_the_others(self) -> None:
        poll = make_poll([[1, 1, 1, 1, 0]], [[], [1], [1], None, None])
        self.assertTrue(poll.is_settled)  # 0 and 2 have three of four; 1 can have two at most
        poll = make_poll([[1, 1, 1, 1, 0]], [[], [1], None, None, None])
        self.assertFalse(poll.is_settled)
        poll = make_poll([[1, 1, 1, 1, 0]], [[], [1], [1], [], None])
        self.assertTrue(poll.is_settled)
        self.assertEqual(poll.certified(), (0, 2))
