"""Steps: one validator is killed and leaves the active set; it comes back and joins again."""

from __future__ import annotations

from timecoin.cli.demo.membership import quorum_of, quorum_text
from timecoin.cli.demo.stage import Stage
from timecoin.cli.devnet.record import DevnetError
from timecoin.params import HEARTBEAT_TIMING, Network

VICTIM = 2
BLOCKS_WITHOUT = 2
SLOTS_TO_CHANGE = 8
"""Slots in which the active set has to change; a busy machine may miss some."""
AMOUNT = "0.5"


def kill_one(stage: Stage) -> str:
    """SIGKILL while payments go on: they stay final, blocks come, and soon without its weight."""
    victim = stage.actors[VICTIM]
    others = [actor for actor in stage.actors if actor is not victim]
    before, told = quorum_of(others[0]), quorum_text(others[0])
    goal = max(stage.heights()) + BLOCKS_WITHOUT
    stage.pay(others[0], stage.addresses[1], AMOUNT)
    stage.network.kill(VICTIM)
    paid = 0

    def pay_until_it_is_out() -> bool | None:
        nonlocal paid
        sender = others[paid % 2]
        stage.pay(sender, stage.addresses[paid % len(stage.addresses)], AMOUNT)
        paid += 1
        heights = stage.heights(others)
        stage.progress(f"{paid} payments are final without {victim.name}, heights {heights}")
        out = all(quorum_of(actor) != before for actor in others)
        return (out and min(heights) >= goal) or None

    ttl_s = HEARTBEAT_TIMING[Network.DEVNET].ttl_ms / 1000
    limit_s = 30 + ttl_s + SLOTS_TO_CHANGE * stage.slot_s
    stage.wait_for(f"a quorum without {victim.name}", limit_s, others[0], pay_until_it_is_out)
    height = min(stage.heights(others))
    stage.same_block(height, others)
    return (
        f"{victim.name} was killed: {paid} payments final and height {height} without it, quorum "
        f"{told} before, {quorum_text(others[0])} now that it has left the active set"
    )


def bring_back(stage: Stage) -> str:
    """The killed validator starts again from its own disk, catches up and joins again."""
    others = [actor for index, actor in enumerate(stage.actors) if index != VICTIM]
    down_at, without = max(stage.heights(others)), quorum_of(others[0])
    stage.network.launch(VICTIM)
    victim = stage.renew(VICTIM)
    try:
        stage.network.wait_ready()
    except DevnetError as error:
        raise victim.fail(str(error)) from error
    stage.wait_height([victim], down_at, limit_s=30)
    stage.same_block(down_at)
    stage.wait_for(
        "membership",
        30 + SLOTS_TO_CHANGE * stage.slot_s,
        victim,
        lambda: all(quorum_of(actor) != without for actor in stage.actors) or None,
    )
    return (
        f"{victim.name} is back, has caught up to height {down_at} and joined again: quorum "
        f"{quorum_text(victim)}"
    )
