"""Histograms as Prometheus reads them: cumulative, the last bucket holds all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.metrics.histogram import Histogram
from timecoin.metrics.meters import MAX_METHODS, CallMeter


class HistogramTests(SynchronousTestCase):
    def test_a_value_on_a_bound_is_below_it(self) -> None:
        histogram = Histogram((1.0, 2.0))
        for value in (0.5, 1.0, 1.5, 2.0, 3.0):
            histogram.add(value)
        self.assertEqual(histogram.buckets(), [("1.0", 2), ("2.0", 4), ("+Inf", 5)])
        self.assertEqual((histogram.count, histogram.total), (5, 8.0))

    def test_bounds_must_ascend(self) -> None:
        for bounds in ((), (1.0, 1.0), (2.0, 1.0)):
            self.assertRaises(ValueError, Histogram, bounds)

    @given(st.lists(st.floats(0, 100)))
    def test_every_bucket_counts_what_is_up_to_it(self, values: list[float]) -> None:
        bounds = (0.1, 1.0, 10.0, 50.0)
        histogram = Histogram(bounds)
        for value in values:
            histogram.add(value)
        expected = [sum(value <= bound for value in values) for bound in bounds]
        self.assertEqual([count for _, count in histogram.buckets()], [*expected, len(values)])


class CallMeterTests(SynchronousTestCase):
    def test_times_and_errors(self) -> None:
        meter = CallMeter()
        meter.add("help", 0.2, None)
        meter.add("help", 0.3, -8)
        meter.add("help", 0.3, -8)
        self.assertEqual(meter.seconds["help"].count, 3)
        self.assertEqual(meter.errors, {("help", -8): 2})

    def test_bounded(self) -> None:
        meter = CallMeter()
        for number in range(MAX_METHODS + 10):
            meter.add(f"m{number}", 0.0, -1)
        self.assertEqual((len(meter.seconds), len(meter.errors)), (MAX_METHODS, MAX_METHODS))
