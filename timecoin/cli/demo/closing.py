"""Step: at the end all nodes stand at one tip with one set of coins, and none was made of air."""

from __future__ import annotations

from typing import Any

from timecoin.cli.demo.stage import Stage


def one_state(stage: Stage) -> str:
    """Equal ``utxo_root`` at one height, and the supply is the sum of all unspent outputs."""

    def at_one_height() -> list[dict[str, Any]] | None:
        infos = [actor.call("gettxoutsetinfo") for actor in stage.actors]
        same = len({info["height"] for info in infos}) == 1
        return infos if same else None  # a block came between two answers

    infos = stage.wait_for("all nodes at one height", 60, stage.actors[0], at_one_height)
    first = infos[0]
    for actor, info in zip(stage.actors, infos, strict=True):
        if info["utxo_root"] != first["utxo_root"]:
            raise actor.fail(f"utxo_root {info['utxo_root']} differs at height {info['height']}")
        if info["bestblock"] != first["bestblock"]:
            raise actor.fail(f"tip {info['bestblock']} differs at height {info['height']}")
        if info["matches_supply"] is not True:
            raise actor.fail("the supply is not the sum of the unspent outputs")
    return (
        f"height {first['height']}: one utxo_root {first['utxo_root'][:16]}, "
        f"supply {first['total_amount']} TIME in {first['txouts']} outputs"
    )
