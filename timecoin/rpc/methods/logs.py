"""Which lines the node logs, seen and changed while it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from timecoin.rpc.errors import INVALID_PARAMETER, MISC_ERROR, RpcError
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import LogLevels
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Array, Text

MAX_AREAS = 64
ALL = ("all", "1")
NONE = ("none", "0")
"""Bitcoin Core's words for every category and for none."""
LEVELS = ("debug", "info", "warn", "error", "critical")
DETAILED = "debug"
USUAL = "info"

Areas = Annotated[list[str], Array(Text(max_chars=MAX_AREAS, label="area"), MAX_AREAS)]


class LogMethods:
    """The levels of the log, area by area."""

    def __init__(self, levels: LogLevels | None) -> None:
        self._levels = levels

    @rpc_method()
    def logging(
        self,
        include: Areas | None = None,
        exclude: Areas | None = None,
        *,
        level: Annotated[str, Text(16, LEVELS, "level")] = DETAILED,
        verbose: bool = False,
    ) -> Json:
        """Show, and change until the next start, which areas of the log are detailed.

        include: areas to log in detail, from level up; exclude: areas to log as usual, from info
        up. all (or 1) stands for every area; none (or 0) is no area. An area is true when its
        debug lines are logged; with verbose its least level is shown instead.
        """
        if self._levels is None:
            raise RpcError(MISC_ERROR, "the log belongs to an observer given to twistd")
        known = self._levels.shown()
        wanted, usual = _areas(include or (), known), _areas(exclude or (), known)
        for area in wanted:
            self._levels.set(area, level)
        for area in usual:
            self._levels.set(area, USUAL)
        shown = self._levels.shown()
        return dict(shown) if verbose else {area: now == DETAILED for area, now in shown.items()}


def _areas(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The areas that ``names`` stand for; RPC error -8 for one that is none."""
    known = list(known)
    found: dict[str, None] = {}
    for name in names:
        if name in ALL:
            found |= dict.fromkeys(known)
        elif name not in NONE and name not in known:
            raise RpcError(INVALID_PARAMETER, f"unknown logging category {name}")
        elif name not in NONE:
            found[name] = None
    return list(found)
