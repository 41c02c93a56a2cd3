"""Short names for the metrics that a scrape consists of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from timecoin.metrics.histogram import Histogram

PREFIX = "timecoin_"

Labelled = Iterable[tuple[Sequence[str], float]]
"""Values by the values of their labels."""


class Collector(Protocol):
    """Tells one area of the node's figures."""

    def __call__(self) -> Iterator[Metric]:
        """The metrics of this moment."""


def gauge(name: str, text: str, value: float) -> Metric:
    """A value that goes up and down."""
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def gauges(name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
    """Values that go up and down, told apart by ``labels``."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for named, value in values:
        family.add_metric(named, value)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """A value that only grows while the node runs; shown as ``NAME_total``."""
    return CounterMetricFamily(PREFIX + name, text, value=value)


def counters(name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
    """Values that only grow, told apart by ``labels``."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for named, value in values:
        family.add_metric(named, value)
    return family


def histogram(name: str, text: str, values: Histogram) -> Metric:
    """A histogram."""
    return HistogramMetricFamily(
        PREFIX + name, text, buckets=values.buckets(), sum_value=values.total
    )


def histograms(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], Histogram]]
) -> Metric:
    """Histograms told apart by ``labels``."""
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for named, each in values:
        family.add_metric(named, buckets=each.buckets(), sum_value=each.total)
    return family
