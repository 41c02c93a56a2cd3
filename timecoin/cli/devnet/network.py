"""A local network as a whole: found it, wait until it is one network, stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from timecoin.cli.devnet import founding, processes
from timecoin.cli.devnet.record import (
    DevnetError,
    NodeRecord,
    read_records,
    write_records,
)
from timecoin.client.blocking import RpcCallError, RpcUnreachable
from timecoin.node.config import PROGRAM

READY_BASE_S = 30.0
READY_PER_NODE_S = 6.0
POLL_S = 0.2
STDERR_PREFIX = f"{PROGRAM}: "

Progress = Callable[[str], None]


class Devnet:
    """The running nodes of one directory, in the order of ``nodes.json``."""

    def __init__(self, directory: Path, nodes: list[NodeRecord]) -> None:
        self.directory = directory
        self.nodes = nodes

    @classmethod
    def start(
        cls,
        directory: Path,
        count: int,
        base_port: int,
        slot_ms: int,
        progress: Progress,
        tls: bool = False,
        recorded: bool = False,
    ) -> Devnet:
        """Found and start a network; it is ready when this returns.

        :class:`DevnetError` if it cannot be: nothing runs then.
        """
        directory = directory.absolute()
        founding.check_free(directory, base_port, count)
        nodes = founding.plan(directory, count, base_port, tls)
        founding.found(directory, nodes, slot_ms, recorded)
        network = cls(directory, nodes)
        try:
            for index in range(count):
                network.launch(index)
            progress(f"{count} nodes started in {directory}")
            network.wait_ready()
        except BaseException:  # also a Ctrl-C: what was started is ours to stop
            network.stop()
            raise
        progress("every node is connected to all others" if count > 1 else "the node answers")
        return network

    @classmethod
    def open(cls, directory: Path) -> Devnet:
        """The network that was started in ``directory``; :class:`DevnetError` if there is none."""
        return cls(directory.absolute(), read_records(directory))

    def add(self) -> NodeRecord:
        """Found and start one node more; it is linked with all others when this returns.

        It has keys and a wallet of its own, but no coins, and it is in no active set.
        :class:`DevnetError` if it cannot be: then it does not run, and is not recorded.
        """
        node = founding.plan_next(self.directory, self.nodes)
        founding.equip(self.directory, node, self.nodes)
        self.nodes.append(node)
        try:
            self.launch(len(self.nodes) - 1)
            self.wait_ready()
        except BaseException:  # also a Ctrl-C: what was started is ours to stop
            processes.stop([self.nodes.pop()])
            write_records(self.directory, self.nodes)
            raise
        return self.nodes[-1]

    def reread(self) -> None:
        """Learn of nodes that another process has added or started again."""
        self.nodes = read_records(self.directory)

    def launch(self, index: int) -> None:
        """Start, or start again, the node at ``index``."""
        self.nodes[index] = processes.launch(self.nodes[index])
        write_records(self.directory, self.nodes)

    def kill(self, index: int) -> None:
        """``kill -9`` the node at ``index``."""
        processes.kill([self.nodes[index]])

    def stop(self) -> list[NodeRecord]:
        """Stop all nodes; returns those that had to be killed."""
        return processes.stop(self.nodes)

    def ended(self) -> list[NodeRecord]:
        """The nodes whose process does not live."""
        return [node for node in self.nodes if not processes.is_running(node)]

    def wait_ready(self) -> None:
        """Wait until every node answers and is connected to all others; :class:`DevnetError`."""
        deadline = time.monotonic() + READY_BASE_S + READY_PER_NODE_S * len(self.nodes)
        waiting = list(self.nodes)
        while waiting:
            for node in waiting:
                if not processes.is_running(node):
                    status = processes.exit_status(node)
                    raise DevnetError(
                        f"{node.name} has ended with status {status}{_last_words(node)}"
                    )
            waiting = [node for node in waiting if connections(node) != len(self.nodes) - 1]
            if waiting and time.monotonic() > deadline:
                names = ", ".join(node.name for node in waiting)
                raise DevnetError(f"not ready in time: {names}; see {waiting[0].log_path}")
            if waiting:
                time.sleep(POLL_S)


def connections(node: NodeRecord) -> int | None:
    """The number of other nodes that ``node`` is linked with; None if it does not answer."""
    client = node.client(timeout_s=5.0)
    try:
        return len(client.call("getpeerinfo"))
    except (RpcUnreachable, RpcCallError):
        return None
    finally:
        client.close()


def _last_words(node: NodeRecord) -> str:
    """What a node that has ended said about it: the line that it meant for stderr, if any."""
    lines = node.log_path.read_text("utf-8", errors="replace").splitlines()
    meant = [line for line in lines if line.startswith(STDERR_PREFIX)] or lines
    said = f": {meant[-1].removeprefix(STDERR_PREFIX).strip()}" if meant else ""
    return f"{said} (log {node.log_path})"
