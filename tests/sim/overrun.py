"""More than a third of the weight is faulty: what no protocol can bear, and must be seen."""

from __future__ import annotations

from timecoin.sim import corruption
from timecoin.sim.world import SimNode, World, WorldSettings

NODES = 4
FAULTY = (1, 3)
FIRST_SLOT_S = 12


def corrupt(world: World, node: SimNode, *names: str) -> None:
    """From now on ``node`` has the faults ``names``; half of the others are nodes 2 and 3."""
    corruption.corrupt(world, node, *names, in_second_half=lambda number: number >= NODES // 2)


class Overrun:
    """Four members, two of which have the faults ``names``; half of the network each."""

    def __init__(self, seed: int, *names: str) -> None:
        self.world = World(seed, WorldSettings(nodes=NODES))
        self.faulty = [self.world.nodes[number] for number in FAULTY]
        self.honest = [node for node in self.world.nodes if node not in self.faulty]
        self.keys = frozenset(node.voting_key.public for node in self.faulty)
        for node in self.faulty:
            corrupt(self.world, node, *names)

    def spend_twice(self, pairs: int) -> None:
        """Begin, and let each half see another spend of ``pairs`` coins first."""
        self.world.start()
        self.world.run(FIRST_SLOT_S)
        for _ in range(pairs):
            pair = self.world.users.double_spend()
            assert pair is not None
            for node in self.world.nodes:
                self.world.submit(node.number, pair[node.number >= NODES // 2])
            self.world.run(1)
