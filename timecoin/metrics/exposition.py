"""All metrics of a node as one text: what a scrape gets."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from timecoin.metrics.agreement import (
    collect_chain,
    collect_consensus,
    collect_finality,
    collect_membership,
)
from timecoin.metrics.meters import Meters
from timecoin.metrics.ports import Sources
from timecoin.metrics.process import (
    collect_calls,
    collect_health,
    collect_loop,
    collect_store,
)
from timecoin.metrics.traffic import collect_links, collect_sync
from timecoin.metrics.waiting import collect_holdings, collect_pool


class _NodeCollector(Collector):
    def __init__(self, sources: Sources, meters: Meters) -> None:
        self._sources = sources
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        sources, meters = self._sources, self._meters
        yield from collect_chain(sources, meters)
        yield from collect_consensus(sources, meters)
        yield from collect_membership(sources)
        yield from collect_finality(sources, meters)
        yield from collect_pool(sources)
        yield from collect_holdings(sources)
        yield from collect_links(sources)
        yield from collect_sync(sources)
        yield from collect_loop(sources, meters)
        yield from collect_store(sources, meters)
        yield from collect_calls(sources, meters)
        yield from collect_health(sources)


class Exposition:
    """Renders the figures of one node; to be called in the reactor's thread."""

    def __init__(self, sources: Sources, meters: Meters) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(_NodeCollector(sources, meters))

    def render(self) -> bytes:
        """The text format of Prometheus, version 0.0.4."""
        return generate_latest(self._registry)
