"""Step: a fourth node stakes a Bronze collateral, joins the active set and earns."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from timecoin.cli.demo.stage import Actor, Stage
from timecoin.cli.devnet.record import DevnetError
from timecoin.cli.devnet.staking import register

TIER = "bronze"
SLOTS_TO_JOIN = 8
"""Three blocks suffice; a busy machine may miss a slot."""


def stake_one(stage: Stage) -> str:
    """A node of its own, with coins that the first one pays it, becomes a masternode."""
    stage.progress("starting a fourth node")
    try:
        newcomer = stage.add(stage.network.add())
        outpoint = register(stage.network.nodes[0], newcomer.node, TIER)
    except DevnetError as error:
        raise stage.actors[0].fail(str(error)) from error
    stage.progress(f"{newcomer.name} has staked {TIER} and waits for its block")

    def has_joined() -> dict[str, Any] | None:
        status: dict[str, Any] = newcomer.call("masternodestatus")
        return status if status["in_avs"] and Decimal(status["rewards"]) > 0 else None

    limit_s = 30 + SLOTS_TO_JOIN * stage.slot_s
    status = stage.wait_for("membership and a reward", limit_s, newcomer, has_joined)
    staked = newcomer.call("getrawtransaction", [outpoint.partition(":")[0], True])
    return (
        f"{newcomer.name} staked {status['collateral']} TIME in block {staked['blockheight']}, is "
        f"in the active set since block {status['registered_height']} and has earned "
        f"{status['rewards']} TIME: quorum {quorum_text(newcomer)}"
    )


def quorum_of(actor: Actor) -> tuple[int, int]:
    """Weight that a quorum takes and weight of all, as the tip's active set has them."""
    active_set = actor.call("getconsensusinfo")["avs"]
    return active_set["quorum_weight"], active_set["total_weight"]


def quorum_text(actor: Actor) -> str:
    """The same for people: ``200 of 300``."""
    quorum, total = quorum_of(actor)
    return f"{quorum} of {total}"
