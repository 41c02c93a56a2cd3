"""The process: its loop, its store, its interface for users, its log, its health."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from timecoin.metrics.families import counter, counters, gauge, gauges, histogram, histograms
from timecoin.metrics.meters import Meters
from timecoin.metrics.ports import Sources
from timecoin.params import Network


def collect_loop(sources: Sources, meters: Meters) -> Iterator[Metric]:
    """The reactor, and the driver's loop in it."""
    network = Network(sources.genesis.network).label
    yield gauges(
        "build_info",
        "Which program this is",
        ("version", "network"),
        [((sources.version, network), 1)],
    )
    yield histogram(
        "loop_delay_seconds",
        "How much later than asked for the reactor calls, probed four times a second",
        meters.loop_delay,
    )
    yield counter("driver_turns", "Turns of the loop that runs the machines", sources.driver.turns)
    yield counter("driver_events", "Events handled in these turns", sources.driver.events)
    yield gauge("driver_queued", "Events that wait for the next turn", sources.driver.queued)


def collect_store(sources: Sources, meters: Meters) -> Iterator[Metric]:
    """What rests on disk."""
    yield gauge("store_bytes", "Size of the store", sources.size_on_disk())
    yield gauge("disk_free_bytes", "Free where the store is", sources.free_disk())
    yield counter("journal_commits", "Batches of records written", sources.journal.commits)
    yield gauge("journal_pending", "Batches not yet known to be safe", sources.journal.pending)
    yield histogram("store_sync_seconds", "How long syncs to disk took", meters.store_sync)


def collect_calls(sources: Sources, meters: Meters) -> Iterator[Metric]:
    """JSON-RPC."""
    rpc = sources.rpc()
    calls = meters.calls
    yield histograms(
        "rpc_seconds",
        "Answers of JSON-RPC by method, waiting included",
        ("method",),
        [((method,), seconds) for method, seconds in sorted(calls.seconds.items())],
    )
    yield counters(
        "rpc_errors",
        "Errors answered, by method and code",
        ("method", "code"),
        [((method, str(code)), count) for (method, code), count in sorted(calls.errors.items())],
    )
    yield gauge("rpc_under_way", "HTTP requests being answered", rpc.under_way)
    yield counter("rpc_failed_logins", "Wrong users or passwords", rpc.failed_logins)
    yield gauge("rpc_websockets", "Open WebSocket connections", rpc.websockets)


def collect_health(sources: Sources) -> Iterator[Metric]:
    """What /health says, the clock, and how much was logged."""
    problems = sources.problems()
    yield gauge("healthy", "1 if /health is green", not any(problems.values()))
    yield gauges(
        "problem",
        "1 for a kind of problem that /health tells",
        ("kind",),
        [((kind,), there) for kind, there in problems.items()],
    )
    yield gauge(
        "clock_offset_seconds",
        "How far the peers' clocks are ahead, their median",
        sources.clock_offset_ms() / 1000,
    )
    yield counters(
        "log_lines",
        "Lines logged, by level",
        ("level",),
        [((level,), count) for level, count in sources.log_lines().items()],
    )
