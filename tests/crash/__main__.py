"""``python -m tests.crash SCENARIO``: kills it again and again, and tells what was found.

TIMECOIN_CRASH_AT=name:count ends every life at one point.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from tests.crash.campaign import Campaign, Scenario
from tests.crash.disk import VARIABLE
from tests.crash.network import MAX_LIVES, Network
from tests.crash.rebuild import Loaded, Rebuilt

MEMORY = Path("/dev/shm")
"""Where files outlive a process and no disk is waited for: what a power cut takes is our choice."""

SCENARIOS: dict[str, Callable[[int], Scenario]] = {
    "network": Network,
    "lying": lambda seed: Network(seed, lies=True),
    "rebuild": lambda seed: Rebuilt(),
    "load": lambda seed: Loaded(),
}


@click.command()
@click.argument("scenario", type=click.Choice(list(SCENARIOS)))
@click.option("--seed", default=1, show_default=True)
@click.option("--kills", default=25, show_default=True, type=click.IntRange(1, MAX_LIVES))
def main(scenario: str, seed: int, kills: int) -> None:
    """Kill SCENARIO so many times; one line of JSON, exit status 1 if anything was wrong."""
    at = None
    if VARIABLE in os.environ:
        name, _, count = os.environ[VARIABLE].partition(":")
        at = name, int(count or "1")
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        report = Campaign(SCENARIOS[scenario](seed), Path(folder), seed, at).run(kills)
    print(
        json.dumps(
            {
                "kills": report.kills,
                "power_cuts": report.power_cuts,
                "ended": dict(sorted(report.ended.items())),
                "missed": report.missed,
                "longest_start_s": round(report.longest_start_s, 3),
            }
        )
    )


main()
