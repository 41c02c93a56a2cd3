"""F19, the long-range attack: history signed by keys that are bonded no longer.

F20, one liar among three peers, is in ``test_long_history``.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from tests.chain.membership_run import MembershipRun
from tests.sync.desk import Desk, World
from tests.sync.test_changing_set import SLOTS, history
from timecoin.chain import headers as chain_headers
from timecoin.chain.commit import Chain
from timecoin.machine import Received
from timecoin.sync.messages import TipAnnounce

FORGED_SLOTS = SLOTS + 12
CHECKPOINT = 50


@functools.cache
def forged() -> Chain:
    """Another, longer history of the same genesis: the founders have left the true one by its end,
    and sign once more what they never signed."""
    run = MembershipRun(1, 20, SLOTS // 2, audit_every=SLOTS)
    run.rng = random.Random("forger 1")
    for _ in range(FORGED_SLOTS):
        run.step(2)
    return run.chain


class LongRangeTests(SynchronousTestCase):
    """A forger with the keys of those who have left, and all the time it needs."""

    def setUp(self) -> None:
        self.net, self.chain = history().net, history().chain
        self.world = World(self.net)

    def parting(self) -> int:
        """The first height at which the two differ: those who sign there are members in both."""
        both = (self.chain.block_hash, forged().block_hash)
        return next(h for h in range(1, SLOTS) if both[0](h) != both[1](h))

    def late(self, checkpoint: int | None = None) -> Desk:
        known = None if checkpoint is None else self.chain.block_hash(checkpoint)
        trusted = None if checkpoint is None or known is None else {checkpoint: known}
        return self.world.desk("late", checkpoints=trusted)

    def link(self, late: Desk, name: str, chain: Chain) -> Desk:
        desk = self.world.desk(name, chain)
        self.world.link(late, desk)
        return desk

    def show(self, late: Desk, forger: Desk, heights: Iterable[int]) -> None:
        """The forger names blocks of its history, one after the other, and proves them."""
        forger.rewrite = lambda peer, m: None if isinstance(m, TipAnnounce) else m
        for height in heights:
            self.world.run(70_000)  # it may have to be believed again
            block_hash = forger.chain.block_hash(height)
            assert block_hash is not None
            late.deliver(Received(forger.name, TipAnnounce(height, block_hash, 1)))
        self.world.run(2_000)

    def test_f19_longer_history_without_the_checkpoint(self) -> None:
        late = self.late(CHECKPOINT)
        forger = self.link(late, "forger", forged())
        self.world.run(5_000)
        self.assertEqual(late.chain.tip_height, 0)
        self.assertEqual([blame[:2] for blame in late.blamed], [(forger.name, 50)])
        self.assertIn("checkpoint", late.blamed[0][2])
        self.link(late, "honest", self.chain)
        self.world.run(20_000)
        self.assertEqual(late.chain.tip, self.chain.tip)
        self.show(late, forger, (self.parting(), CHECKPOINT, FORGED_SLOTS))
        self.assertIsNone(late.chain.fork_height)
        self.assertEqual(late.chain.tip, self.chain.tip)

    def test_f19_both_at_once(self) -> None:
        late = self.late(CHECKPOINT)
        forger = self.link(late, "forger", forged())
        self.link(late, "honest", self.chain)
        self.world.run(30_000)
        self.assertEqual(late.chain.tip, self.chain.tip)
        self.assertIsNone(late.chain.fork_height)
        self.assertEqual({peer for peer, _, _ in late.blamed}, {forger.name})

    def test_f19_history_of_a_node_that_was_there(self) -> None:
        """Who has followed the chain needs no checkpoint: old keys prove nothing to it."""
        self.patch(chain_headers, "retained_blocks", lambda slot_ms: 20)
        late = self.late()
        self.link(late, "honest", self.chain)
        self.world.run(20_000)
        forger = self.link(late, "forger", forged())
        self.world.run(10_000)
        self.show(late, forger, (self.parting(), SLOTS // 2, SLOTS - 21, FORGED_SLOTS))
        self.assertIsNone(late.chain.fork_height)
        self.assertEqual(late.chain.tip, self.chain.tip)
        charged = sum(points for peer, points, _ in late.blamed if peer == forger.name)
        self.assertGreaterEqual(charged, 50)

    def test_f19_keys_that_are_bonded_still_are_evidence(self) -> None:
        """Within the seven days two certificates prove a crime, and the node halts."""
        late = self.late()
        self.link(late, "honest", self.chain)
        self.world.run(20_000)
        forger = self.link(late, "forger", forged())
        self.show(late, forger, (self.parting(),))
        self.assertEqual(late.chain.fork_height, self.parting())
