"""What attacks from many addresses cost others: RPC, finality and blocks, quiet and attacked.

Two validators on this machine, so that every vote of both is needed; the first one is attacked,
one kind after the other. Meanwhile it is asked over HTTPS, on kept connections and on new ones, and
payments go through the other one. Prints 95th percentiles and what they are by those of the quiet
parts before and after; asserts nothing (FAULTS F24, F25).

    .venv/bin/python benchmarks/floods.py [--seconds 20] [--only slow,links] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from finality import prepare
from network import Caller, Coins, cpu_s, local_network, percentile
from peers import Crowd, Payments
from twisted.internet import defer, task

from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import NodeRecord
from timecoin.ledger.genesis import genesis_from_json
from timecoin.node.config import GENESIS_NAME

NODES = 2
SLOT_MS = 2_000
COINS = 2_500
KEPT_EVERY_S, NEW_EVERY_S = 0.05, 0.2
LATE_MS = 10_000.0
"""What an answer is taken for that has not come by then."""
BEGIN_S = 3
"""An attack has so long to become one."""
CALM_S, CALM_FINALITY_MS = 60, 100
"""Between two parts: until some payments in a row are final in that time again."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind, as ``attackers.py`` knows it."""

    name: str
    what: str
    rpc: bool
    """Against the HTTPS port; else against that of peers."""
    count: int
    rate: float


ATTACKS = (
    Attack("500 slow TLS handshakes, peers", "slow-tls", False, 500, 250),
    Attack("500 slow hellos, peers", "slow-hello", False, 500, 100),
    Attack("500 slow TLS handshakes, HTTPS", "slow-tls", True, 500, 250),
    Attack("500 slow requests, HTTPS", "slow-request", True, 500, 100),
    Attack("300 connections/s, peers", "connections", False, 0, 300),
    Attack("100 links/s, peers", "links", False, 0, 100),
    Attack("100 links that ping", "pings", False, 100, 50),
    Attack("100 links that announce", "messages", False, 100, 50),
    Attack("300 connections/s, HTTPS", "connections", True, 0, 300),
    Attack("100 TLS handshakes/s, HTTPS", "tls", True, 0, 100),
    Attack("200 connections that ask", "requests", True, 200, 50),
)


@dataclass(slots=True)
class Samples:
    """What was seen in one part, milliseconds."""

    kept: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    finality: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    """How long after the begin of its slot a block was there."""
    late: int = 0
    failed: int = 0


class Watch:
    """Asks the attacked node all the time."""

    def __init__(self, reactor: Any, node: NodeRecord) -> None:
        self._reactor = reactor
        self._kept = Caller(reactor, node)
        self._new = Caller(reactor, node, kept=False)
        self._height = 0
        self.samples = Samples()

    def start(self) -> list[task.LoopingCall]:
        """Ask until the loops are stopped."""
        loops = []
        for every_s, new in ((KEPT_EVERY_S, False), (NEW_EVERY_S, True)):
            loop = task.LoopingCall(self._ask, new)
            loop.clock = self._reactor
            loop.start(every_s)
            loops.append(loop)
        return loops

    def _ask(self, new: bool) -> None:
        defer.ensureDeferred(self._one(new))

    async def _one(self, new: bool) -> None:
        samples, began_s = self.samples, time.monotonic()
        caller, taken = (self._new, samples.new) if new else (self._kept, samples.kept)
        call = defer.ensureDeferred(caller.call("getblockcount"))
        try:
            height = await call.addTimeout(LATE_MS / 1000, self._reactor)
        except Exception:  # refused, cut off or late: all the same to who asked
            samples.late += 1
            taken.append(LATE_MS)
            return
        taken.append((time.monotonic() - began_s) * 1000)
        if height > self._height:
            self._height = height
            samples.blocks.append(time.time() * 1000 % SLOT_MS)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile; NaN of none."""
    return percentile(sorted(values), 95)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one part."""

    name: str
    kept_ms: float
    new_ms: float
    finality_ms: float
    block_ms: float
    payments: int
    blocks: int
    late: int
    failed: int
    cpu_percent: float
    attackers: dict[str, int]

    def line(self, quiet: Figures | None) -> str:
        """For a person; ``quiet``: what to compare with."""

        def value(name: str) -> str:
            own = getattr(self, name)
            by = "" if quiet is None else f" (x{own / getattr(quiet, name):4.1f})"
            return f"{own:6.0f}{by}"

        told = "  ".join(f"{key} {count}" for key, count in self.attackers.items())
        return (
            f"{self.name:32s} RPC kept {value('kept_ms')}  new {value('new_ms')}  "
            f"finality {value('finality_ms')}  block {value('block_ms')} ms at p95;  "
            f"{self.payments} payments, {self.blocks} blocks, {self.late} answers late, "
            f"{self.failed} payments failed, processor {self.cpu_percent:.0f} %  {told}"
        )


