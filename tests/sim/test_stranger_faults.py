"""What has no weight here changes nothing, and too much finds no room (FAULTS F27, F28, F30)."""

from __future__ import annotations

from dataclasses import replace

from tests.sim.faultcase import SLOT_S, FaultCase
from tests.sim.overrun import corrupt
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.policy import PoolLimits
from timecoin.node.node import Node, NodeSettings
from timecoin.node.runtime import Runtime
from timecoin.params import MIN_FEE_UNITS
from timecoin.quorum.snapshots import block_snapshots, voter_index
from timecoin.sim.world import SimNode


class VoterCase(FaultCase):
    """Who signs the blocks."""

    def signers(self, above: int) -> set[bytes]:
        """The voting keys in the certificates of the blocks above that height."""
        chain = self.nodes[0].running.chain
        found: set[bytes] = set()
        for height in range(above + 1, chain.tip_height + 1):
            certificate, snapshots = chain.certificate(height), block_snapshots(chain, height)
            assert certificate is not None and snapshots is not None
            voters = voter_index(snapshots)
            found.update(voters[item.voter] for item in certificate.signatures)
        return found

    def check_goes_on(self, payers: tuple[int, ...], without: SimNode) -> None:
        """Blocks and payments, and no signature of ``without`` in them."""
        start = self.height(0)
        payments = self.pay_for(3 * SLOT_S, payers)
        self.world.run(5)
        self.latencies_ms(payments)
        self.assertGreaterEqual(self.height(0), start + 2)
        self.assertNotIn(without.voting_key.public, self.signers(start))


class F27Tests(VoterCase):
    """A key without stake votes, forges signatures, weights, histories and evidence."""

    def test_it_counts_for_nothing(self) -> None:
        self.begin(nodes=4, strangers=1, faulty=(3,))
        stranger = self.nodes[3]
        corrupt(
            self.world,
            stranger,
            "vote-for-everything",
            "equivocate-votes",
            "invalid-signatures",
            "lie-about-weights",
            "forge-history",
            "forge-evidence",
        )
        self.check_goes_on((0, 1, 2, 3), stranger)
        self.check_one_history((0, 1, 2))


class F30Tests(VoterCase):
    """A member signs all that it signs for another chain."""

    def test_nothing_of_it_counts(self) -> None:
        self.begin(faulty=(1,))
        corrupt(self.world, self.nodes[1], "wrong-chain")
        self.world.run(SLOT_S)
        self.check_goes_on((0, 2, 3), self.nodes[1])
        self.world.network.tampers.clear()
        self.world.run(SLOT_S)
        self.check_one_history()


class F28Tests(FaultCase):
    """More is sent than a pool may hold."""

    LIMITS = PoolLimits(max_pending=50)
    FLOOD = 200

    def prepare(self) -> None:
        """Small pools."""
        for node in self.nodes:
            node.build = self._small(node)

    def _small(self, node: SimNode):  # type: ignore[no-untyped-def]
        build = node.build

        def small(settings: NodeSettings, runtime: Runtime) -> Node:
            return build(replace(settings, pool=self.LIMITS), runtime)

        return small

    def dust(self, count: int) -> list[Transaction]:
        """The cheapest payments that there may be."""
        found = [self.world.users.payment(MIN_FEE_UNITS) for _ in range(count)]
        return [tx for tx in found if tx is not None]

    def test_a_full_pool_keeps_what_pays_more(self) -> None:
        self.begin(users=self.FLOOD + 40)
        self.divide((3,), (0, 1, 2))
        flood = self.dust(self.FLOOD)
        for tx in flood:
            self.world.submit(3, tx)
        pool = self.nodes[3].running.pool
        self.assertEqual(pool.stats().pending, self.LIMITS.max_pending)
        paying = [self.pay(3) for _ in range(10)]
        self.world.run(1)
        self.assertEqual(pool.stats().pending, self.LIMITS.max_pending)
        self.assertTrue(all(tx.txid in pool for tx in paying))
        self.divide((3,), (0, 1, 2), whole=True)
        self.world.run(2 * SLOT_S)
        self.assertTrue(all(self.final_at(tx, 0) is not None for tx in paying))
        self.check_one_history()

    def test_who_pays_is_not_held_up(self) -> None:
        self.begin(users=self.FLOOD + 80)
        normal = self.pay_for(20, (0, 1, 2, 3))
        self.world.run(2)
        flood, paying = self.dust(self.FLOOD), []
        for second in range(20):
            for tx in flood[second * 10 : second * 10 + 10]:
                self.world.submit(3, tx)
            paying += self.pay_for(1, (0,))
        self.world.run(2)
        self.assertLessEqual(self.p95_ms(paying), 2 * self.p95_ms(normal))
        self.world.run(SLOT_S)
        self.check_one_history()
