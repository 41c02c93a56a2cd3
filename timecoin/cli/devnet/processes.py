"""The processes of a local network: each in a session of its own, so that it outlives us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from timecoin.cli.devnet.record import NodeRecord

STOP_GRACE_S = 10.0
"""After this long without an end, SIGTERM is followed by SIGKILL."""
POLL_S = 0.05
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SERVICE_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
"""As the Debian unit sets it, so that what is measured here holds there."""

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Processes that this one started: their ends have to be collected."""


def launch(node: NodeRecord) -> NodeRecord:
    """Start ``twistd timecoin`` with the node's settings; the record with the new pid."""
    command = [
        sys.executable,
        str(Path(sys.executable).with_name("twistd")),
        "--nodaemon",
        "--pidfile=",
        "timecoin",
        f"--config={node.config_path}",
    ]
    with node.log_path.open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd=node.datadir,
            env={**SERVICE_ENVIRONMENT, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children[child.pid] = child
    return msgspec.structs.replace(node, pid=child.pid)


def is_running(node: NodeRecord) -> bool:
    """Whether the node's process lives: that pid, and running these settings (pids are reused)."""
    child = _children.get(node.pid)
    if child is not None:  # its pid is not given away, and its command line not there at once
        return child.poll() is None
    try:
        command = Path(f"/proc/{node.pid}/cmdline").read_bytes()
    except OSError:
        return False
    return f"--config={node.config_path}".encode() in command.split(b"\0")


def exit_status(node: NodeRecord) -> int | None:
    """How the node's process ended (negative: by that signal), if this program had started it."""
    child = _children.get(node.pid)
    return None if child is None else child.poll()


def stop(nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    """End all processes; returns those that had to be killed. A Ctrl-C does not interrupt it."""
    with _undisturbed():
        running = [node for node in nodes if is_running(node)]
        for node in running:
            _signal(node, signal.SIGTERM)
        _wait_gone(running, STOP_GRACE_S)
        stubborn = [node for node in running if is_running(node)]
        kill(stubborn)
        return stubborn


def kill(nodes: Sequence[NodeRecord]) -> None:
    """``kill -9``: no process gets to clean up."""
    for node in nodes:
        if is_running(node):
            _signal(node, signal.SIGKILL)
    _wait_gone(nodes, STOP_GRACE_S)


def stop_by_signals() -> None:
    """Let every way to end this program raise ``KeyboardInterrupt``, so that it stops its nodes.

    SIGINT too: a shell starts its background jobs with that one ignored. It gets Python's own
    handler, which Twisted's reactor replaces by one that stops it.
    """
    for number in END_SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore the signals by which a user ends this program (they can be set in its main thread)."""
    in_main = threading.current_thread() is threading.main_thread()
    numbers = END_SIGNALS if in_main else ()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal(node: NodeRecord, number: signal.Signals) -> None:
    try:
        os.kill(node.pid, number)
    except ProcessLookupError:
        return  # it has ended meanwhile


def _wait_gone(nodes: Sequence[NodeRecord], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while any(is_running(node) for node in nodes) and time.monotonic() < deadline:
        time.sleep(POLL_S)
