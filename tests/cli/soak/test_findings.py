"""Every kind of fault that is planted is found, once; a healthy run has no finding."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.soak.kit import reading
from timecoin.cli.soak.findings import UNREACHABLE_S, Findings, Limits

HOUR_S = 3600


class FindingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.findings = Findings(Limits())

    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.findings.found.values()]

    def test_healthy(self) -> None:
        for at_s in range(0, 600, 2):
            for node in "ab":
                self.findings.take(reading(at_s, node))
                self.findings.take_block(node, at_s, f"hash{at_s}")
        self.assertEqual(self.kinds(), [])

    def test_stall(self) -> None:
        for at_s in range(0, 100, 2):
            self.findings.take(reading(at_s, height=7))
        self.assertEqual(self.kinds(), ["stall"])
        (finding,) = self.findings.found.values()
        self.assertEqual(str(finding), "stall: a: height 7 for 42 s at 42 s")

    def test_one_node_is_behind(self) -> None:
        for at_s in range(0, 40, 2):
            self.findings.take(reading(at_s, "a", height=at_s))
            self.findings.take(reading(at_s, "b", height=3))
        self.assertEqual(self.kinds(), ["behind"])

    def test_fork(self) -> None:
        for node, block_hash in (("a", "x"), ("b", "x"), ("c", "y")):
            self.findings.take_block(node, 9, block_hash)
        (finding,) = self.findings.found.values()
        self.assertEqual(str(finding), "fork: c: block 9 is y, a has x")

    def test_blocks_are_forgotten(self) -> None:
        for height in range(1_000):
            self.findings.take_block("a", height, "x")
            self.findings.forget_blocks(height)
        self.assertLessEqual(len(self.findings._hashes), 1)

    def test_away(self) -> None:
        self.findings.take(reading(0))
        self.findings.silent("a", UNREACHABLE_S, "nobody listens")
        self.assertEqual(self.kinds(), [])
        self.findings.silent("a", UNREACHABLE_S + 1, "nobody listens")
        self.findings.silent("a", UNREACHABLE_S + 9, "nobody listens")
        self.assertEqual(self.kinds(), ["unreachable"])

    def test_restart(self) -> None:
        self.findings.take(reading(0))
        self.findings.take(reading(2, started_s=1_001.0))
        self.assertEqual(self.kinds(), ["restart"])

    def test_log_errors(self) -> None:
        self.findings.take(reading(0, log_errors=4))
        self.findings.take(reading(2, log_errors=4))
        self.assertEqual(self.kinds(), [], "what was before is not of this run")
        self.findings.take(reading(4, log_errors=6))
        (finding,) = self.findings.found.values()
        self.assertEqual(str(finding), "log error: a: 2 lines by 4 s")

    def test_health(self) -> None:
        self.findings.take(reading(0, height=0, problems=("tip",)))
        self.assertEqual(self.kinds(), [], "a network begins")
        self.findings.take(reading(12, problems=("tip", "disk")))
        self.findings.take(reading(14, problems=("tip", "disk")))
        self.assertEqual(self.kinds(), ["health tip", "health disk"])

    def test_too_much_memory(self) -> None:
        self.findings.take(reading(0, rss_bytes=501e6))
        self.assertEqual(self.kinds(), ["memory"])


class GrowthTests(SynchronousTestCase):
    """An hour of readings every ten seconds, with noise."""

    def found(self, growth_h: float, noise: float = 2e6, warm_up: float = 0.0) -> list[str]:
        rng = random.Random(7)
        findings = Findings(Limits())
        findings.judge_growth(
            [
                reading(
                    at_s,
                    rss_bytes=100e6
                    + growth_h * at_s / HOUR_S
                    + (warm_up if at_s > HOUR_S / 3 else 0)
                    + rng.uniform(-noise, noise),
                )
                for at_s in range(0, HOUR_S, 10)
            ]
        )
        return [finding.kind for finding in findings.found.values()]

    def test_slopes(self) -> None:
        self.assertEqual(self.found(0), [])
        self.assertEqual(self.found(40e6), [])
        self.assertEqual(self.found(60e6), ["memory slope"])

    def test_caches_that_fill_at_first(self) -> None:
        self.assertEqual(self.found(0, warm_up=80e6), [])

    def test_noise_of_a_short_run(self) -> None:
        """Caches fill through the whole of it; what is far too much is found even so."""
        for rate, count in ((0.5e6, 0), (1e6, 1)):
            findings = Findings(Limits())
            findings.judge_growth([reading(s, rss_bytes=1e8 + s * rate) for s in range(0, 180, 2)])
            self.assertEqual(len(findings), count)

    def test_after_a_restart_nothing_is_said(self) -> None:
        findings = Findings(Limits())
        findings.judge_growth(
            [reading(s, rss_bytes=s * 1e6, started_s=s // 50) for s in range(0, 100, 2)]
        )
        self.assertEqual(len(findings), 0)

    @given(st.lists(st.floats(0, 1e9), max_size=30))
    def test_any_memory_is_judged(self, values: list[float]) -> None:
        readings = [reading(2 * number, rss_bytes=value) for number, value in enumerate(values)]
        Findings(Limits()).judge_growth(readings)

    def cpu(self, before: float, after: float) -> list[str]:
        used, readings = 0.0, []
        for at_s in range(0, 300, 2):
            used += 2 * (before if at_s < 150 else after) / 100
            readings.append(reading(at_s, cpu_s=used))
        findings = Findings(Limits())
        findings.judge_cpu(readings)
        return [finding.text for finding in findings.found.values()]

    def test_cpu(self) -> None:
        self.assertEqual(self.cpu(20, 22), [])
        self.assertEqual(self.cpu(1, 5), [], "five times, and still nothing")
        self.assertEqual(self.cpu(20, 50), ["from 20 % to 50 %"])
