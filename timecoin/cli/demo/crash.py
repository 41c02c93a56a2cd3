"""Steps: one validator is killed; the others go on; it comes back and catches up."""

from __future__ import annotations

from timecoin.cli.demo.stage import Stage
from timecoin.cli.devnet.record import DevnetError

VICTIM = 2
BLOCKS_WITHOUT = 2
AMOUNT = "0.5"


def kill_one(stage: Stage) -> str:
    """SIGKILL while payments go on: they stay final, blocks come with 200 of 300."""
    victim = stage.actors[VICTIM]
    others = [actor for actor in stage.actors if actor is not victim]
    before = max(stage.heights())
    stage.pay(others[0], stage.addresses[1], AMOUNT)
    stage.network.kill(VICTIM)
    goal = before + BLOCKS_WITHOUT
    paid = 0

    def pay_until_blocks_came() -> bool | None:
        nonlocal paid
        sender = others[paid % len(others)]
        stage.pay(sender, stage.addresses[paid % len(stage.addresses)], AMOUNT)
        paid += 1
        heights = stage.heights(others)
        stage.progress(f"{paid} payments are final without {victim.name}, heights {heights}")
        return min(heights) >= goal or None

    limit_s = 30 + 6 * BLOCKS_WITHOUT * stage.slot_s
    stage.wait_for(f"height {goal} with 200 of 300", limit_s, others[0], pay_until_blocks_came)
    height = min(stage.heights(others))
    stage.same_block(height, others)
    return f"{victim.name} was killed: {paid} payments final and height {height} without it"


def bring_back(stage: Stage) -> str:
    """The killed validator starts again from its own disk and catches up."""
    down_at = max(stage.heights([a for i, a in enumerate(stage.actors) if i != VICTIM]))
    stage.network.launch(VICTIM)
    victim = stage.renew(VICTIM)
    try:
        stage.network.wait_ready()
    except DevnetError as error:
        raise victim.fail(str(error)) from error
    stage.wait_height([victim], down_at, limit_s=30)
    stage.same_block(down_at)
    return f"{victim.name} is back and has caught up to height {down_at}"
