"""The same again and again: after a burst, lines of one kind are counted and not written.

A kind is an area and a message before its values are filled in. So an attacker, or a fault that
comes with every event, costs a bounded number of lines; what was left out is told in one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import LogEvent, LogLevel

from timecoin.node.log.levels import LEVELS, area_of, rank_of

WINDOW_S = 10.0
BURST = 200
"""Lines of one kind in a window: a node that catches up connects more blocks than that."""
MAX_KINDS = 1_000
CRITICAL = LEVELS.index("critical")

Kind = tuple[str, str]


@dataclass(slots=True)
class _Window:
    began_s: float
    lines: int = 0
    left_out: int = 0


class Repeats:
    """Passes events on, but no more than ``BURST`` of one kind in ten seconds."""

    def __init__(self, write: Callable[[LogEvent], None]) -> None:
        self._write = write
        self._windows: OrderedDict[Kind, _Window] = OrderedDict()

    def __len__(self) -> int:
        """Kinds remembered."""
        return len(self._windows)

    def __call__(self, event: LogEvent) -> None:
        """Take one event; critical ones always pass."""
        if rank_of(event) >= CRITICAL:
            self._write(event)
            return
        kind = (area_of(event), str(event.get("log_format") or event.get("format")))
        now_s = float(event["log_time"])
        window = self._windows.get(kind)
        if window is None or not 0 <= now_s - window.began_s < WINDOW_S:
            if window is not None:
                del self._windows[kind]
                self._tell(kind, window, event)
            window = self._windows[kind] = _Window(now_s)
            if len(self._windows) > MAX_KINDS:
                self._tell(*self._windows.popitem(last=False), event)
        window.lines += 1
        if window.lines <= BURST:
            self._write(event)
        else:
            window.left_out += 1

    def _tell(self, kind: Kind, window: _Window, event: LogEvent) -> None:
        if window.left_out:
            area, what = kind
            self._write(
                {
                    "log_namespace": f"timecoin.{area}",
                    "log_level": LogLevel.warn,
                    "log_time": event["log_time"],
                    "log_format": "{left_out} more lines left out like: {what}",
                    "left_out": window.left_out,
                    "what": what,
                }
            )
