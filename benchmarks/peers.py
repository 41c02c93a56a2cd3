"""What a thousand peers, and ten thousand callers, cost a node that goes on finalizing.

Three validators on this machine; the first one has the peers. While payments are made at a steady
rate, peers that chat at normal rates link with it, and then callers in a hurry, each from an
address of its own, until ``--opened`` connections have been opened. Prints the node's memory and
processor time and the latency of payments at the others, before, during and after; asserts nothing.

    .venv/bin/python benchmarks/peers.py [--peers 1000] [--opened 10000] [--seconds 30] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finality import prepare
from network import Caller, Coins, cpu_s, percentile
from twisted.internet import defer, task
from twisted.internet.threads import deferToThread

from timecoin.cli.devnet import processes
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import NodeRecord
from timecoin.ledger.genesis import Genesis, genesis_from_json
from timecoin.node.config import GENESIS_NAME

NODES = 3
RATE = 10
WAIT_S = 60
CHATTERS_PER_SECOND = 9.5
"""Just below what one address may connect."""
HURRY_PER_SECOND = 100


def memory_mb(node: NodeRecord, field: str = "VmRSS") -> int:
    """Resident memory of the node's process; ``VmHWM`` is the most that it ever was."""
    status = Path(f"/proc/{node.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) // 1024


class Crowd:
    """The other process, and what it tells."""

    def __init__(
        self, what: str, port: int, genesis: Genesis, *more: str, script: str = "crowd.py"
    ) -> None:
        """``more``: options of ``script``."""
        path = Path(__file__).with_name(script)
        command = [sys.executable, str(path), what, f"--port={port}", *more]
        command += [f"--chain-id={genesis.chain_id.hex()}", f"--genesis={genesis.hash.hex()}"]
        self._out = tempfile.TemporaryFile()  # noqa: SIM115  # open while the crowd is there
        self._child = subprocess.Popen(command, stdout=self._out, stderr=subprocess.DEVNULL)

    def told(self) -> dict[str, int]:
        """Its last line."""
        self._out.seek(0)
        lines = self._out.read().decode().splitlines()
        found: dict[str, int] = json.loads(lines[-1]) if lines else {}
        return found

    def ended(self) -> bool:
        """Whether it is done."""
        return self._child.poll() is not None

    def end(self) -> None:
        """Gone, with all its connections."""
        self._child.kill()
        self._child.wait()


class Payments:
    """A payment every now and then, each waited for at another node."""

    def __init__(self, reactor: Any, callers: list[Caller], coins: Coins) -> None:
        self._reactor = reactor
        self._callers = callers
        self._coins = coins
        self.latencies_ms: list[float] = []
        self.failures = 0

    def start(self) -> task.LoopingCall:
        """Pay until the loop is stopped."""
        loop = task.LoopingCall(self._pay)
        loop.clock = self._reactor
        loop.start(1 / RATE, now=False)
        return loop

    def _pay(self) -> None:
        call = defer.ensureDeferred(self._one())
        call.addErrback(self._failed)

    async def _one(self) -> None:
        (tx,) = self._coins.payments(1)
        sent = time.monotonic()
        await self._callers[0].call("sendrawtransaction", tx.encoded.hex())
        await self._callers[1].call("waittransactionfinality", tx.txid.hex(), WAIT_S)
        self.latencies_ms.append((time.monotonic() - sent) * 1000)
        self._coins.free(tx, 1)

    def _failed(self, _: object) -> None:
        self.failures += 1


class Measured:
    """Figures of one part of the run."""

    def __init__(self, name: str, node: NodeRecord, payments: Payments) -> None:
        self.name = name
        self._node = node
        self._payments = payments
        self._since = len(payments.latencies_ms), time.monotonic(), cpu_s(node)

    def figures(self, **more: int) -> dict[str, Any]:
        """Up to now."""
        first, started_s, cpu = self._since
        ordered = sorted(self._payments.latencies_ms[first:])
        return {
            "part": self.name,
            "seconds": round(time.monotonic() - started_s, 1),
            "memory_mb": memory_mb(self._node),
            "peak_mb": memory_mb(self._node, "VmHWM"),
            "cpu_percent": round(
                100 * (cpu_s(self._node) - cpu) / (time.monotonic() - started_s), 1
            ),
            "payments": len(ordered),
            "p50_ms": round(percentile(ordered, 50), 1),
            "p95_ms": round(percentile(ordered, 95), 1),
            "failures": self._payments.failures,
            **more,
        }


def line(figures: dict[str, Any]) -> str:
    """For a person."""
    rest = "  ".join(
        f"{key} {figures[key]}"
        for key in ("links", "opened", "let_go", "refused")
        if key in figures
    )
    return (
        f"{figures['part']:22s} {figures['seconds']:6.1f} s  memory {figures['memory_mb']:4d} MB "
        f"(peak {figures['peak_mb']} MB)  processor {figures['cpu_percent']:5.1f} %  "
        f"finality p50 {figures['p50_ms']:7.1f} ms  p95 {figures['p95_ms']:7.1f} ms  "
        f"({figures['payments']} payments, {figures['failures']} failed)  {rest}"
    )


async def measure(reactor: Any, options: argparse.Namespace, network: Devnet) -> None:
    """One part after the other."""
    genesis = genesis_from_json((network.directory / GENESIS_NAME).read_text())
    node = network.nodes[0]
    watched, *callers = (Caller(reactor, each) for each in network.nodes)
    while (await watched.call("getblockchaininfo"))["initialblockdownload"]:
        await task.deferLater(reactor, 0.5)  # it was away for a moment
    coins = Coins(genesis, options.seed)
    await prepare(reactor, [watched, *callers], coins, 2_500)
    payments = Payments(reactor, callers, coins)
    loop = payments.start()

    def tell(figures: dict[str, Any]) -> None:
        print(json.dumps(figures) if options.json else line(figures), flush=True)

    async def links() -> int:
        count: int = await watched.call("getconnectioncount")
        return count

    async def wait(seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and not done():
            await task.deferLater(reactor, 0.5)

    part = Measured("no peers", node, payments)
    await wait(options.seconds)
    tell(part.figures(links=await links()))

    def begin(what: str, count: int, rate: float) -> Crowd:
        return Crowd(what, node.p2p_port, genesis, f"--count={count}", f"--rate={rate}")

    crowd = begin("chat", options.peers, CHATTERS_PER_SECOND)
    hurry: Crowd | None = None
    try:
        part = Measured("peers come", node, payments)
        await wait(
            options.peers / CHATTERS_PER_SECOND * 4 + 60,
            lambda: crowd.told().get("links", 0) >= options.peers,
        )
        tell(part.figures(links=await links(), opened=crowd.told().get("opened", 0)))
        part = Measured("peers chat", node, payments)
        await wait(options.seconds)
        tell(part.figures(links=await links()))
        hurry = begin("hurry", options.opened, HURRY_PER_SECOND)
        part = Measured("callers in a hurry", node, payments)
        await wait(options.opened / HURRY_PER_SECOND * 8 + 60, hurry.ended)
        told = hurry.told()
        tell(
            part.figures(
                links=await links(),
                opened=told.get("opened", 0),
                let_go=told.get("let_go", 0),
                refused=told.get("refused", 0),
            )
        )
    finally:
        for each in (crowd, hurry):
            if each is not None:
                each.end()
    part = Measured("all gone", node, payments)
    await wait(options.seconds)
    loop.stop()
    tell(part.figures(links=await links()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=1_000, help="that chat [1000]")
    parser.add_argument("--opened", type=int, default=10_000, help="connections in a hurry [10000]")
    parser.add_argument("--seconds", type=int, default=30, help="of the quiet parts [30]")
    parser.add_argument("--port", type=int, default=9_400, help="first port of the nodes [9400]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    options = parser.parse_args()

    async def run(reactor: Any, directory: str) -> None:
        network = await deferToThread(
            Devnet.start, Path(directory) / "net", NODES, options.port, 2_000, lambda _: None
        )
        try:
            first = network.nodes[0]
            processes.stop([first])
            with first.config_path.open("a") as settings:
                settings.write(f"maxconnections={options.peers + NODES}\n")
            network.launch(0)
            await deferToThread(network.wait_ready)
            await measure(reactor, options, network)
        finally:
            await deferToThread(network.stop)

    with tempfile.TemporaryDirectory(prefix="timecoin-bench-") as directory:
        task.react(lambda reactor: defer.ensureDeferred(run(reactor, directory)))


if __name__ == "__main__":
    main()
