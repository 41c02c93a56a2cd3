"""The node's log as a whole: the observer that twistd is given, and what can be changed of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import IO

from twisted.logger import ILogObserver, LogEvent
from twisted.python.logfile import BaseLogFile
from zope.interface import implementer

from timecoin.node.log.formats import REQUEST, make_format
from timecoin.node.log.levels import LEVELS, Levels, rank_of
from timecoin.node.log.redact import Redaction
from timecoin.node.log.repeats import Repeats


@implementer(ILogObserver)
class LogOutput:
    """Filters, limits, counts and writes events; called for every one of them."""

    def __init__(
        self,
        out: IO[str] | BaseLogFile,
        levels: Levels,
        format_name: str,
        request_id: Callable[[], str | None],
    ) -> None:
        """``request_id``: the id of the RPC request that is being answered now, if any."""
        self._out = out
        self.levels = levels
        self.redaction = Redaction()
        self._format = make_format(format_name, self.redaction)
        self._request_id = request_id
        self._repeats = Repeats(self._put)
        self._lines = [0] * len(LEVELS)

    @property
    def lines(self) -> Mapping[str, int]:
        """Events by level since the start, of those that pass the levels; repeats included."""
        return dict(zip(LEVELS, self._lines, strict=True))

    def __call__(self, event: LogEvent) -> None:
        """Take one event."""
        if not self.levels.takes(event):
            return
        self._lines[rank_of(event)] += 1
        request_id = self._request_id()
        if request_id is not None:
            event = {**event, REQUEST: request_id}
        self._repeats(event)

    def reopen(self) -> None:
        """Write to a new file of the same name: the old one has been moved away (SIGHUP)."""
        if isinstance(self._out, BaseLogFile):
            self._out.reopen()

    def _put(self, event: LogEvent) -> None:
        line = self._format(event)
        if line:
            self._out.write(line)
            self._out.flush()


def is_journal(environ: Mapping[str, str], out: IO[str]) -> bool:
    """Whether ``out`` leads to systemd's journal (``JOURNAL_STREAM`` is its device and inode)."""
    device, colon, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    if not colon:
        return False
    try:
        found = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return (str(found.st_dev), str(found.st_ino)) == (device, inode)
