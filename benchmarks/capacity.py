"""What a node needs: memory, processor, bandwidth and disk, idle and while payments come.

A local network of three validators with slots of ten seconds; the first node's wallet pays, one
call a payment. Processor and bandwidth are those of one node, the mean of three; disk is what the
first store has grown by, for each payment. Prints figures; asserts nothing.

    .venv/bin/python benchmarks/capacity.py [--seconds 120] [--rates 0,5,20] [--base-port 24500]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from network import cpu_s, percentile

from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import NodeRecord
from timecoin.client.blocking import BlockingClient

NODES = 3
SLOT_MS = 10_000
AMOUNT = "0.01"


@dataclass(frozen=True)
class Sample:
    """The network at one moment."""

    at_s: float
    cpu_s: float
    network_bytes: int
    store_bytes: int
    rss_bytes: int
    height: int


def take(network: Devnet, clients: list[BlockingClient]) -> Sample:
    """Sums over the nodes; the largest memory; the first one's store."""
    totals = [client.call("getnettotals") for client in clients]
    return Sample(
        at_s=time.monotonic(),
        cpu_s=sum(cpu_s(node) for node in network.nodes),
        network_bytes=sum(int(each["totalbytessent"]) for each in totals),
        store_bytes=int(clients[0].call("getblockchaininfo")["size_on_disk"]),
        rss_bytes=max(rss_bytes(node) for node in network.nodes),
        height=int(clients[0].call("getblockcount")),
    )


def rss_bytes(node: NodeRecord) -> int:
    """What of the node is in memory now."""
    for line in Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{node.name} has gone")


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


def measure(network: Devnet, clients: list[BlockingClient], rate: int, seconds: int) -> str:
    """One line of the table."""
    address = clients[1].call("getnewaddress")
    before = take(network, clients)
    paid, durations = pay(clients[0], address, rate, seconds)
    if paid:  # until all are in blocks
        while int(clients[0].call("getmempoolinfo")["size"]):
            time.sleep(1)
    after = take(network, clients)
    elapsed = after.at_s - before.at_s
    kilobits = (after.network_bytes - before.network_bytes) * 8 / NODES / elapsed / 1000
    grown = after.store_bytes - before.store_bytes
    by_payment = ""
    if paid:
        slow_ms = percentile(sorted(durations), 95) * 1000
        by_payment = f"{grown / paid:9.0f} B {slow_ms:8.1f} ms"
    return (
        f"{paid / elapsed:8.1f} {(after.cpu_s - before.cpu_s) / NODES / elapsed:7.1%} "
        f"{after.rss_bytes / 1e6:7.0f} MB {kilobits:9.0f} kbit/s "
        f"{after.height - before.height:6} {grown / 1e6:8.2f} MB "
        f"{by_payment}"
    )


def main() -> None:
    """Measure every rate, one after the other, on one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rates", default="0,5,20")
    parser.add_argument("--base-port", type=int, default=24_500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timecoin-capacity-") as directory:
        network = Devnet.start(
            Path(directory) / "net", NODES, given.base_port, SLOT_MS, lambda said: None
        )
        try:
            clients = [node.client(120.0) for node in network.nodes]
            print("   tx/s     CPU   memory      sent         blocks    store   by tx     call p95")
            for rate in map(int, given.rates.split(",")):
                print(measure(network, clients, rate, given.seconds), flush=True)
        finally:
            network.stop()


if __name__ == "__main__":
    main()
