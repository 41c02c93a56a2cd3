"""Which snapshots count at which height."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.quorum.members import KEYS, active_set
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.snapshots import (
    block_snapshots,
    certificate_snapshots,
    receipt_snapshots,
    voter_index,
)


class Kept:
    """One distinct snapshot a height, except where told otherwise."""

    def __init__(self, first: int, tip: int, same: dict[int, int] | None = None) -> None:
        self.sets = {
            height: active_set({0: 100 + (same or {}).get(height, height)})
            for height in range(first, tip + 1)
        }

    def active_set(self, height: int) -> ActiveSet | None:
        return self.sets.get(height)


class SnapshotTests(SynchronousTestCase):
    def test_certificates_need_five_snapshots(self) -> None:
        kept = Kept(0, 20)
        self.assertEqual(
            certificate_snapshots(kept, 10), tuple(kept.sets[height] for height in range(6, 11))
        )

    def test_receipts_need_the_tip_and_the_block_before(self) -> None:
        kept = Kept(0, 20)
        self.assertEqual(receipt_snapshots(kept, 10), (kept.sets[9], kept.sets[10]))

    def test_blocks_need_the_two_before(self) -> None:
        kept = Kept(0, 20)
        self.assertEqual(block_snapshots(kept, 10), (kept.sets[8], kept.sets[9]))

    def test_heights_below_zero_are_left_out(self) -> None:
        kept = Kept(0, 20)
        self.assertEqual(certificate_snapshots(kept, 0), (kept.sets[0],))
        self.assertEqual(certificate_snapshots(kept, 2), tuple(kept.sets[h] for h in range(3)))
        self.assertEqual(receipt_snapshots(kept, 0), (kept.sets[0],))
        self.assertEqual(block_snapshots(kept, 1), (kept.sets[0],))

    def test_equal_snapshots_count_once(self) -> None:
        kept = Kept(0, 20, same={8: 7, 9: 7, 10: 7})
        self.assertEqual(certificate_snapshots(kept, 10), (kept.sets[6], kept.sets[7]))

    def test_a_snapshot_that_is_not_at_hand(self) -> None:
        kept = Kept(5, 20)
        self.assertIsNone(certificate_snapshots(kept, 8))
        self.assertIsNotNone(certificate_snapshots(kept, 9))
        self.assertIsNone(certificate_snapshots(kept, 21))
        self.assertIsNone(receipt_snapshots(kept, 21))
        self.assertIsNone(block_snapshots(kept, 22))


class VoterIndexTests(SynchronousTestCase):
    def test_sorted_union_of_the_staked(self) -> None:
        old = active_set({4: 100, 1: 100}, free=[0])
        new = active_set({2: 100, 1: 5})
        self.assertEqual(voter_index([old, new]), tuple(KEYS[index].public for index in (1, 2, 4)))
        self.assertEqual(voter_index([new, old]), voter_index([old, new]))
        self.assertEqual(voter_index([]), ())
