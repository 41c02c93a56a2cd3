"""A workload with faults: kills, cut links and double spends at seeded moments, then healing."""

from __future__ import annotations

from random import Random

from timecoin.sim.world import World

MAX_PAUSE_S = 8.0
HEALING_S = 150.0
"""Time to come to rest: restarts, catching up, double spends resolved by blocks."""


class Chaos:
    """Drives ``world`` from fault to fault; no more than ``max_down`` nodes are down at once."""

    def __init__(self, world: World, max_down: int) -> None:
        self._world = world
        self._rng: Random = world.rng("chaos")
        self._max_down = max_down

    def run(self, steps: int) -> None:
        """Do ``steps`` random things to the world, then heal it and let it come to rest."""
        for _ in range(steps):
            self._kill_or_start()
            self._pay()
            self._world.run(self._rng.random() * MAX_PAUSE_S)
            self._cut_or_heal()
        self.heal()
        self._world.run(HEALING_S)

    def heal(self) -> None:
        """Start what is down, join what is cut."""
        for node in self._world.nodes:
            if node.node is None:
                node.start()
        self._heal_links()

    def _kill_or_start(self) -> None:
        down = [node for node in self._world.nodes if node.node is None]
        up = [node for node in self._world.nodes if node.node is not None]
        if self._rng.randrange(4) == 0 and up and len(down) < self._max_down:
            self._rng.choice(up).kill()
        elif down and self._rng.randrange(2) == 0:
            self._rng.choice(down).start()

    def _pay(self) -> None:
        up = [node.number for node in self._world.nodes if node.node is not None]
        if not up:
            return
        for _ in range(self._rng.randrange(4)):
            if self._rng.randrange(3) == 0:
                pair = self._world.users.double_spend()
                for tx in pair or ():
                    self._world.submit(self._rng.choice(up), tx)
            else:
                payment = self._world.users.payment()
                if payment is not None:
                    self._world.submit(self._rng.choice(up), payment)

    def _cut_or_heal(self) -> None:
        if self._rng.randrange(5) == 0:
            first, second = self._rng.sample(self._world.nodes, 2)
            self._world.network.cut(first.node_id, second.node_id)
        if self._rng.randrange(3) == 0:
            self._heal_links()

    def _heal_links(self) -> None:
        for index, first in enumerate(self._world.nodes):
            for second in self._world.nodes[:index]:
                self._world.network.heal(first.node_id, second.node_id)
