"""Checks of the machine: clock, disk, open files, ports."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import shutil
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from timecoin.cli.doctor.finding import Finding, fail, ok, warn
from timecoin.node.config import NodeConfig
from timecoin.node.preflight import STORE_DIRECTORY, StartError, check_not_in_use, check_port_free

EARLIEST_YEAR = 2024
"""No clock that is right shows an earlier one."""
DISK_ENOUGH_BYTES = 10_000_000_000
FILES_BESIDE_PEERS = 1_024
"""Of the store, of RPC clients, and of what Python has open."""
CONNECT_TIMEOUT_S = 3.0
TIME_ERROR = 5
"""What adjtimex(2) answers when nothing keeps the clock right."""
_TIMEX_BYTES = 512
"""More than ``struct timex`` has anywhere."""


def check_machine(config: NodeConfig | None, now: datetime) -> Iterator[Finding]:
    """Clock, disk and open files; without a configuration the clock alone."""
    yield check_clock(now, clock_state())
    if config is not None:
        yield check_disk(config.datadir, config.min_disk_free_bytes)
        yield check_open_files(config.max_connections)


def clock_state() -> int | None:
    """What the kernel says of its clock: adjtimex(2); None where there is no such call."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state: int = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # all zero: change nothing
    return None if state < 0 else state


def check_clock(now: datetime, state: int | None) -> Finding:
    """Whether the clock is plausible, and kept right by somebody."""
    shown = now.isoformat(timespec="seconds")
    advice = "let NTP keep it right (timedatectl set-ntp true): votes depend on it"
    if now.year < EARLIEST_YEAR:
        return fail("clock", f"{shown} is in the past", advice)
    if state is None:
        return warn("clock", f"{shown}; the system does not tell if it is kept right", advice)
    if state == TIME_ERROR:
        return warn("clock", f"{shown}; it is not synchronized", advice)
    return ok("clock", f"{shown}, synchronized")


def check_disk(datadir: Path, least_bytes: int) -> Finding:
    """Room for the store; with less than ``least_bytes`` (mindiskfree) health is red."""
    existing = next(path for path in (datadir, *datadir.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    shown = f"{free / 1e9:.1f} GB free for {datadir}"
    if free < least_bytes:
        return fail("disk", shown, "make room: a node stops when it cannot write")
    if free < DISK_ENOUGH_BYTES:
        return warn("disk", shown, "make room, or set datadir to a larger disk")
    return ok("disk", shown)


def check_open_files(peers: int) -> Finding:
    """Whether so many inbound peers fit into the limit of open files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = peers + FILES_BESIDE_PEERS
    if limit != resource.RLIM_INFINITY and limit < needed:
        advice = f"raise it: ulimit -n {needed}, or LimitNOFILE= of the service"
        return warn("files", f"{limit} open files allowed, up to {needed} needed", advice)
    return ok("files", f"{'any number' if limit == resource.RLIM_INFINITY else limit} may be open")


def is_running(config: NodeConfig) -> bool:
    """Whether some process has the store of this data directory open."""
    try:
        check_not_in_use(config.datadir / STORE_DIRECTORY)
    except StartError:
        return True
    return False


def check_free_ports(config: NodeConfig) -> Iterator[Finding]:
    """Whether a node could listen where it is configured to."""
    wanted = [("peers", config.listen_host, config.listen_port)]
    wanted += [("rpc", host, port) for host, port in config.rpc.bind]
    for part, host, port in wanted:
        try:
            check_port_free(part, host, port)
        except StartError as error:
            advice = f"see who has it (ss -ltnp sport = :{port}), or choose another port"
            yield fail("port", str(error), advice)
        else:
            yield ok("port", f"{host}:{port} is free for {part}")


def check_peer_port(config: NodeConfig) -> Finding:
    """Whether the running node can be reached at its port for peers, from here at least."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.listen_host, config.listen_host)
    reason = cannot_connect(host, config.listen_port)
    if reason is not None:
        advice = "look into its log: it may be starting or stopping"
        return fail("port", f"no answer at {host}:{config.listen_port}: {reason}", advice)
    return ok("port", f"{host}:{config.listen_port} takes peers")


def check_configured_peers(config: NodeConfig) -> Iterator[Finding]:
    """Whether the nodes that this one should stay linked with can be reached."""
    if not config.peers:
        advice = "set peers: a node finds no others by itself"
        yield warn("peers", "none are configured", advice)
    for peer in config.peers:
        reason = cannot_connect(peer.host, peer.port)
        if reason is None:
            yield ok("peers", f"{peer} can be reached")
        else:
            advice = "check the address, its firewall and whether it runs"
            yield warn("peers", f"{peer}: {reason}", advice)


def cannot_connect(host: str, port: int) -> str | None:
    """Why there is no TCP connection to ``host:port``; None if there is."""
    try:
        with contextlib.closing(socket.create_connection((host, port), CONNECT_TIMEOUT_S)):
            return None
    except OSError as error:
        return error.strerror or str(error)
