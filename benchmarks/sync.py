"""How long a fresh node needs to catch up with a long chain, by itself and killed on the way.

    .venv/bin/python benchmarks/sync.py [--blocks 10000] [--sources 2] [--kills 5] [--fast]
        [--profile]

Sources are nodes that hold the chain of ``make_chain.py``; the fresh node calls them all. Prints
seconds, blocks and transactions a second, the processor time of the fresh node and its memory. With
``--fast`` it starts from a set of unspent outputs, and the blocks behind it are waited for too.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from make_chain import ensure_chain
from network import profile

from timecoin.client.blocking import BlockingClient, RpcUnreachable
from timecoin.node.config import COOKIE_NAME, GENESIS_NAME
from timecoin.node.preflight import STORE_DIRECTORY

TWISTD = str(Path(sys.executable).with_name("twistd"))
POLL_S = 0.02
PROFILE_S = 15
COMPARED = 20
"""Blocks whose whole content is compared, besides the first and the last."""
LIMIT_S = 3_600


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Place:
    """One node's directory and ports, and its process while it runs."""

    directory: Path
    genesis: Path
    peers: Sequence[int] = ()
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    rpc_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; the log goes to ``node.log``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [TWISTD, "--nodaemon", "--pidfile=", "timecoin", "--network=devnet"]
        command += [f"--genesis={self.genesis}", f"--datadir={self.directory}"]
        command += [f"--port={self.port}", f"--rpc-bind=127.0.0.1:{self.rpc_port}"]
        if self.peers:
            command.append("--peers=" + ",".join(f"127.0.0.1:{port}" for port in self.peers))
        with (self.directory / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options], stdout=log, stderr=log, cwd=self.directory
            )

    def call(self, method: str, *params: object) -> object:
        """The result of an RPC; None while the node does not answer."""
        cookie = self.directory / COOKIE_NAME
        if not cookie.exists():
            return None
        user, _, password = cookie.read_text().strip().partition(":")
        client = BlockingClient(f"http://127.0.0.1:{self.rpc_port}/", user, password)
        try:
            return client.call(method, params)
        except RpcUnreachable:
            return None
        finally:
            client.close()

    def history(self) -> float:
        """The share of all blocks that are here with their indexes; 0 while it does not answer."""
        found = self.call("getblockchaininfo")
        if not isinstance(found, dict) or not found["blocks"]:
            return 0.0
        told = found["history"]
        return (
            float(told["share"]) if told["first_block"] > 1 else float(told["first_indexed"] == 1)
        )

    def height(self) -> int:
        """Blocks so far; -1 while the node does not answer."""
        found = self.call("getblockcount")
        return found if isinstance(found, int) else -1

    def wait(self, measure: Callable[[], float], goal: float) -> None:
        """Return when ``measure`` has reached ``goal``."""
        deadline = time.monotonic() + LIMIT_S
        while measure() < goal:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"the node has ended: see {self.directory}/node.log")
            if time.monotonic() > deadline:
                raise RuntimeError(f"not at {goal} after {LIMIT_S} s")
            time.sleep(POLL_S)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the process and wait for it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def cpu_s(self) -> float:
        """Processor time of the process so far."""
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def waited_s(self) -> float:
        """How long its threads have been ready to run and had no processor."""
        assert self.process is not None
        found = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[1]) for path in found) / 1e9

    def memory_mb(self) -> int:
        """The most memory that the process has had."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024


def sources_of(chain: Path, count: int, directory: Path) -> list[Place]:
    """Nodes that hold ``chain``, started."""
    made = []
    for number in range(count):
        place = Place(directory / f"source{number}", chain / GENESIS_NAME)
        shutil.copytree(chain / STORE_DIRECTORY, place.directory / STORE_DIRECTORY)
        place.start()
        made.append(place)
    return made


def kill_on_the_way(node: Place, kills: int, measure: Callable[[], float], goal: float) -> None:
    """Kill ``node`` ``kills`` times: as soon as it answers, and at equal parts of ``goal``."""
    for number in range(kills):
        node.wait(node.height, 0)
        node.wait(measure, goal * number / kills)
        reached = measure()
        if reached >= goal:
            raise RuntimeError(f"at {reached:g} before kill {number + 1} of {kills}")
        node.end(signal.SIGKILL)
        node.start()
        print(f"  killed at {reached:g}", flush=True)


def differences(one: Place, other: Place, blocks: int, rng: random.Random) -> list[str]:
    """Which of their sets of unspent outputs, and of some of their blocks, are not the same."""
    found = []
    if one.call("gettxoutsetinfo") != other.call("gettxoutsetinfo"):
        found.append("unspent outputs")
    for height in sorted({1, blocks, *(rng.randint(1, blocks) for _ in range(COMPARED))}):
        if one.call("getblock", height, 2) != other.call("getblock", height, 2):
            found.append(f"block {height}")
    return found


def main() -> None:
    """Measure one way to catch up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--payments", type=int, default=5, help="in each block")
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0, help="kill -9 so often on the way")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fast", action="store_true", help="start from a set of unspent outputs")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    chain = ensure_chain(options.blocks, options.payments, options.cache).absolute()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sources = sources_of(chain, options.sources, directory)
        ports = [place.port for place in sources]
        extra = ["--snapshotsync=1"] if options.fast else []
        fresh = Place(directory / "fresh", chain / GENESIS_NAME, ports, extra)
        rng = random.Random(options.seed)
        try:
            for source in sources:
                source.wait(source.height, options.blocks)
            began_s = time.monotonic()
            fresh.start()
            if options.profile:
                fresh.wait(fresh.height, 1)
                assert fresh.process is not None
                print(profile(fresh.process.pid, PROFILE_S))
            measure, goal = (fresh.history, 1.0) if options.fast else (fresh.height, options.blocks)
            kill_on_the_way(fresh, options.kills, measure, goal)
            fresh.wait(fresh.height, options.blocks)
            took_s = time.monotonic() - began_s
            fresh.wait(fresh.history, 1.0)
            whole_s = time.monotonic() - began_s
            cpu_s, waited_s, megabytes = fresh.cpu_s(), fresh.waited_s(), fresh.memory_mb()
            different = differences(sources[0], fresh, options.blocks, rng)
        finally:
            for place in (*sources, fresh):
                place.end()
    payments = options.blocks * options.payments
    print(
        f"{options.blocks} blocks, {payments} transactions, {options.kills} kills: "
        f"at the tip after {took_s:.1f} s, everything here after {whole_s:.1f} s"
    )
    print(f"{options.blocks / whole_s:.0f} blocks/s, {payments / whole_s:.0f} transactions/s")
    print(
        f"its last process: {cpu_s:.1f} s of processor, {waited_s:.1f} s of waiting for one, "
        f"{megabytes} MB at most"
    )
    print(f"DIFFERENT: {', '.join(different)}" if different else "same unspent outputs and blocks")
    raise SystemExit(bool(different))


if __name__ == "__main__":
    main()
