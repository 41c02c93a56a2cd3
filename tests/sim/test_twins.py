"""One validator runs twice, on two disks: it votes twice on everything, each time in good faith.

Twins (Bano et al., arXiv 2004.10617) do what a faulty member does, without a line of faulty code.
Less than a third of the weight, they must neither split the others nor stop them.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import decode
from timecoin.consensus.messages import BlockVote
from timecoin.node.catalog import KIND_OF, MESSAGES
from timecoin.quorum.statement import VoteKind
from timecoin.sim.invariants import Invariants
from timecoin.sim.world import SimNode, World, WorldSettings

STEPS = 12


class TwinsTests(SynchronousTestCase):
    """Validator 0 and its twin; each of the others is linked to one of them, or to both."""

    def run_with_twins(self, seed: int, nodes: int) -> None:
        world = World(seed, WorldSettings(nodes=nodes))
        one, *others = world.nodes
        two = SimNode(world, 0, votes=True)
        two.node_id = world.rng("twin").randbytes(32)
        two.number = nodes
        invariants = Invariants(world, frozenset({one.voting_key.public}))
        votes: dict[tuple[int, int, int], set[bytes]] = {}

        def look(kind: int, payload: bytes) -> None:
            if kind == KIND_OF[BlockVote]:
                vote = decode(payload, BlockVote, MESSAGES[kind].max_bytes)
                if vote.voter == one.voting_key.public and vote.kind != VoteKind.PROPOSAL:
                    place = (vote.height, vote.round, vote.kind)
                    votes.setdefault(place, set()).add(vote.block_hash)

        world.network.observers.append(look)
        rng = world.rng("links")
        world.start()
        two.start()
        world.network.cut(one.node_id, two.node_id)
        for _ in range(STEPS):
            self.divide(world, one, two, rng)
            pair = world.users.double_spend()
            assert pair is not None
            for node in (one, two, *others):
                tx = pair[rng.randrange(2)]
                node.running.submit(tx)
                world.submitted[tx.txid] = tx
            world.run(rng.random() * 10)
        for node in others:
            world.network.heal(node.node_id, one.node_id)
            world.network.heal(node.node_id, two.node_id)
        world.run(120)
        invariants.check_end()
        voted_twice = any(len(found) > 1 for found in votes.values())
        chain = others[0].running.chain
        blocks = [chain.block(height) for height in range(1, chain.tip_height + 1)]
        # Evidence of their votes on payments may end it before they have voted on blocks.
        convicted = any(block is not None and block.body.evidence for block in blocks)
        self.assertTrue(voted_twice or convicted, "they did vote twice")
        heights = {node.running.chain.tip_height for node in others}
        self.assertEqual(len(heights), 1)
        self.assertGreater(heights.pop(), STEPS)

    def divide(self, world: World, one: SimNode, two: SimNode, rng: Random) -> None:
        """Deal the others out to the twins anew."""
        for node in world.nodes[1:]:
            mine, others = rng.choice(((one, two), (two, one)))
            world.network.heal(node.node_id, mine.node_id)
            if rng.randrange(3):
                world.network.cut(node.node_id, others.node_id)
            else:
                world.network.heal(node.node_id, others.node_id)

    def test_one_of_four(self) -> None:
        for seed in (1, 2):
            self.run_with_twins(seed, 4)

    def test_one_of_seven(self) -> None:
        self.run_with_twins(1, 7)
