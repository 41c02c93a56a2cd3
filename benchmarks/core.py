"""What a payment costs the core: four simulated nodes in one process, no network, no disk, no RPC.

Payments come at a fixed rate of virtual time; real time is only measured. Prints the processor
time a payment costs each node, and the longest calls of a node's loop: while one runs, that node
answers nobody. Prints figures; asserts nothing.

    .venv/bin/python benchmarks/core.py [--rate 500] [--seconds 30] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import time
from collections.abc import Callable
from typing import Any

from timecoin.node.tap import YOUNG_OBJECTS
from timecoin.sim.world import World, WorldSettings

BATCHES_PER_SECOND = 10
LONG_S = 0.02


class Turns:
    """How long the calls of a world's clock took."""

    def __init__(self, world: World) -> None:
        self._call_later = world.clock.callLater
        self.taken_s: list[float] = []
        world.clock.callLater = self._timed  # type: ignore[method-assign, assignment]

    def _timed(self, delay: float, call: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        def timed() -> None:
            began = time.process_time()
            call(*args, **kwargs)
            self.taken_s.append(time.process_time() - began)

        return self._call_later(delay, timed)


def main() -> None:
    """Run one world."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=500, help="payments a second")
    parser.add_argument("--seconds", type=int, default=30, help="of virtual time")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    count = options.rate * options.seconds
    world = World(options.seed, WorldSettings(nodes=options.nodes, users=count))
    payments = [tx for _ in range(count) if (tx := world.users.payment()) is not None]
    turns = Turns(world)
    size = options.rate // BATCHES_PER_SECOND
    world.start()
    world.run(1)
    for number, start in enumerate(range(0, count, size)):
        for tx in payments[start : start + size]:
            world.clock.callLater(
                number / BATCHES_PER_SECOND, world.submit, number % options.nodes, tx
            )
    profiler = cProfile.Profile() if options.profile else None
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    began_s = time.process_time()
    if profiler is not None:
        profiler.enable()
    world.run(options.seconds + 30)
    if profiler is not None:
        profiler.disable()
    cpu_s = time.process_time() - began_s
    archived = sum(world.nodes[0].running.chain.archived(tx.txid) is not None for tx in payments)
    final = len(world.final_txids())
    print(f"{count} payments, {final} final, {archived} archived, digest {world.trace.digest()}")
    print(f"{1e6 * cpu_s / count / options.nodes:.0f} us of processor a payment and node")
    longest = sorted(turns.taken_s, reverse=True)
    long_s = sum(taken for taken in longest if taken > LONG_S)
    blocks = world.nodes[0].running.chain.tip_height
    print(
        f"{blocks} blocks; calls longer than {1000 * LONG_S:.0f} ms: "
        f"{1000 * long_s / blocks / options.nodes:.0f} ms a block and node; longest "
        + ", ".join(f"{1000 * taken:.0f}" for taken in longest[:12])
        + " ms"
    )
    if profiler is not None:
        stats = pstats.Stats(profiler)
        stats.sort_stats("tottime").print_stats(45)
        stats.sort_stats("cumtime").print_stats(100)


if __name__ == "__main__":
    main()
