"""Nothing is kept for longer than it is needed (LESSONS 21): after the blocks, nothing is left."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import fields

from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import Node, World, genesis_coin, output_of, pay
from timecoin.finality.messages import Query, Relay
from timecoin.mempool.policy import PoolLimits

BOUNDED = {
    "History._window",
    "History._times",
    "History._ended",
    "Rounds._known",
    "Committee._masternode_of",
    "Committee._peers_of",
}
"""What outlives its purpose by design, each with a bound of its own."""


def containers(part: object) -> Iterator[tuple[str, Sized]]:
    """The collections that ``part`` holds, by name."""
    names = getattr(part, "__slots__", None) or vars(part)
    for name in names:
        value = getattr(part, name)
        if isinstance(value, dict | list | set) or name in ("_heap", "_window"):
            yield f"{type(part).__name__}.{name}", value


def left(node: Node) -> dict[str, int]:
    """The sizes of all collections of ``node`` that are not empty."""
    parts = node.finality._parts
    found = [getattr(parts, field.name) for field in fields(parts)]
    found += [parts.context.schedule, parts.context.committee]
    sizes = {name: len(value) for part in found for name, value in containers(part)}
    return {name: size for name, size in sizes.items() if size and name not in BOUNDED}


class MemoryTests(SynchronousTestCase):
    def test_nothing_is_left(self) -> None:
        world = World(4, followers=1, limits=PoolLimits(expiry_ms=40_000))
        for index in range(20):
            tx = pay([genesis_coin(index)])
            world.submit(world.nodes[index % 5], tx)
            world.run(100)
            world.submit(world.nodes[(index + 1) % 5], pay([output_of(tx)]))
        # A split, a conflict known everywhere, one that is never decided, an invalid child.
        low, high = pay([genesis_coin(30)]), pay([genesis_coin(30)], nonce=1)
        world.submit(world.nodes[0], low)
        world.submit(world.nodes[1], high)
        pair = (pay([genesis_coin(31)]), pay([genesis_coin(31)], nonce=1))
        for node, other in zip(world.nodes[:4], world.nodes[1:4] + world.nodes[:1], strict=True):
            query = Query(1, 0, tuple(tx.wtxid for tx in pair), pair, False)
            world.receive(node, other, query)
        world.receive(world.nodes[0], world.nodes[4], Relay((pay([output_of(low)]),)))
        self.assertGreater(len(left(world.nodes[0])), 8)
        for height in range(9):
            world.run(2_000)
            world.propose(world.nodes[height % 4])
        world.run(70_000)  # the sweep
        world.propose(world.nodes[0])
        world.propose(world.nodes[0])
        for node in world.nodes:
            self.assertEqual(left(node), {}, node.name)
            self.assertEqual(len(node.pool), 0)
            self.assertEqual({table for table, _ in node.rows}, set())
