"""Makes a node of a world faulty: its code stays honest, what it sends is tampered with."""

from __future__ import annotations

from collections.abc import Callable

from timecoin.sim.behaviour import Faulty
from timecoin.sim.byzantine import Byzantine
from timecoin.sim.world import SimNode, World


def is_odd(number: int) -> bool:
    """The half of a network that nodes with odd numbers are."""
    return number % 2 == 1


def corrupt(
    world: World,
    node: SimNode,
    *names: str,
    in_second_half: Callable[[int], bool] = is_odd,
) -> None:
    """From now on ``node`` has the behaviours ``names`` (:mod:`timecoin.sim.byzantine`).

    ``in_second_half`` tells of a node's number to which of two halves it belongs, where the faulty
    one says something else to each.
    """
    number_of = {item.node_id: item.number for item in world.nodes}
    faulty = Faulty(
        key=node.voting_key,
        chain_id=world.genesis.chain_id,
        slot_ms=world.settings.slot_ms,
        rng=world.rng(f"byzantine/{node.number}"),
        others=[other.voting_key.public for other in world.nodes if other is not node],
        in_second_half=lambda peer: in_second_half(number_of[peer]),
    )
    world.network.tampers[node.node_id] = Byzantine(faulty, names)
