"""Life after life on one data directory, each ended by kill -9; then everything is looked at.

Every point that a life can pass is met once, the other lives end at any moment. Each second life is
followed by a power cut. Lives are forks of one process that has no store open and no threads.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

from tests.crash.disk import LIFE_ENDS, Trap, cut_power

ANY_MOMENT = "any moment"
FREE_LIVES = 2
"""With a point given, so many lives come first that have something to recover for the others."""
LONGEST_LIFE_S = 60.0
SHORTEST_KILL_S, LONGEST_KILL_S = 0.001, 0.4
"""Within these a life is killed that does not end at a point; most have recovered by then."""


class CampaignFailed(AssertionError):
    """A life or the last look found something; the text says how to see it again."""


class Scenario(Protocol):
    """What lives on the directory."""

    stores: tuple[str, ...]
    """Names of its stores below the directory."""

    def prepare(self, directory: Path) -> None:
        """Before the first life; in a process of its own."""

    def live(self, directory: Path, life: int, trap: Trap) -> None:
        """One life, from opening the stores until it is ended, or has nothing left to do."""

    def check(self, directory: Path) -> None:
        """Look at what is left; ``AssertionError`` for what should not be."""


@dataclass
class Report:
    """How the lives of a campaign ended."""

    kills: int = 0
    power_cuts: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """Lives by the point at which they ended."""
    points: tuple[str, ...] = ()
    """All points there are, as two lives of a rehearsal passed them."""
    longest_start_s: float = 0.0
    """Of the lives that recovered and then ended at a point."""

    @property
    def missed(self) -> list[str]:
        """Points at which no life ended."""
        return [name for name in self.points if not self.ended[name]]


class Campaign:
    """One seed's lives of one scenario."""

    def __init__(
        self, scenario: Scenario, directory: Path, seed: int, at: tuple[str, int] | None = None
    ) -> None:
        """``at``: the point at which every life but the first two ends; None draws one for each."""
        self._scenario = scenario
        self._directory = directory
        self._seed = seed
        self._at = at
        self._chance = Random(seed)
        self._told = directory / "ended"

    def run(self, kills: int) -> Report:
        """So many lives and the last look."""
        passes = self._rehearse()
        report = Report(points=tuple(sorted(passes)))
        folder = self._folder("lives")
        self._aside(lambda: self._scenario.prepare(folder))
        plan = deque(self._plan(passes))
        for life in range(kills):
            if self._at is not None:
                at = self._at if life >= FREE_LIVES else None
            else:
                at = plan.popleft() if plan else None
            ended, start_s = self._end_one(folder, life, at)
            report.longest_start_s = max(report.longest_start_s, start_s)
            report.kills += 1
            report.ended[ended] += 1
            if at is not None and self._at is None and ended != at[0]:
                plan.append((at[0], 1))  # this life had less to do: once more, at the first time
            if life % 2:
                report.power_cuts += 1
                for name in self._scenario.stores:
                    cut_power(folder / name, self._chance)
        self._aside(lambda: self._scenario.check(folder))
        return report

    def _plan(self, passes: Counter[str]) -> Iterator[tuple[str, int]]:
        """A shot for each point; first those that only the first lives pass."""
        names = sorted(passes)
        self._chance.shuffle(names)
        for first in ("start.claim", "start.genesis", ""):
            for name in [name for name in names if name.startswith(first)]:
                names.remove(name)
                yield name, 1 if first else int(passes[name] ** self._chance.random())

    def _rehearse(self) -> Counter[str]:
        """Which points two undisturbed lives pass, and how often at most in one."""
        folder = self._folder("rehearsal")
        self._aside(lambda: self._scenario.prepare(folder))
        most: Counter[str] = Counter()
        for life in range(2):
            counted = folder / "passed"

            def count(life: int = life, counted: Path = counted) -> None:
                trap = Trap(None, folder / "told")
                trap.end = lambda name: None  # type: ignore[method-assign]
                self._scenario.live(folder, life, trap)
                lines = (f"{count} {name}\n" for name, count in trap.passed.items())
                counted.write_text("".join(lines))

            self._aside(count)
            for line in counted.read_text().splitlines():
                number, name = line.split(" ", 1)
                most[name] = max(most[name], int(number))
        return most

    def _end_one(self, folder: Path, life: int, at: tuple[str, int] | None) -> tuple[str, float]:
        """Where the life has ended, and how long its start took, if it is known."""
        self._told.unlink(missing_ok=True)
        trap = Trap(at, self._told)

        def live() -> None:
            self._scenario.live(folder, life, trap)
            trap.end(LIFE_ENDS)

        child = self._fork(live)
        if at is None:
            low, high = SHORTEST_KILL_S, LONGEST_KILL_S
            time.sleep(low * (high / low) ** self._chance.random())
            os.kill(child, signal.SIGKILL)
        status = self._wait(child)
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise CampaignFailed(f"life {life}, to be ended at {at}, failed: seed {self._seed}")
        if not self._told.exists():
            return ANY_MOMENT, 0.0
        name, start_s = self._told.read_text().splitlines()
        return name, float(start_s)

    def _aside(self, work: Callable[[], None]) -> None:
        """Do ``work`` in a process that ends by itself."""
        if self._wait(self._fork(work)):
            raise CampaignFailed(f"seed {self._seed}: see above")

    def _fork(self, work: Callable[[], None]) -> int:
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _wait(self, child: int) -> int:
        deadline = time.monotonic() + LONGEST_LIFE_S
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return status
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise CampaignFailed(f"a life does not end: seed {self._seed}")
            time.sleep(0.002)

    def _folder(self, name: str) -> Path:
        folder = self._directory / name
        folder.mkdir(parents=True)
        return folder
