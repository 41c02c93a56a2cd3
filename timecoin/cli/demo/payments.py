"""Steps: payments at every node, final within moments, then the same blocks everywhere."""

from __future__ import annotations

from timecoin.cli.demo.stage import Actor, Stage
from timecoin.sim.run import percentile

PAYMENTS = 100
PURSE_COUNT = 4
PURSE = "500"
AMOUNT = "1.25"
BLOCKS = 2


def fund(stage: Stage) -> str:
    """Give the other wallets something to spend, out of the first one's allocation."""
    first = stage.actors[0]
    for address in stage.addresses[1:]:
        for _ in range(PURSE_COUNT):
            stage.pay(first, address, PURSE)
    count = PURSE_COUNT * (len(stage.actors) - 1)
    return f"{count} payments of {PURSE} TIME from {first.name} are final"


def pay_everywhere(stage: Stage) -> str:
    """100 payments, one after the other, taking turns among the nodes."""
    latencies = []
    for number in range(PAYMENTS):
        sender = stage.actors[number % len(stage.actors)]
        receiver = stage.addresses[(number + 1) % len(stage.addresses)]
        latencies.append(round(stage.pay(sender, receiver, AMOUNT)))
        stage.progress(f"{number + 1} of {PAYMENTS} payments are final")
    latencies.sort()
    p50, p95 = percentile(latencies, 50), percentile(latencies, 95)
    return (
        f"{PAYMENTS} payments through {len(stage.actors)} nodes, from the call to finality: "
        f"p50 {p50} ms, p95 {p95} ms"
    )


def make_blocks(stage: Stage) -> str:
    """Blocks follow each other slot by slot, and every node has the same ones."""
    limit_s = 20 + 4 * BLOCKS * stage.slot_s
    stage.wait_height(stage.actors, BLOCKS, limit_s)
    height = min(stage.heights())
    for number in range(1, height + 1):
        tip = stage.same_block(number)
    return f"height {height}: the same {height} blocks at every node, tip {tip[:16]}"


def everything_is_final(stage: Stage) -> str:
    """What was final at one node is so at all of them; what has lost is so at none."""
    for actor in stage.actors:
        for txid in stage.final_txids:
            _wait_still_final(stage, actor, txid)
        for txid in stage.lost_txids:
            if actor.calls_final(txid):
                raise actor.fail(f"{txid} is final, and so is a conflicting spend")
    return (
        f"{len(stage.final_txids)} payments are final at every node, "
        f"{len(stage.lost_txids)} beaten spend at none"
    )


def _wait_still_final(stage: Stage, actor: Actor, txid: str) -> None:
    """A node may hear of it a moment later than the one that was asked first."""
    stage.wait_for(f"payment {txid} is final", 10, actor, lambda: actor.calls_final(txid) or None)