async def measure(reactor: Any, options: argparse.Namespace, network: Devnet) -> None:
    """Quiet, then each attack, then quiet again."""
    genesis = genesis_from_json((network.directory / GENESIS_NAME).read_text())
    node, other = network.nodes
    callers = [Caller(reactor, node), Caller(reactor, other)]
    coins = Coins(genesis, options.seed)
    await prepare(reactor, callers, coins, COINS)
    payments = Payments(reactor, callers[1:] * 2, coins)
    watch = Watch(reactor, node)
    loops = [payments.start(), *watch.start()]

    async def calm() -> None:
        until_s = time.monotonic() + CALM_S
        paid = len(payments.latencies_ms)
        while time.monotonic() < until_s:
            await task.deferLater(reactor, 1)
            recent = payments.latencies_ms[paid:]
            if len(recent) >= 5 and max(recent[-5:]) < CALM_FINALITY_MS:
                return

    async def part(name: str, crowd: Crowd | None) -> Figures:
        await task.deferLater(reactor, BEGIN_S)
        samples = watch.samples = Samples()
        paid, failures = len(payments.latencies_ms), payments.failures
        busy_s, began_s = cpu_s(node), time.monotonic()
        await task.deferLater(reactor, options.seconds)
        took_s = time.monotonic() - began_s
        samples.finality = payments.latencies_ms[paid:]
        return Figures(
            name,
            p95(samples.kept),
            p95(samples.new),
            p95(samples.finality),
            p95(samples.blocks),
            len(samples.finality),
            len(samples.blocks),
            samples.late,
            payments.failures - failures,
            100 * (cpu_s(node) - busy_s) / took_s,
            {} if crowd is None else crowd.told(),
        )

    def tell(figures: Figures, quiet: Figures | None) -> None:
        print(json.dumps(asdict(figures)) if options.json else figures.line(quiet), flush=True)

    quiet = await part("quiet", None)
    tell(quiet, None)
    for attack in ATTACKS:
        if options.only and not any(word in attack.name for word in options.only.split(",")):
            continue
        crowd = Crowd(
            attack.what,
            (urlsplit(node.rpc_url).port or 0) if attack.rpc else node.p2p_port,
            genesis,
            f"--count={attack.count}",
            f"--rate={attack.rate}",
            f"--seconds={options.seconds + BEGIN_S + 1}",
            script="attackers.py",
        )
        try:
            tell(await part(attack.name, crowd), quiet)
        finally:
            crowd.end()
        await calm()
    tell(await part("quiet again", None), quiet)
    for loop in loops:
        loop.stop()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of each part [20]")
    parser.add_argument("--only", help="attacks whose names hold one of these words")
    parser.add_argument("--port", type=int, default=9_460, help="first port of the nodes [9460]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    options = parser.parse_args()
    with local_network(NODES, options.port, SLOT_MS, lambda _: None, tls=True) as network:
        task.react(lambda reactor: defer.ensureDeferred(measure(reactor, options, network)))


if __name__ == "__main__":
    main()
