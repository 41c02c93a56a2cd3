"""What one node says of itself at one moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus

from prometheus_client.parser import text_string_to_metric_families

from timecoin.cli.soak.series import Buckets
from timecoin.client.blocking import BlockingClient, RpcUnreachable

FINALITY = "timecoin_finality_seconds"
BLOCK_DELAY = "timecoin_block_delay_seconds"
ERROR_LEVELS = ("error", "critical")


@dataclass(frozen=True, slots=True)
class Reading:
    """One scrape of ``/metrics``; ``at_s`` counts from the beginning of the soak."""

    node: str
    at_s: float
    height: int
    slot_s: float
    tip_age_s: float
    peers: int
    problems: tuple[str, ...]
    """Kinds of problems that health tells."""
    started_s: float
    """Unix time at which the process started."""
    rss_bytes: float
    cpu_s: float
    """Processor time used since then."""
    traffic_bytes: float
    """Sent to peers and received, together."""
    pool_pending: int
    log_errors: int
    finality: Buckets
    block_delay: Buckets
    scrape_ms: float


@dataclass(slots=True)
class _Parsed:
    values: dict[str, float] = field(default_factory=dict)
    labelled: dict[str, dict[str, float]] = field(default_factory=dict)
    buckets: dict[str, dict[float, float]] = field(default_factory=dict)


def read_node(client: BlockingClient, node: str, at_s: float) -> Reading:
    """Scrape ``node``; :class:`RpcUnreachable` when it does not answer, or not with metrics."""
    began = time.monotonic()
    status, body = client.get("/metrics")
    took_ms = (time.monotonic() - began) * 1000
    if status != HTTPStatus.OK:
        raise RpcUnreachable(f"{client.url}: /metrics has HTTP status {status}", status)
    try:
        return parse_reading(body.decode("utf-8"), node, at_s, took_ms)
    except (ValueError, KeyError) as error:
        raise RpcUnreachable(f"{client.url}: /metrics is not that of a node: {error}") from error


def parse_reading(text: str, node: str, at_s: float, scrape_ms: float) -> Reading:
    """The reading in an exposition; ``ValueError`` or ``KeyError`` if it is not a node's."""
    found = _parse(text)
    values, labelled = found.values, found.labelled
    return Reading(
        node=node,
        at_s=at_s,
        height=int(values["timecoin_height"]),
        slot_s=values["timecoin_slot_seconds"],
        tip_age_s=values["timecoin_tip_age_seconds"],
        peers=int(sum(labelled["timecoin_peers"].values())),
        problems=tuple(kind for kind, there in labelled["timecoin_problem"].items() if there),
        started_s=values["process_start_time_seconds"],
        rss_bytes=values["process_resident_memory_bytes"],
        cpu_s=values["process_cpu_seconds_total"],
        traffic_bytes=sum(labelled["timecoin_peer_bytes_total"].values()),
        pool_pending=int(values["timecoin_pool_pending"]),
        log_errors=int(
            sum(labelled["timecoin_log_lines_total"].get(level, 0.0) for level in ERROR_LEVELS)
        ),
        finality=found.buckets[FINALITY],
        block_delay=found.buckets[BLOCK_DELAY],
        scrape_ms=scrape_ms,
    )


def _parse(text: str) -> _Parsed:
    found = _Parsed()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            bound = sample.labels.get("le")
            if bound is not None and sample.name.endswith("_bucket"):
                name = sample.name.removesuffix("_bucket")
                found.buckets.setdefault(name, {})[float(bound)] = sample.value
            elif not sample.labels:
                found.values[sample.name] = sample.value
            elif len(sample.labels) == 1:
                (label,) = sample.labels.values()
                found.labelled.setdefault(sample.name, {})[label] = sample.value
    return found
