"""How fast payments become final on a local network of four real nodes.

Signed single-input payments, made beforehand, go to all nodes in JSON-RPC batches at fixed rates.
From each batch one payment is waited for at every node: its latency runs from the moment the
batch is sent until that node answers ``waittransactionfinality``. Then the rate is raised until
it is no longer sustained. Prints figures; asserts nothing. Processor time is that of all nodes by
the payments sent: unlike a latency it hardly depends on what else the machine does.

    .venv/bin/python benchmarks/finality.py [--seconds 15] [--rates 100,500,1000] [--profile]
        [--plot finality.html]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from network import COIN_UNITS, Caller, Coins, cpu_s, local_network, percentile, profile
from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread

from timecoin import params
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.soak.plot import plot
from timecoin.cli.soak.report import page
from timecoin.crypto.address import encode_address
from timecoin.crypto.hashing import hash160
from timecoin.ledger.genesis import genesis_from_json
from timecoin.ledger.transaction import Transaction, decode_transaction
from timecoin.node.config import GENESIS_NAME

NODES = 4
BATCHES_PER_SECOND = 10
COINS_PER_FAN_OUT = 2_500
SUSTAINED_S = 30
STEP = 1.25
MAX_RATE = 8_000
WAIT_S = 60
SETTLING_BLOCKS = 2


async def prepare(reactor: IReactorTime, callers: list[Caller], coins: Coins, count: int) -> None:
    """Have the first node's wallet fund ``coins`` with at least ``count`` of them."""
    address = encode_address(params.Network.DEVNET, hash160(coins.key.public))
    for _ in range(-(-count // COINS_PER_FAN_OUT)):
        txid = await callers[0].call("sendtoaddress", address, COINS_PER_FAN_OUT + 1)
        await callers[0].call("waittransactionfinality", txid, WAIT_S)
        raw = await callers[0].call("getrawtransaction", txid)
        funding = decode_transaction(bytes.fromhex(raw))
        index = next(
            i
            for i, out in enumerate(funding.outputs)
            if out.value > COINS_PER_FAN_OUT * COIN_UNITS and out.lock_script == coins.script
        )
        fan = coins.fan_out(coins.coin(funding, index), COINS_PER_FAN_OUT)
        await callers[0].call("sendrawtransaction", fan.encoded.hex())
        await callers[0].call("waittransactionfinality", fan.txid.hex(), WAIT_S)
        coins.free(fan, COINS_PER_FAN_OUT)
    # What was prepared is archived before anything is measured.
    height = await callers[0].call("getblockcount") + SETTLING_BLOCKS
    while await callers[0].call("getblockcount") < height:
        await task.deferLater(reactor, 1)


class Run:
    """One rate for some seconds."""

    def __init__(
        self, reactor: IReactorTime, callers: list[Caller], network: Devnet, rate: int
    ) -> None:
        self._reactor = reactor
        self._callers = callers
        self._network = network
        self.rate = rate
        self.latencies_ms: list[float] = []
        self.failures: dict[str, int] = {}
        self.refused = 0
        self.cpu_us = 0.0
        self.late_s = 0.0
        self.pending: list[int] = []

    async def send(self, payments: list[Transaction]) -> None:
        """Send all ``payments`` at the rate; returns when the waited-for ones are final."""
        size = self.rate // BATCHES_PER_SECOND
        cpu_s = self._cpu_s()
        began = time.monotonic()
        waits: list[defer.Deferred[Any]] = []
        for number, batch in enumerate(chunks(payments, size)):
            due = began + number / BATCHES_PER_SECOND
            pause = due - time.monotonic()
            if pause > 0:
                await task.deferLater(self._reactor, pause)
            else:
                self.late_s = max(self.late_s, -pause)
            entry = self._callers[number % len(self._callers)]
            waits.append(defer.ensureDeferred(self._submit(entry, batch)))
            sent = time.monotonic()
            waits += [
                defer.ensureDeferred(self._wait(caller, batch[0], sent)) for caller in self._callers
            ]
            if number % BATCHES_PER_SECOND == 0:
                info = await self._callers[-1].call("getmempoolinfo")
                self.pending.append(info["pending"])
        for succeeded, result in await defer.DeferredList(waits, consumeErrors=True):
            if not succeeded:
                reason = result.getErrorMessage()
                self.failures[reason] = self.failures.get(reason, 0) + 1
        self.cpu_us = 1e6 * (self._cpu_s() - cpu_s) / len(payments)

    def _cpu_s(self) -> float:
        """Processor time of all nodes so far."""
        return sum(map(cpu_s, self._network.nodes))

    async def _submit(self, entry: Caller, batch: list[Transaction]) -> None:
        body = [
            {
                "jsonrpc": "2.0",
                "id": i,
                "method": "sendrawtransaction",
                "params": [tx.encoded.hex()],
            }
            for i, tx in enumerate(batch)
        ]
        answers = await entry.post(body)
        self.refused += sum("error" in answer for answer in answers)

    async def _wait(self, caller: Caller, tx: Transaction, sent: float) -> None:
        await caller.call("waittransactionfinality", tx.txid.hex(), WAIT_S)
        self.latencies_ms.append((time.monotonic() - sent) * 1000)

    @property
    def sustained(self) -> bool:
        """Whether the sender kept the rate and the uncertified pool did not grow."""
        half = len(self.pending) // 2
        early, late = self.pending[1 : half + 1], self.pending[half + 1 :]
        grows = bool(early and late) and min(late) > max(early) + self.rate
        return not (grows or self.refused or self.failures or self.late_s > 1)

    def latency_ms(self, per_cent: int) -> float:
        """The latency that ``per_cent`` of the waited-for payments did not pass."""
        return percentile(sorted(self.latencies_ms), per_cent)

    def line(self) -> str:
        """The figures of this run."""
        p50, p95, p99 = map(self.latency_ms, (50, 95, 99))
        failures = "".join(f"\n    {n} times: {text}" for text, n in self.failures.items())
        return (
            f"{self.rate:6d}/s  p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  p99 {p99:7.1f} ms  "
            f"({len(self.latencies_ms)} samples, refused {self.refused}, pool {max(self.pending)}, "
            f"sender late {self.late_s:.1f} s, {self.cpu_us:.0f} us of processor a payment, "
            f"{'sustained' if self.sustained else 'not sustained'}){failures}"
        )


def chunks(items: list[Transaction], size: int) -> Iterator[list[Transaction]]:
    """``items`` in lists of ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def draw(runs: list[Run]) -> str:
    """A page with the latencies of ``runs`` by their rate, and what a payment costs."""
    ordered = sorted(runs, key=lambda run: run.rate)
    latencies = {
        f"p{per_cent}": [(float(run.rate), run.latency_ms(per_cent)) for run in ordered]
        for per_cent in (50, 95, 99)
    }
    costs = {"all nodes": [(float(run.rate), run.cpu_us) for run in ordered]}
    return page(
        "Finality by the rate of payments",
        plot("Submitted to final at each node", "ms", latencies, "payments a second"),
        plot("Processor of a payment", "us", costs, "payments a second"),
    )


async def measure(reactor: Any, options: argparse.Namespace, network: Devnet) -> None:
    """All rates, then the search for the highest one."""
    genesis = genesis_from_json((network.directory / GENESIS_NAME).read_text())
    coins = Coins(genesis, options.seed)
    callers = [Caller(reactor, node) for node in network.nodes]
    await prepare(reactor, callers, coins, options.coins)

    runs: list[Run] = []

    async def run(rate: int, seconds: int) -> Run:
        payments = coins.payments(rate * seconds)
        result = Run(reactor, callers, network, rate)
        await result.send(payments)
        for tx in payments:
            coins.free(tx, 1)
        print(result.line(), flush=True)
        runs.append(result)
        return result

    for rate in options.rates:
        if options.profile and rate == options.rates[-1]:
            watched = deferToThread(profile, network.nodes[0].pid, options.seconds)
            await run(rate, options.seconds)
            print(f"  py-spy, {network.nodes[0].name} at {rate}/s:\n{await watched}", flush=True)
        else:
            await run(rate, options.seconds)
    rate, best = options.rates[-1], 0
    tried: set[int] = set()
    while 0 < rate <= MAX_RATE and rate not in tried and rate * SUSTAINED_S <= options.coins:
        tried.add(rate)
        if (await run(rate, SUSTAINED_S)).sustained:
            best, rate = max(best, rate), int(rate * STEP) // 50 * 50
        elif best:
            break
        else:
            rate = int(rate / STEP) // 50 * 50
    print(f"highest rate sustained for {SUSTAINED_S} s: {best}/s")
    if options.plot is not None:
        options.plot.write_text(draw(runs), encoding="utf-8")
        print(f"plots: {options.plot}")


def main() -> None:
    """Start the network, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=15, help="of each fixed rate")
    parser.add_argument(
        "--rates",
        type=lambda text: [int(rate) for rate in text.split(",")],
        default=[100, 500, 1000],
    )
    parser.add_argument("--coins", type=int, default=60_000, help="coins to pay with")
    parser.add_argument("--base-port", type=int, default=27_300)
    parser.add_argument("--slot", type=float, default=10.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="write plots to this HTML file")
    parser.add_argument("--profile", action="store_true", help="py-spy during the last fixed rate")
    options = parser.parse_args()
    slot_ms = int(options.slot * 1000)
    with local_network(NODES, options.base_port, slot_ms, print) as network:
        task.react(lambda reactor: defer.ensureDeferred(measure(reactor, options, network)))


if __name__ == "__main__":
    main()
