"""How finality and its messages grow with the active set: 4 to 256 simulated validators.

All are linked with all, each link takes 100 ms each way (and up to 10 more, in one of two hundred
frames 200 more). Payments come one at a time, so that none shares its messages with another.
Latencies are virtual time. Prints a table and writes plots; asserts nothing
(``tests/sim/test_growth.py`` does).

    .venv/bin/python benchmarks/growth.py [--sizes 4 16 64 256] [--payments 20] [--plot growth.html]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from timecoin.cli.soak.plot import plot
from timecoin.cli.soak.report import page
from timecoin.sim.growth import Growth, measure


def draw(found: list[Growth]) -> str:
    """A page with the plots of ``found``."""
    return page(
        "Growth with the active set",
        plot(
            "Finality",
            "virtual ms",
            {
                "p50": [(row.nodes, row.p50_ms) for row in found],
                "p95": [(row.nodes, row.p95_ms) for row in found],
            },
            "validators",
        ),
        plot(
            "Messages of a payment at its poller",
            "sent and received",
            {"poller": [(row.nodes, row.at_poller) for row in found]},
            "validators",
        ),
        plot(
            "Messages of a payment at each other node",
            "sent and received",
            {
                "mean": [(row.nodes, row.at_other) for row in found],
                "most": [(row.nodes, row.at_other_most) for row in found],
            },
            "validators",
        ),
    )


def main() -> None:
    """Run each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 16, 64, 256])
    parser.add_argument("--payments", type=int, default=20)
    parser.add_argument("--latency", type=int, default=100, help="milliseconds, each way")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="write plots to this HTML file")
    options = parser.parse_args()
    print(f"links of {options.latency} ms each way, {options.payments} payments, one at a time")
    print("                      ---- messages of a payment, sent and received ----")
    print("   n  p50 ms  p95 ms  poller  poller/(n-1)  other: mean  most   in all   (took)")
    found = []
    for size in options.sizes:
        began = time.monotonic()
        row = measure(options.seed, size, options.payments, options.latency)
        found.append(row)
        print(
            f"{row.nodes:4} {row.p50_ms:7} {row.p95_ms:7} {row.at_poller:7.1f} "
            f"{row.at_poller / (row.nodes - 1):13.2f} {row.at_other:12.2f} "
            f"{row.at_other_most:5} {sum(row.kinds.values()):8.0f} "
            f"{time.monotonic() - began:6.0f} s",
            flush=True,
        )
    print("by kind, at the largest:", end=" ")
    print(", ".join(f"{name} {count:g}" for name, count in found[-1].kinds.items()))
    if options.plot is not None:
        options.plot.write_text(draw(found), encoding="utf-8")
        print(f"plots: {options.plot}")


if __name__ == "__main__":
    main()
