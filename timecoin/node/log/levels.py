"""Which lines are written: a least level for all, and others for single areas.

The area of a line is the package that it comes from: ``consensus``, ``p2p``, ``rpc`` and so on, and
``twisted`` for Twisted itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twisted.logger import LogEvent, LogLevel

LEVELS = ("debug", "info", "warn", "error", "critical")
TWISTED = "twisted"
AREAS = (
    "chain",
    "consensus",
    "explorer",
    "finality",
    "light",
    "masternodes",
    "mempool",
    "metrics",
    "node",
    "p2p",
    "rpc",
    "store",
    "sync",
    TWISTED,
    "wallet",
)
OWN = "timecoin."
DEFAULT_LEVEL = "info"
DEFAULT_TWISTED_LEVEL = "warn"
"""Twisted tells of every connection at info."""


@dataclass(frozen=True, slots=True)
class LevelSetting:
    """What ``loglevel`` says: a level for all areas, and those of single ones."""

    default: str = DEFAULT_LEVEL
    areas: Mapping[str, str] = field(default_factory=dict)


def read_levels(text: str) -> LevelSetting:
    """``LEVEL`` and ``AREA:LEVEL`` entries joined by commas; ``ValueError`` for anything else."""
    default: str | None = None
    areas: dict[str, str] = {}
    for entry in text.split(","):
        area, colon, level = entry.strip().rpartition(":")
        if level not in LEVELS:
            raise ValueError(f"{level!r} is none of {', '.join(LEVELS)}")
        if not colon:
            if default is not None:
                raise ValueError("a second level for all areas")
            default = level
        elif area not in AREAS:
            raise ValueError(f"{area!r} is none of the areas {', '.join(AREAS)}")
        elif area in areas:
            raise ValueError(f"{area} twice")
        else:
            areas[area] = level
    return LevelSetting(default or DEFAULT_LEVEL, areas)


def area_of(event: LogEvent) -> str:
    """The area that ``event`` comes from."""
    namespace = str(event.get("log_namespace", ""))
    if namespace.startswith(OWN):
        return namespace.removeprefix(OWN).partition(".")[0]
    return TWISTED


class Levels:
    """The levels in force; may be changed while the node runs."""

    def __init__(self, setting: LevelSetting) -> None:
        quiet = LEVELS.index(DEFAULT_TWISTED_LEVEL)
        self._default = LEVELS.index(setting.default)
        self._ranks = dict.fromkeys(AREAS, self._default)
        self._ranks[TWISTED] = max(quiet, self._default)
        for area, level in setting.areas.items():
            self._ranks[area] = LEVELS.index(level)

    def shown(self) -> dict[str, str]:
        """The least level of every area."""
        return {area: LEVELS[rank] for area, rank in self._ranks.items()}

    def set(self, area: str, level: str) -> None:
        """Write lines of ``area`` from ``level`` up; ``ValueError`` for unknown ones."""
        if area not in self._ranks:
            raise ValueError(f"{area!r} is none of the areas {', '.join(AREAS)}")
        if level not in LEVELS:
            raise ValueError(f"{level!r} is none of {', '.join(LEVELS)}")
        self._ranks[area] = LEVELS.index(level)

    def takes(self, event: LogEvent) -> bool:
        """Whether ``event`` is written."""
        return rank_of(event) >= self._ranks.get(area_of(event), self._default)

    def writes(self, area: str, level: str) -> bool:
        """Whether such lines are written: those that cost something are not made otherwise."""
        return LEVELS.index(level) >= self._ranks.get(area, self._default)


_RANK = {getattr(LogLevel, name): rank for rank, name in enumerate(LEVELS)}
_INFO = LEVELS.index("info")


def rank_of(event: LogEvent) -> int:
    """The place of the event's level in ``LEVELS``."""
    return _RANK.get(event.get("log_level"), _INFO)
