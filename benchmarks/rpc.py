"""How fast one node answers its RPC interface over HTTPS, while it holds a lot.

Three real nodes make coins, most of them the first node's wallet's; then two of them are stopped,
and the first is given payments, which stay pending. It is asked a mix of methods at a fixed rate
over kept connections: a latency runs from the moment a request is due, so that waiting behind a
slow one counts. Then ``getblockcount`` alone, as often as it answers. Prints figures; asserts
nothing.

    .venv/bin/python benchmarks/rpc.py [--rate 200] [--seconds 20] [--profile]
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from network import Caller, Coins, cpu_s, cpu_wait_s, local_network, percentile, profile
from twisted.internet import defer, task
from twisted.internet.threads import deferToThread

from timecoin import params
from timecoin.cli.devnet import processes
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import NodeRecord
from timecoin.crypto.address import decode_address, encode_address
from timecoin.crypto.hashing import hash160
from timecoin.ledger.amount import format_time
from timecoin.ledger.genesis import genesis_from_json
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Transaction, decode_transaction
from timecoin.mempool.policy import PoolLimits
from timecoin.node.config import GENESIS_NAME

NODES = 3
LIMIT_S = 220
"""The whole run ends after this, whatever the node does."""
COIN_UNITS = params.UNITS_PER_TIME // 10
COINS_PER_FAN_OUT = 2_500
WALLET_ADDRESSES = 10
AT_A_TIME = 4
WAIT_S = 60
SETTLING_BLOCKS = 2
BATCH = 200
PAYMENT_SHARE = 100
"""One request of so many sends a payment: one made beforehand, or one of the wallet's."""
CONNECTIONS = 32
"""Kept to the node; a request that finds none free waits, which counts too."""
COUNTING_S = 5
COUNTING_CLIENTS = 3


