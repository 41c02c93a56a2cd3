"""A world under one named fault (FAULTS), with the figures that it is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.methods.net import FixedVitals
from timecoin.chain.commit import BlockConnected
from timecoin.ledger.transaction import Transaction
from timecoin.node.wiring import observe
from timecoin.rpc.condition import Condition, Kind
from timecoin.sim.invariants import Invariants
from timecoin.sim.network import LinkQuality
from timecoin.sim.run import percentile
from timecoin.sim.world import SimNode, World, WorldSettings

SLOT_S = 10
ROUND_S = 2.5
"""The first wait of a round, and what the second one's is longer by."""
FIRST_BLOCK_S = 12


class FaultCase(SynchronousTestCase):
    """One world for each test."""

    def begin(
        self,
        nodes: int = 4,
        seed: int = 1,
        quality: LinkQuality | None = None,
        faulty: Iterable[int] = (),
        strangers: int = 0,
        users: int = 120,
    ) -> None:
        """Start ``nodes`` of which all but the last ``strangers`` are members.

        Those of ``faulty`` may sign what they like; each of ``users`` has one coin.
        """
        settings = WorldSettings(
            nodes=nodes,
            validators=nodes - strangers,
            masternodes=strangers,
            quality=quality or LinkQuality(),
            users=users,
        )
        self.world = World(seed, settings)
        self.nodes = self.world.nodes
        keys = frozenset(self.nodes[number].voting_key.public for number in faulty)
        self.invariants = Invariants(self.world, keys)
        self.blocks: list[tuple[float, int, int]] = []
        """When which node connected which height."""
        self.world.on_start(self._watch)
        self.prepare()
        self.world.start()
        self.world.run(FIRST_BLOCK_S)

    def prepare(self) -> None:
        """What has to be done before the nodes start."""

    def _watch(self, node: SimNode) -> None:
        def connected(found: BlockConnected) -> None:
            self.blocks.append((self.now, node.number, found.block.height))

        observe(node.running, BlockConnected, connected)

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self.world.clock.seconds()

    def height(self, number: int) -> int:
        """Of the node's tip."""
        return self.nodes[number].running.chain.tip_height

    def first_block_after(self, moment: float, numbers: Iterable[int]) -> float:
        """When one of the nodes ``numbers`` connected a block for the first time after that."""
        wanted = tuple(numbers)
        return min(at for at, number, _ in self.blocks if at > moment and number in wanted)

    def pay(self, number: int) -> Transaction:
        """A payment that node ``number`` accepts."""
        tx = self.world.users.payment()
        assert tx is not None
        self.assertTrue(self.world.submit(number, tx))
        return tx

    def pay_for(self, seconds: int, numbers: Sequence[int]) -> list[Transaction]:
        """A payment a second at each of these nodes in turn."""
        found = []
        for second in range(seconds):
            found.append(self.pay(numbers[second % len(numbers)]))
            self.world.run(1)
        return found

    def final_at(self, tx: Transaction, number: int) -> float | None:
        """When node ``number`` called ``tx`` final; None while it has not."""
        at_ms = self.world.final_ms.get((number, tx.txid))
        return None if at_ms is None else at_ms / 1000

    def is_final(self, tx: Transaction) -> bool:
        """Whether any node calls it so."""
        return any(self.final_at(tx, node.number) is not None for node in self.nodes)

    def latencies_ms(self, payments: Iterable[Transaction]) -> list[int]:
        """From acceptance to final at the node that accepted, ascending; all have to be final."""
        found = []
        for tx in payments:
            final = self.world.final_ms.get((self.world.submitted_at[tx.txid], tx.txid))
            self.assertIsNotNone(final)
            assert final is not None
            found.append(final - self.world.accepted_ms[tx.txid])
        return sorted(found)

    def p95_ms(self, payments: Iterable[Transaction]) -> int:
        """Of :meth:`latencies_ms`."""
        return percentile(self.latencies_ms(payments), 95)

    def divide(self, *groups: Sequence[int], whole: bool = False) -> None:
        """Cut all links between nodes of different ``groups``, or make them ``whole`` again."""
        network = self.world.network
        for index, group in enumerate(groups):
            for here in group:
                for there in (number for other in groups[index + 1 :] for number in other):
                    act = network.heal if whole else network.cut
                    act(self.nodes[here].node_id, self.nodes[there].node_id)

    def problems(self, number: int) -> list[Kind]:
        """What health and RPC say is wrong with a node."""
        node = self.nodes[number].running
        condition = Condition(
            self.world.clock,
            self.world.settings.slot_ms,
            node.views,
            node.finality,
            node.sync,
            running=lambda: not node.driver.stopped,
            accused=lambda: False,
            vitals=FixedVitals(),
        )
        return [problem.kind for problem in condition.problems()]

    def check_one_history(self, numbers: Iterable[int] | None = None) -> None:
        """All are at one tip, and what anybody called final is final everywhere."""
        wanted = range(len(self.nodes)) if numbers is None else numbers
        tips = {self.nodes[number].running.chain.tip_hash for number in wanted}
        self.assertEqual(len(tips), 1)
        self.invariants.check_end()
