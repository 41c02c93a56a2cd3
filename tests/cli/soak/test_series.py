"""Percentiles, slopes and quantiles against plain definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.soak.plot import MAX_POINTS, plot, round_step, thinned
from timecoin.cli.soak.report import page
from timecoin.cli.soak.series import difference, merged, percentile, quantile, slope
from timecoin.cli.soak.target import TargetError, targets_of_urls
from timecoin.metrics.histogram import Histogram

INF = float("inf")
BOUNDS = (1.0, 2.0, 5.0, 10.0)


class SeriesTests(SynchronousTestCase):
    def test_percentiles(self) -> None:
        values = [float(value) for value in range(1, 101)]
        self.assertEqual([percentile(values, p) for p in (50, 95, 99, 100)], [50, 95, 99, 100])
        self.assertEqual(percentile([3.0], 1), 3.0)
        self.assertIsNone(percentile([], 50))

    def test_slopes(self) -> None:
        self.assertAlmostEqual(slope([(x, 3 * x + 7) for x in range(10)]), 3)
        self.assertEqual(slope([(1, 5)]), 0)
        self.assertEqual(slope([(1, 5), (1, 9)]), 0)

    def test_histograms(self) -> None:
        early, late = {1.0: 1.0, INF: 2.0}, {1.0: 4.0, INF: 8.0}
        self.assertEqual(difference(late, early), {1.0: 3.0, INF: 6.0})
        self.assertEqual(merged([early, late]), {1.0: 5.0, INF: 10.0})
        self.assertEqual(merged([]), {})

    def test_quantiles(self) -> None:
        self.assertIsNone(quantile({}, 0.5))
        self.assertIsNone(quantile({1.0: 0.0, INF: 0.0}, 0.5))
        self.assertEqual(quantile({1.0: 10.0, INF: 10.0}, 0.5), 0.5)
        self.assertEqual(quantile({1.0: 5.0, INF: 10.0}, 0.9), 1.0)

    @given(st.lists(st.floats(0.001, 20), min_size=1), st.sampled_from((0.5, 0.95, 0.99)))
    def test_a_quantile_is_in_the_bucket_of_the_percentile(
        self, values: list[float], share: float
    ) -> None:
        histogram = Histogram(BOUNDS)
        for value in values:
            histogram.add(value)
        found = quantile({float(bound): count for bound, count in histogram.buckets()}, share)
        true = percentile(values, 100 * share)
        assert found is not None and true is not None
        edges = (0.0, *BOUNDS, INF)
        bucket = next(n for n, bound in enumerate(edges[1:]) if true <= bound)
        self.assertGreaterEqual(found, min(edges[bucket], BOUNDS[-1]))
        self.assertLessEqual(found, edges[bucket + 1])


class PlotTests(SynchronousTestCase):
    @given(st.floats(1e-6, 1e9))
    def test_steps(self, most: float) -> None:
        step = round_step(most)
        self.assertTrue(2 <= most / step <= 5.1, most / step)

    def test_peaks_stay(self) -> None:
        points = [(float(x), float(x == 70_001)) for x in range(100_000)]
        kept = thinned(points)
        self.assertLessEqual(len(kept), MAX_POINTS)
        self.assertIn((70_001.0, 1.0), kept)


class TargetTests(SynchronousTestCase):
    def test_urls(self) -> None:
        one, two = targets_of_urls(
            "http://bob:x%40y@10.0.0.1:24201/, https://node.example", "alice", "secret", None
        )
        self.assertEqual((one.name, one.url), ("10.0.0.1:24201", "http://10.0.0.1:24201/"))
        self.assertEqual((one.user, one.password), ("bob", "x@y"))
        self.assertEqual((two.url, two.user), ("https://node.example/", "alice"))

    def test_refused(self) -> None:
        for urls, login in (
            ("ftp://x", "u"),
            ("", "u"),
            ("http://", "u"),
            ("http://x", None),
            ("http://x,http://x/", "u"),
        ):
            self.assertRaises(TargetError, targets_of_urls, urls, login, login, None)


class PageTests(SynchronousTestCase):
    def test_a_page_of_plots_over_something_else_than_time(self) -> None:
        lines = {"p<50": [(4.0, 10.0), (16.0, 20.0)]}
        text = page("How & why", plot("Finality", "ms", lines, "members & more"))
        self.assertIn("<h1>How &amp; why</h1>", text)
        self.assertIn(">members &amp; more</text>", text)
        self.assertIn("p&lt;50", text)
        self.assertNotIn("minutes", text)
        self.assertEqual(text.count("<polyline"), 1)