class Load:
    """The node's content, and requests about it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.pending: list[str] = []
        self.archived: list[str] = []
        self.addresses: list[str] = []
        self.height = 0
        self.payments: list[Transaction] = []
        self._reads: list[Callable[[], tuple[str, list[object]]]] = [
            lambda: ("getblockcount", []),
            lambda: ("getblock", [self._random.randint(1, self.height)]),
            lambda: ("getrawtransaction", [self._random.choice(self.pending), True]),
            lambda: ("gettransaction", [self._random.choice(self.archived + self.pending[:1])]),
            lambda: ("getmempoolinfo", []),
            lambda: ("getmempoolentry", [self._random.choice(self.pending)]),
            lambda: ("listunspent", [1, 9_999_999, [], True, {"maximumCount": 10}]),
            lambda: ("getbalance", []),
            lambda: ("gettransactionfinality", [self._random.choice(self.pending)]),
            lambda: ("estimatefee", []),
            lambda: ("validateaddress", [self._random.choice(self.addresses)]),
        ]

    def request(self) -> tuple[str, list[object]]:
        """One method and its parameters."""
        chance = self._random.randrange(2 * PAYMENT_SHARE)
        if chance == 0:
            return "sendtoaddress", [self._random.choice(self.addresses), "0.5"]
        if chance == 1 and self.payments:
            return "sendrawtransaction", [self.payments.pop().encoded.hex()]
        return self._random.choice(self._reads)()


async def fill_chain(
    reactor: Any, caller: Caller, coins: Coins, load: Load, utxos: int, pending: int
) -> None:
    """Archive ``utxos`` outputs: ``coins`` get enough for ``pending`` payments, the wallet most."""
    fans = -(-utxos // COINS_PER_FAN_OUT)
    own = -(-pending // COINS_PER_FAN_OUT)
    load.addresses = [await caller.call("getnewaddress") for _ in range(WALLET_ADDRESSES)]
    scripts = [
        pay_to_pubkey_hash(decode_address(params.Network.DEVNET, address))
        for address in load.addresses
    ]
    share = COINS_PER_FAN_OUT * COIN_UNITS + params.UNITS_PER_TIME
    total = fans * share + params.UNITS_PER_TIME
    address = encode_address(params.Network.DEVNET, hash160(coins.key.public))
    txid = await caller.call("sendtoaddress", address, format_time(total))
    await caller.call("waittransactionfinality", txid, WAIT_S)
    funding = decode_transaction(bytes.fromhex(await caller.call("getrawtransaction", txid)))
    index = next(i for i, out in enumerate(funding.outputs) if out.lock_script == coins.script)
    sources = coins.fan_out(coins.coin(funding, index), fans, share)
    await send_final(caller, sources)
    load.archived = [txid]

    async def fan_out(number: int) -> None:
        script = None if number < own else scripts[number % len(scripts)]
        source = coins.coin(sources, number)
        fan = coins.fan_out(source, COINS_PER_FAN_OUT, COIN_UNITS, script)
        await send_final(caller, fan)
        if number < own:
            coins.free(fan, COINS_PER_FAN_OUT)

    limit = defer.DeferredSemaphore(AT_A_TIME)
    await defer.gatherResults(
        [limit.run(lambda n=n: defer.ensureDeferred(fan_out(n))) for n in range(fans)]
    )
    height = await caller.call("getblockcount") + SETTLING_BLOCKS
    while load.height < height:
        await task.deferLater(reactor, 0.5)
        load.height = await caller.call("getblockcount")


async def send_final(caller: Caller, tx: Transaction) -> None:
    """Send ``tx`` and wait until it is final."""
    await caller.call("sendrawtransaction", tx.encoded.hex())
    await caller.call("waittransactionfinality", tx.txid.hex(), WAIT_S)


async def fill_pool(caller: Caller, payments: Sequence[Transaction]) -> None:
    """Send ``payments``, which stay pending: most voters are gone. ``RuntimeError`` if refused."""
    for start in range(0, len(payments), BATCH):
        body = [
            {
                "jsonrpc": "2.0",
                "id": i,
                "method": "sendrawtransaction",
                "params": [tx.encoded.hex()],
            }
            for i, tx in enumerate(payments[start : start + BATCH])
        ]
        for answer in await caller.post(body):
            if "error" in answer:
                raise RuntimeError(f"sendrawtransaction: {answer['error']['message']}")


class Run:
    """Requests at a fixed rate for some seconds."""

    def __init__(self, reactor: Any, caller: Caller, node: NodeRecord, load: Load) -> None:
        self._reactor = reactor
        self._caller = caller
        self._node = node
        self._load = load
        self._free = defer.DeferredSemaphore(CONNECTIONS)
        self._latencies_ms: dict[str, list[float]] = {}
        self._failures: Counter[str] = Counter()

    async def send(self, rate: int, seconds: int) -> None:
        """Send them and wait for all answers; print the figures."""
        count = rate * seconds
        await defer.gatherResults(
            [defer.ensureDeferred(self._caller.call("uptime")) for _ in range(CONNECTIONS)]
        )
        cpu_began_s, wait_began_s = cpu_s(self._node), cpu_wait_s(self._node)
        began_s = time.monotonic()
        late_s = 0.0
        requests = []
        for number in range(count):
            due_s = began_s + number / rate
            pause_s = due_s - time.monotonic()
            late_s = max(late_s, -pause_s)
            await task.deferLater(self._reactor, max(0.0, pause_s))
            requests.append(defer.ensureDeferred(self._ask(*self._load.request(), due_s)))
        await defer.DeferredList(requests)
        taken_s = time.monotonic() - began_s
        busy_s = cpu_s(self._node) - cpu_began_s
        waited_s = cpu_wait_s(self._node) - wait_began_s
        for method, latencies_ms in sorted(self._latencies_ms.items()):
            print(figures(method, latencies_ms))
        everything = [ms for latencies_ms in self._latencies_ms.values() for ms in latencies_ms]
        print(figures(f"all at {rate}/s", everything))
        print(
            f"  {len(everything)} answers in {taken_s:.1f} s, sender late {1000 * late_s:.0f} ms, "
            f"node busy {100 * busy_s / taken_s:.0f} %, {1e6 * busy_s / count:.0f} us of processor "
            f"a request; it waited {100 * waited_s / taken_s:.0f} % of the time for a processor",
            flush=True,
        )
        for reason, times in self._failures.items():
            print(f"  {times} times: {reason}", flush=True)

    async def _ask(self, method: str, arguments: list[object], due_s: float) -> None:
        try:
            await self._free.run(
                lambda: defer.ensureDeferred(self._caller.call(method, *arguments))
            )
        except Exception as error:  # any failure is a figure of its own
            self._failures[f"{type(error).__name__} {error}"] += 1
        else:
            taken_ms = (time.monotonic() - due_s) * 1000
            self._latencies_ms.setdefault(method, []).append(taken_ms)


def figures(name: str, latencies_ms: list[float]) -> str:
    """One line of percentiles."""
    ordered = sorted(latencies_ms)
    p50, p95, p99 = (percentile(ordered, per_cent) for per_cent in (50, 95, 99))
    return (
        f"  {name:24} p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  p99 {p99:7.1f} ms  "
        f"max {ordered[-1] if ordered else p99:7.1f} ms  ({len(ordered)})"
    )


def count_calls(node: NodeRecord, seconds: int) -> int:
    """How often ``getblockcount`` answers one client that asks again at once."""
    client = node.client()
    until_s = time.monotonic() + seconds
    calls = 0
    try:
        while time.monotonic() < until_s:
            client.call("getblockcount")
            calls += 1
    finally:
        client.close()
    return calls


def calls_per_second(node: NodeRecord) -> float:
    """``getblockcount`` from several clients at once, each in a process of its own."""
    with ProcessPoolExecutor(COUNTING_CLIENTS, multiprocessing.get_context("spawn")) as clients:
        calls = [clients.submit(count_calls, node, COUNTING_S) for _ in range(COUNTING_CLIENTS)]
        return sum(each.result() for each in calls) / COUNTING_S


def memory(node: NodeRecord) -> str:
    """Resident memory of a node, now and at most."""
    lines = Path(f"/proc/{node.pid}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    return f"{sizes['VmRSS'] // 1024} MiB, at most {sizes['VmHWM'] // 1024} MiB"


async def measure(reactor: Any, options: argparse.Namespace, network: Devnet) -> None:
    """Fill the node, then ask it."""
    genesis = genesis_from_json((network.directory / GENESIS_NAME).read_text())
    coins = Coins(genesis, options.seed)
    load = Load(options.seed)
    node = network.nodes[0]
    caller = Caller(reactor, node)
    print(f"memory at start: {memory(node)}", flush=True)
    sent = options.rate * options.seconds * 2 // PAYMENT_SHARE
    began_s = time.monotonic()
    await fill_chain(reactor, caller, coins, load, options.utxos, options.pending)
    print(
        f"{options.utxos} outputs in {time.monotonic() - began_s:.0f} s: {memory(node)}", flush=True
    )
    await deferToThread(processes.stop, network.nodes[1:])
    began_s = time.monotonic()
    # All are locked by the node's own vote: a full pool would have no room for another.
    pending = coins.payments(options.pending - sent)
    load.payments = coins.payments(sent)
    await fill_pool(caller, pending)
    load.pending = [tx.txid.hex() for tx in pending]
    info = await caller.call("getmempoolinfo")
    print(
        f"{info['pending']} payments pending in {time.monotonic() - began_s:.0f} s: {memory(node)}",
        flush=True,
    )
    run = Run(reactor, caller, node, load)
    if options.profile:
        watched = deferToThread(profile, node.pid, options.seconds)
        await run.send(options.rate, options.seconds)
        print(f"  py-spy:\n{await watched}", flush=True)
    else:
        await run.send(options.rate, options.seconds)
    rate = await deferToThread(calls_per_second, node)
    print(f"getblockcount alone: {rate:.0f} requests a second")
    print(f"memory at the end: {memory(node)}")


def main() -> None:
    """Start the network, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=200, help="mixed requests a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--pending", type=int, default=PoolLimits().max_pending, help="at the end")
    parser.add_argument("--utxos", type=int, default=100_000)
    parser.add_argument("--base-port", type=int, default=27_600)
    parser.add_argument("--slot", type=float, default=5.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="py-spy during the mixed requests")
    options = parser.parse_args()
    slot_ms = int(options.slot * 1000)
    with local_network(NODES, options.base_port, slot_ms, print, tls=True) as network:

        def run(reactor: Any) -> defer.Deferred[None]:
            return defer.ensureDeferred(measure(reactor, options, network)).addTimeout(
                LIMIT_S, reactor
            )

        task.react(run)


if __name__ == "__main__":
    main()
