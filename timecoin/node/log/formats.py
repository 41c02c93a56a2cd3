"""One event as one line: text for people, JSON for programs, or with a priority for the journal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.logger import LogEvent, formatEvent

from timecoin.node.log.levels import LEVELS, area_of, rank_of
from timecoin.node.log.redact import Redaction

FORMATS = ("text", "json", "journal")
PRIORITY = dict(zip(LEVELS, (7, 6, 4, 3, 2), strict=True))
"""Those of syslog(3), which systemd takes from ``<N>`` at the beginning of a line."""
MAX_TEXT_CHARS = 8_192
"""What others send must not fill a disk by one line."""
REQUEST = "request"

Format = Callable[[LogEvent], str]


def make_format(name: str, redaction: Redaction) -> Format:
    """The format ``name`` of ``FORMATS``: a line ending in a newline, empty for nothing to say."""
    if name == "json":
        return _Json(redaction).line
    return _Journal(redaction).line if name == "journal" else _Text(redaction).line


class _Text:
    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def line(self, event: LogEvent) -> str:
        """``2026-11-21T06:50:00.123Z info  consensus: height 7: ...``; tracebacks follow."""
        text = message(event)
        if not text:
            return ""
        head = f"{stamp(event)} {level(event):<5} {area_of(event)}: {_one_line(text)}"
        return self._redaction.text(head + _request(event) + "\n" + traceback(event))


class _Journal:
    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def line(self, event: LogEvent) -> str:
        """``<6>consensus: height 7: ...``: time and unit are the journal's; each line of a
        traceback has the priority too."""
        text = message(event)
        if not text:
            return ""
        priority = f"<{PRIORITY[level(event)]}>"
        head = f"{area_of(event)}: {_one_line(text)}{_request(event)}"
        lines = [head, *traceback(event).splitlines()]
        return self._redaction.text("".join(f"{priority}{each}\n" for each in lines))


class _Json:
    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def line(self, event: LogEvent) -> str:
        """One object: time, level, area, message and the event's own fields."""
        text = message(event)
        if not text:
            return ""
        shown: dict[str, object] = {
            "time": stamp(event),
            "level": level(event),
            "area": area_of(event),
            "message": self._redaction.text(text),
        }
        for name, value in event.items():
            if name.startswith("log_") or name in shown or name in ("format", "isError"):
                continue
            plain = _plain(value)
            if plain is not None:
                shown[name] = self._redaction.field(name, plain)
        failed = traceback(event)
        if failed:
            shown["traceback"] = self._redaction.text(failed)
        return json.dumps(shown, ensure_ascii=False) + "\n"


def message(event: LogEvent) -> str:
    """The text of ``event``, of bounded length."""
    text = formatEvent(event)
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"{text[:MAX_TEXT_CHARS]}... ({len(text)} characters)"


def level(event: LogEvent) -> str:
    """Its level by name."""
    return LEVELS[rank_of(event)]


def stamp(event: LogEvent) -> str:
    """When it was, in UTC with milliseconds."""
    at = datetime.fromtimestamp(event["log_time"], UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def traceback(event: LogEvent) -> str:
    """Its traceback, empty if it has none."""
    failure = event.get("log_failure")
    return "" if failure is None else str(failure.getTraceback())


def _request(event: LogEvent) -> str:
    request = event.get(REQUEST)
    return "" if request is None else f" [{request}]"


def _one_line(text: str) -> str:
    """What others put into a message must not forge a line of its own."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _plain(value: object) -> object:
    """``value`` as JSON has it: bytes in hex; None for what is no plain value."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value[:MAX_TEXT_CHARS]
    return value if isinstance(value, int | float) else None
