"""The pool, and how full every bounded collection is."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from timecoin.metrics.families import gauge, gauges
from timecoin.metrics.ports import Sources

SAMPLE = 2_000
"""Fee rates are those of the newest entries, so that a full pool costs no more to look at."""
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)


def collect_pool(sources: Sources) -> Iterator[Metric]:
    """Transactions that wait."""
    stats = sources.pool.stats()
    now_ms = int(sources.clock.seconds() * 1000)
    age_ms = 0 if stats.oldest_ms is None else max(0, now_ms - stats.oldest_ms)
    yield gauge("pool_pending", "Waiting transactions without a certificate", stats.pending)
    yield gauge(
        "pool_pending_limit",
        "Limit of pool_pending (maxmempooltx)",
        sources.pool_limits.max_pending,
    )
    yield gauge(
        "pool_certified", "Waiting transactions with a certificate, final or not", stats.certified
    )
    yield gauge(
        "pool_final_waiting",
        "Final transactions that wait for a block",
        sources.finality.final_waiting(),
    )
    yield gauge("pool_bytes", "Bytes of all waiting transactions", stats.bytes)
    yield gauge(
        "pool_bytes_limit", "Limit of pool_bytes (maxmempool)", sources.pool_limits.max_bytes
    )
    yield gauge("pool_orphans", "Transactions that wait for a parent", stats.orphans)
    yield gauge("pool_conflicts", "Outputs that more than one transaction spends", stats.conflicts)
    yield gauge("pool_oldest_seconds", "Age of the oldest waiting transaction", age_ms / 1000)
    # Without any it is what summaries without observations say.
    rates: list[float] = [*sources.pool.fee_rates(SAMPLE)] or [math.nan]
    yield gauges(
        "pool_fee_rate_units_per_kilobyte",
        f"Fee rates of the newest {SAMPLE} waiting transactions: what a share of them pays at most",
        ("share",),
        [((str(each),), rates[round(each * (len(rates) - 1))]) for each in SHARES],
    )


def collect_holdings(sources: Sources) -> Iterator[Metric]:
    """Every bounded collection: one that only grows is found here before memory tells."""
    held = list(sources.holdings())
    yield gauges(
        "held",
        "Entries of a bounded collection",
        ("collection",),
        [((each.name,), each.size) for each in held],
    )
    yield gauges(
        "held_limit",
        "The most entries that the collection takes",
        ("collection",),
        [((each.name,), each.limit) for each in held],
    )
