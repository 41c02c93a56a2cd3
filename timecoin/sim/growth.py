"""What a payment costs as the active set grows: time to finality, messages at each node."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from timecoin import params
from timecoin.sim.network import LinkQuality
from timecoin.sim.run import percentile
from timecoin.sim.traffic import NodeTraffic
from timecoin.sim.world import World, WorldSettings

BEGIN_S = 2
"""Links come up and everybody tells everybody of them."""
PAYMENT_S = 1
SLOT_S = 60
"""The world begins with a slot, and all has to be done before the next one."""
MAX_PAYMENTS = (SLOT_S - BEGIN_S) // PAYMENT_S
"""One payment after the other, so that each is a batch of its own and has all messages of one."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Payments among ``nodes`` validators that are all linked; times are virtual milliseconds."""

    nodes: int
    payments: int
    p50_ms: int
    p95_ms: int
    at_poller: float
    """Messages of a payment that its poller sends or receives."""
    at_other: float
    """The same at each other node, on average."""
    at_other_most: int
    """The most that any other node had for one payment."""
    kinds: dict[str, float]
    """Messages of a payment in the whole network, by their name."""


def measure(seed: int, nodes: int, payments: int, latency_ms: int = 100) -> Growth:
    """Let ``payments`` be made at as many nodes by turns; a link takes ``latency_ms`` each way.

    All within one slot, so that no block comes, at which every member tells every other its
    receipts for what waits. ``ValueError`` for more than ``MAX_PAYMENTS``; ``RuntimeError`` for a
    payment that was not final in time.
    """
    if payments > MAX_PAYMENTS:
        raise ValueError(f"{payments} payments do not fit into a slot, {MAX_PAYMENTS} do")
    settings = WorldSettings(
        nodes=nodes,
        network=params.Network.MAINNET,
        slot_ms=SLOT_S * 1000,
        users=payments,
        quality=LinkQuality(latency_ms=latency_ms),
    )
    world = World(seed, settings)
    traffic = [NodeTraffic(world, node.node_id) for node in world.nodes]
    world.start()
    world.run(BEGIN_S)
    latencies = []
    at_poller: list[int] = []
    at_others: list[int] = []
    kinds: Counter[str] = Counter()
    for number in range(payments):
        poller = number % nodes
        for counted in traffic:
            counted.kinds.clear()
        tx = world.users.payment()
        assert tx is not None
        world.submit(poller, tx)
        world.run(PAYMENT_S)
        if any((node.number, tx.txid) not in world.final_ms for node in world.nodes):
            raise RuntimeError(f"payment {number} among {nodes} nodes is not final everywhere")
        latencies.append(world.final_ms[poller, tx.txid] - world.accepted_ms[tx.txid])
        for node, counted in enumerate(traffic):
            kinds.update(counted.kinds)
            (at_poller if node == poller else at_others).append(counted.kinds.total())
    latencies.sort()
    return Growth(
        nodes=nodes,
        payments=payments,
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        at_poller=sum(at_poller) / payments,
        at_other=sum(at_others) / len(at_others),
        at_other_most=max(at_others),
        kinds={name: count / 2 / payments for name, count in sorted(kinds.items())},
    )
