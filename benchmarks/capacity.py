"""What a node needs: memory, processor, bandwidth and disk, idle and while payments come.

A local network of three validators with slots of ten seconds; the first node's wallet pays, one
call a payment. Processor and bandwidth are those of one node, the mean of three; disk is what the
first store has grown by, for each payment. At the end the operating targets, each beside what was
measured: of an idle node (the rate 0), or over all rates. Prints figures; asserts nothing.

    .venv/bin/python benchmarks/capacity.py [--seconds 120] [--rates 0,5,20] [--base-port 24500]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from network import local_network, percentile

from timecoin.cli.devnet.network import Devnet
from timecoin.cli.soak.findings import Findings, Limits
from timecoin.cli.soak.measured import Row, targets
from timecoin.cli.soak.reading import Reading, read_node
from timecoin.cli.soak.run import Record
from timecoin.client.blocking import BlockingClient

NODES = 3
SLOT_MS = 10_000
AMOUNT = "0.01"


@dataclass(frozen=True)
class Sample:
    """The network at one moment."""

    readings: list[Reading]
    sent_bytes: int
    store_bytes: int
    """Of the first node."""

    @property
    def at_s(self) -> float:
        """When it was taken."""
        return self.readings[0].at_s

    @property
    def cpu_s(self) -> float:
        """Processor time of all nodes."""
        return sum(each.cpu_s for each in self.readings)


def take(network: Devnet, clients: list[BlockingClient]) -> Sample:
    """What every node says of itself, and the first one's store."""
    totals = [client.call("getnettotals") for client in clients]
    now_s = time.monotonic()
    return Sample(
        [
            read_node(client, node.name, now_s)
            for node, client in zip(network.nodes, clients, strict=True)
        ],
        sent_bytes=sum(int(each["totalbytessent"]) for each in totals),
        store_bytes=int(clients[0].call("getblockchaininfo")["size_on_disk"]),
    )


def pay(client: BlockingClient, address: str, rate: int, seconds: int) -> tuple[int, list[float]]:
    """Payments at ``rate`` a second, or as many as are answered: their number, seconds of calls."""
    start = time.monotonic()
    durations: list[float] = []
    while (now := time.monotonic()) < start + seconds:
        due = start + len(durations) / rate if rate else start + seconds
        if due > now:
            time.sleep(min(due, start + seconds) - now)
            continue
        client.call("sendtoaddress", [address, AMOUNT])
        durations.append(time.monotonic() - now)
    return len(durations), durations


def measure(
    network: Devnet, clients: list[BlockingClient], rate: int, seconds: int, record: Record
) -> str:
    """One line of the table; what it is made from is added to ``record``."""
    address = clients[1].call("getnewaddress")
    before = take(network, clients)
    paid, durations = pay(clients[0], address, rate, seconds)
    if paid:  # until all are in blocks
        while int(clients[0].call("getmempoolinfo")["size"]):
            time.sleep(1)
    after = take(network, clients)
    for sample in (before, after):
        for reading in sample.readings:
            record.readings[reading.node].append(reading)
    record.calls_ms += [1000 * each for each in durations]
    elapsed = after.at_s - before.at_s
    kilobits = (after.sent_bytes - before.sent_bytes) * 8 / NODES / elapsed / 1000
    grown = after.store_bytes - before.store_bytes
    by_payment = ""
    if paid:
        slow_ms = percentile(sorted(durations), 95) * 1000
        by_payment = f"{grown / paid:9.0f} B {slow_ms:8.1f} ms"
    most_bytes = max(each.rss_bytes for each in after.readings)
    blocks = after.readings[0].height - before.readings[0].height
    return (
        f"{paid / elapsed:8.1f} {(after.cpu_s - before.cpu_s) / NODES / elapsed:7.1%} "
        f"{most_bytes / 1e6:7.0f} MB {kilobits:9.0f} kbit/s "
        f"{blocks:6} {grown / 1e6:8.2f} MB "
        f"{by_payment}"
    )


def shown(row: Row) -> str:
    """One line of the targets."""
    verdict = {True: "", False: "  MISSED", None: ""}[row.good]
    return f"{row.name:32} {row.target:14} {row.measured}{verdict}"


def main() -> None:
    """Measure every rate, one after the other, on one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rates", default="0,5,20")
    parser.add_argument("--base-port", type=int, default=24_500)
    given = parser.parse_args()
    with local_network(NODES, given.base_port, SLOT_MS, lambda said: None) as network:
        clients = [node.client(120.0) for node in network.nodes]
        record = Record({node.name: [] for node in network.nodes}, Findings(Limits()))
        idle_until_s = 0.0
        print("   tx/s     CPU   memory      sent         blocks    store   by tx     call p95")
        for rate in map(int, given.rates.split(",")):
            print(measure(network, clients, rate, given.seconds, record), flush=True)
            if not rate:
                idle_until_s = time.monotonic()
        print()
        for row in targets(record, idle_until_s):
            print(shown(row))


if __name__ == "__main__":
    main()
