"""Scores, bans and their end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import CodecError
from timecoin.p2p.reputation import (
    BAN_SCORE,
    DECAY_MS_PER_POINT,
    MAX_RECORDS,
    MAX_SCORE,
    MIN_SCORE,
    Reputation,
)

PEER = b"\x01" * 32


class ReputationTests(SynchronousTestCase):
    """One table."""

    def setUp(self) -> None:
        """Nobody is known."""
        self.reputation = Reputation()

    def test_stranger(self) -> None:
        """Nothing is known of an unknown peer."""
        self.assertEqual(self.reputation.score(PEER, 0), 0)

    def test_ban_at_fifty(self) -> None:
        """At -49 not yet, at -50 yes."""
        self.assertFalse(self.reputation.charge(PEER, -BAN_SCORE - 1, 0))
        self.assertTrue(self.reputation.charge(PEER, 1, 0))

    def test_nobody_else_is_charged(self) -> None:
        """A score is of one key."""
        self.reputation.charge(PEER, 100, 0)
        self.assertEqual(self.reputation.score(b"\x02" * 32, 0), 0)

    def test_merit(self) -> None:
        """Grows to 100, fades, pays for no fault, and mends none."""
        for _ in range(3):
            self.reputation.praise(PEER, 40, 0)
        self.assertEqual(self.reputation.score(PEER, 0), MAX_SCORE)
        self.assertEqual(self.reputation.score(PEER, DECAY_MS_PER_POINT), MAX_SCORE - 1)
        self.assertTrue(self.reputation.charge(PEER, -BAN_SCORE, DECAY_MS_PER_POINT))
        self.reputation.praise(PEER, 10, DECAY_MS_PER_POINT)
        self.assertEqual(self.reputation.score(PEER, DECAY_MS_PER_POINT), BAN_SCORE)
        self.assertEqual(self.reputation.score(PEER, DECAY_MS_PER_POINT * 1_000), 0)

    def test_forgiven(self) -> None:
        """As if it had never been."""
        self.reputation.charge(PEER, 40, 0)
        self.reputation.forgive(PEER)
        self.assertEqual(self.reputation.score(PEER, 0), 0)
        self.assertIsNone(self.reputation.row(PEER))

    def test_at_rest(self) -> None:
        """A score goes on where it stood; rubbish is refused."""
        self.reputation.charge(PEER, 30, 1_000)
        row = self.reputation.row(PEER)
        assert row is not None
        again = Reputation()
        again.restore(PEER, row)
        self.assertEqual(again.score(PEER, 1_000), -30)
        self.assertTrue(again.charge(PEER, 20, 1_000))
        self.assertRaises(CodecError, again.restore, PEER, b"rubbish")

    def test_score_is_bounded(self) -> None:
        """Not below -100, however often."""
        for _ in range(5):
            self.reputation.charge(PEER, 60, 0)
        self.assertEqual(self.reputation.score(PEER, 0), MIN_SCORE)

    def test_decay(self) -> None:
        """A point comes back at a time, whether or not new faults come between, never above 0."""
        self.reputation.charge(PEER, 10, 0)
        self.assertEqual(self.reputation.score(PEER, DECAY_MS_PER_POINT - 1), -10)
        self.assertEqual(self.reputation.score(PEER, DECAY_MS_PER_POINT), -9)
        self.reputation.charge(PEER, 1, DECAY_MS_PER_POINT * 3 // 2)
        self.assertEqual(self.reputation.score(PEER, DECAY_MS_PER_POINT * 2), -9)
        self.assertEqual(self.reputation.score(PEER, DECAY_MS_PER_POINT * 1_000), 0)

    def test_clock_that_steps_back(self) -> None:
        """Neither an error nor a present."""
        self.reputation.charge(PEER, 10, 1_000_000)
        self.assertEqual(self.reputation.score(PEER, 0), -10)

    def test_table_is_bounded(self) -> None:
        """The record that was changed longest ago is forgotten first."""
        self.reputation.charge(PEER, 60, 0)
        for number in range(MAX_RECORDS):
            self.reputation.charge(number.to_bytes(32, "big"), 1, 0)
        self.assertEqual(self.reputation.score(PEER, 0), 0)
        self.assertEqual(self.reputation.score((0).to_bytes(32, "big"), 0), -1)
