"""Records a node while it runs: ``--record``.

A recording never harms its node: when the file is full, by its bound or by the disk, it ends with
one line in the log. It holds no secret key, but who reads it while the node runs can foretell what
the node draws by lot: it is for its owner only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from twisted.logger import Logger

from timecoin import __version__
from timecoin.node.node import Node, NodeSettings
from timecoin.node.recording import items
from timecoin.node.recording.file import MAGIC, MAX_BLOCK_BYTES, block
from timecoin.node.recording.tape import OTHERS_TABLES, A, build_taped, taped_ports
from timecoin.node.runtime import Runtime
from timecoin.store.engine import Engine, Row
from timecoin.store.keys import TABLES

STORED_ROWS = 1_000
"""In one block."""
OWNER_ONLY = 0o600
OLD_SUFFIX = ".old"

_log = Logger("timecoin.node")


class Recorder:
    """A :class:`~timecoin.node.recording.tape.Tape` that is written to a file."""

    def __init__(self, file: FileIO, max_bytes: int) -> None:
        self._file = file
        self._left = max_bytes
        self._items: list[items.Item] = []
        self._depth = 0  # of inputs that the node is busy with
        self._put(MAGIC)

    def begin(self, header: items.Header, engine: Engine) -> None:
        """Write down where the node starts from: its settings, and the rows of its store."""
        self._put(block(header))
        rows: list[Row] = []

        def flush() -> None:
            if rows:
                self._put(block(items.Turn((items.Stored(tuple(rows)),))))
            rows.clear()

        for table in TABLES:
            if table not in OTHERS_TABLES:
                for key, value in engine.scan(table):
                    rows.append((table, key, value))
                    if len(rows) == STORED_ROWS:
                        flush()
        flush()

    @property
    def ended(self) -> bool:
        """Whether nothing is recorded any more."""
        return self._file.closed

    @contextmanager
    def input(self, item: items.Input) -> Iterator[None]:
        """See :class:`~timecoin.node.recording.tape.Tape`."""
        self._depth += 1
        self._note(item)
        try:
            yield
        finally:
            self._note(items.End())
            self._depth -= 1
            if not self._depth:
                self._end_turn()

    def answer(self, kind: type[A], ask: Callable[[], A]) -> A:
        """See :class:`~timecoin.node.recording.tape.Tape`."""
        told = ask()
        self._note(told)
        return told

    def effect(self, item: items.Effect) -> None:
        """See :class:`~timecoin.node.recording.tape.Tape`."""
        self._note(item)

    def _note(self, item: items.Item) -> None:
        """Outside of all inputs nothing is noted: who only looks at the clock moves nothing."""
        if self._depth and not self.ended:
            self._items.append(item)

    def _end_turn(self) -> None:
        if self.ended:
            return
        stopped = any(isinstance(item, items.Stop) for item in self._items)
        self._put(block(items.Turn(tuple(self._items))))
        self._items.clear()
        if stopped:
            self._file.close()

    def _put(self, data: bytes) -> None:
        if self.ended:
            return
        if len(data) > min(self._left, MAX_BLOCK_BYTES):
            self._give_up("it is as large as it may become")
            return
        self._left -= len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self._give_up(str(error))

    def _give_up(self, reason: str) -> None:
        _log.warn("the recording ends: {reason}", reason=reason)
        self._file.close()


def open_recording(path: Path) -> FileIO:
    """A new file ``path`` for a recording; the one before it stays, with ``.old`` behind its name.

    ``OSError`` when that cannot be.
    """
    if path.exists():
        path.replace(path.with_name(path.name + OLD_SUFFIX))
    return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb")


def build_recorded(settings: NodeSettings, runtime: Runtime, file: FileIO, max_bytes: int) -> Node:
    """The node that ``build_node`` builds, recorded into ``file`` up to ``max_bytes``."""
    recorder = Recorder(file, max_bytes)
    recorder.begin(items.header_of(settings, __version__), runtime.engine)
    return build_taped(settings, taped_ports(recorder, runtime), recorder)
