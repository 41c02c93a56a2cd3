"""How long a fresh node needs to catch up with a long chain, by itself and killed on the way.

    .venv/bin/python benchmarks/sync.py [--blocks 10000] [--sources 2] [--kills 5] [--profile]

Sources are nodes that hold the chain of ``make_chain.py``; the fresh node calls them all. Prints
seconds, blocks and transactions a second, the processor time of the fresh node and its memory.
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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from make_chain import ensure_chain
from network import profile

from timecoin.client.blocking import BlockingClient, RpcUnreachable
from timecoin.node.config import COOKIE_NAME, GENESIS_NAME
from timecoin.node.preflight import STORE_DIRECTORY

TWISTD = str(Path(sys.executable).with_name("twistd"))
POLL_S = 0.2
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

    def call(self, method: str) -> object:
        """The result of an RPC; None while the node does not answer."""
        cookie = self.directory / COOKIE_NAME
        if not cookie.exists():
            return None
        user, _, password = cookie.read_text().strip().partition(":")
        client = BlockingClient(f"http://127.0.0.1:{self.rpc_port}/", user, password)
        try:
            return client.call(method)
        except RpcUnreachable:
            return None
        finally:
            client.close()

    def height(self) -> int:
        """Blocks so far; -1 while the node does not answer."""
        found = self.call("getblockcount")
        return found if isinstance(found, int) else -1

    def wait(self, height: int) -> None:
        """Return when the node has ``height`` blocks."""
        deadline = time.monotonic() + LIMIT_S
        while self.height() < height:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"the node has ended: see {self.directory}/node.log")
            if time.monotonic() > deadline:
                raise RuntimeError(f"not at {height} after {LIMIT_S} s")
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


def kill_on_the_way(node: Place, kills: int, blocks: int, rng: random.Random) -> None:
    """Kill ``node`` ``kills`` times while it catches up, each time after some seconds of life."""
    done = 0
    while done < kills and node.height() < blocks:
        node.wait(0)
        time.sleep(rng.uniform(0.2, 3.0))
        reached = node.height()
        if reached >= blocks:
            break
        node.end(signal.SIGKILL)
        node.start()
        node.wait(0)
        done += 1
        print(f"  killed at {reached}, again at {node.height()}", flush=True)


def main() -> None:
    """Measure one way to catch up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--payments", type=int, default=5, help="in each block")
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0, help="kill -9 so often on the way")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--option", action="append", default=[], help="for the fresh node")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    chain = ensure_chain(options.blocks, options.payments, options.cache).absolute()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sources = sources_of(chain, options.sources, directory)
        ports = [place.port for place in sources]
        fresh = Place(directory / "fresh", chain / GENESIS_NAME, ports, options.option)
        try:
            for source in sources:
                source.wait(options.blocks)
            began_s = time.monotonic()
            fresh.start()
            if options.profile:
                fresh.wait(1)
                assert fresh.process is not None
                print(profile(fresh.process.pid, 15))
            kill_on_the_way(fresh, options.kills, options.blocks, random.Random(options.seed))
            fresh.wait(options.blocks)
            took_s = time.monotonic() - began_s
            megabytes, cpu_s = fresh.memory_mb(), fresh.cpu_s()
            roots = {str(place.call("gettxoutsetinfo")) for place in (sources[0], fresh)}
        finally:
            for place in (*sources, fresh):
                place.end()
    payments = options.blocks * options.payments
    print(
        f"{options.blocks} blocks, {payments} transactions, {options.kills} kills: {took_s:.1f} s"
    )
    print(f"{options.blocks / took_s:.0f} blocks/s, {payments / took_s:.0f} transactions/s")
    print(f"its last process: {cpu_s:.1f} s of processor, {megabytes} MB at most")
    print("same set of unspent outputs" if len(roots) == 1 else f"DIFFERENT SETS: {roots}")
    raise SystemExit(len(roots) != 1)


if __name__ == "__main__":
    main()
