"""Whole runs against planted nodes: what goes wrong is in the record, what is right is not."""

from __future__ import annotations

import csv
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.soak.kit import PlantedNode, target_of
from timecoin.cli.soak.findings import Limits
from timecoin.cli.soak.measured import figures, targets
from timecoin.cli.soak.report import COLUMNS, write_csv, write_html
from timecoin.cli.soak.run import Plan, Record, Soak

Plant = Callable[[PlantedNode, float], None]


class RunCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.now_s = 0.0
        self.soak: Soak | None = None
        self.lines: list[str] = []

    def pause(self, seconds: float) -> None:
        """Virtual time passes; a payer's thread gets as much real time as it needs to begin."""
        self.now_s += max(seconds, 0.01)
        payments = None if self.soak is None else self.soak.record.payments
        while payments is not None and payments.begun + payments.refused < 10:
            time.sleep(0.001)

    def nodes(self, plant: Plant | None = None) -> list[PlantedNode]:
        made = [PlantedNode(name, lambda: self.now_s) for name in ("a", "b", "c")]
        if plant is not None:
            made[1].plant = plant
        return made

    def run_soak(
        self,
        nodes: list[PlantedNode],
        seconds: float = 300,
        payments: float = 0,
        limits: Limits | None = None,
    ) -> Record:
        plan = Plan(seconds, 2.0, 20.0, payments, limits or Limits(final_within_s=5))
        targets = [target_of(node) for node in nodes]
        clock = lambda: self.now_s  # noqa: E731
        self.soak = Soak(targets, plan, self.lines.append, clock, self.pause)
        return self.soak.run()

    def found(self, record: Record) -> set[tuple[str, str]]:
        return {(finding.kind, finding.node) for finding in record.findings.found.values()}


class WatchTests(RunCase):
    def test_nothing(self) -> None:
        record = self.run_soak(self.nodes())
        self.assertEqual(self.found(record), set())
        self.assertEqual([len(each) for each in record.readings.values()], [150] * 3)
        self.assertGreaterEqual(record.blocks, 29)
        self.assertIn("0 findings", self.lines[-1])

    def test_a_fork(self) -> None:
        nodes = self.nodes()
        nodes[1].fork_from = 12
        record = self.run_soak(nodes)
        self.assertEqual(self.found(record), {("fork", "b")})
        (finding,) = record.findings.found.values()
        self.assertIn("block 12 is f12, a has a12", finding.text)

    def test_a_stall(self) -> None:
        nodes = self.nodes()
        for node in nodes:
            node.frozen_at = 9
        stalled = {("stall", name) for name in "abc"}
        self.assertEqual(self.found(self.run_soak(nodes)), stalled)

    def test_a_log_error(self) -> None:
        def plant(node: PlantedNode, now_s: float) -> None:
            node.errors = int(now_s > 100)

        self.assertEqual(self.found(self.run_soak(self.nodes(plant))), {("log error", "b")})

    def test_a_leak(self) -> None:
        def plant(node: PlantedNode, now_s: float) -> None:
            node.rss = 100e6 + now_s * 5e5

        record = self.run_soak(self.nodes(plant))
        self.assertEqual(self.found(record), {("memory slope", "b")})

    def test_a_full_disk(self) -> None:
        def plant(node: PlantedNode, now_s: float) -> None:
            node.disk = int(now_s > 100)

        self.assertEqual(self.found(self.run_soak(self.nodes(plant))), {("health disk", "b")})

    def test_a_node_that_goes(self) -> None:
        def plant(node: PlantedNode, now_s: float) -> None:
            node.away = now_s > 100

        self.assertEqual(self.found(self.run_soak(self.nodes(plant))), {("unreachable", "b")})

    def test_a_short_absence_is_none(self) -> None:
        def plant(node: PlantedNode, now_s: float) -> None:
            node.away = 100 < now_s < 115

        record = self.run_soak(self.nodes(plant))
        self.assertEqual(self.found(record), set())
        self.assertGreaterEqual(record.blocks, 29, "its blocks were compared afterwards")

    def test_the_lines_of_its_log(self) -> None:
        log = Path(self.mktemp())
        log.write_text(
            "2026 info  chain: fine\n2026 error consensus: broken\n<3>rpc: bad\n", encoding="utf-8"
        )

        def plant(node: PlantedNode, now_s: float) -> None:
            node.errors = int(now_s > 100)

        plan = Plan(200, 2.0, 0.0, 0.0, Limits())
        targets = [target_of(node) for node in self.nodes(plant)]
        object.__setattr__(targets[1], "log_path", log)
        record = Soak(targets, plan, self.lines.append, lambda: self.now_s, self.pause).run()
        texts = [finding.text for finding in record.findings.found.values()]
        self.assertEqual(texts[1:], ["2026 error consensus: broken", "<3>rpc: bad"])

    def test_an_interrupt_is_the_end(self) -> None:
        turns = itertools.count()

        def plant(node: PlantedNode, now_s: float) -> None:
            if next(turns) == 20:
                raise KeyboardInterrupt

        record = self.run_soak(self.nodes(plant))
        self.assertEqual(len(record.readings["b"]), 20)
        self.assertIn("interrupted", self.lines[-1])


class PaymentTests(RunCase):
    def test_all_is_well(self) -> None:
        record = self.run_soak(self.nodes(), 100, 1_000)
        self.assertEqual(self.found(record), set())
        assert record.payments is not None
        self.assertGreaterEqual(record.payments.begun, 10)
        self.assertEqual(len(record.payments.latencies), record.payments.begun)
        self.assertEqual(record.payments.final, {})

    def test_lost_after_final(self) -> None:
        nodes = self.nodes()
        nodes[0].never_archives = True
        nodes[2].lost.add("tx0")
        record = self.run_soak(nodes, 100, 1_000)
        self.assertEqual(self.found(record), {("lost payment", "c"), ("payment not archived", "a")})

    def test_never_final(self) -> None:
        nodes = self.nodes()
        nodes[0].never_final = True
        self.assertEqual(self.found(self.run_soak(nodes, 100, 1_000)), {("payment not final", "a")})

    def test_refused(self) -> None:
        nodes = self.nodes()
        nodes[0].refuses = True
        record = self.run_soak(nodes, 100, 1_000)
        self.assertEqual(self.found(record), {("payment refused", "a")})
        (finding,) = record.findings.found.values()
        self.assertIn("the wallet is read-only", finding.text)


class ReportTests(RunCase):
    def test_both_files(self) -> None:
        def plant(node: PlantedNode, now_s: float) -> None:
            node.name = "b"
            node.errors = int(now_s > 50)

        record = self.run_soak(self.nodes(plant), 100, 1_000)
        beside, further = targets(record, 20), figures(record)
        by_name = {row.name: row for row in beside}
        self.assertEqual(by_name["memory of a node, most"].measured, "100 MB")
        self.assertEqual(by_name["CPU of a node, idle"].measured, "2 %")
        self.assertEqual(by_name["bandwidth of a node, idle"].measured, "0.008 Mbit/s")
        self.assertTrue(all(row.good for row in beside), beside)
        folder = Path(self.mktemp())
        folder.mkdir()
        write_csv(record, folder / "x.csv")
        rows = list(csv.DictReader((folder / "x.csv").open(encoding="utf-8")))
        self.assertEqual(tuple(rows[0]), COLUMNS)
        self.assertEqual(len(rows), sum(len(each) for each in record.readings.values()))
        write_html(record, folder / "x.html", "a <run>", beside, further)
        page = (folder / "x.html").read_text("utf-8")
        self.assertIn("1 findings", page)
        self.assertIn("log error: b: 1 lines", page)
        self.assertIn("a &lt;run&gt;", page)
        self.assertNotIn("src=", page)
        self.assertNotIn("href=", page)
        plots = page.split("<svg")[1:]
        self.assertEqual(len(plots), 5)
        for text in plots:
            ElementTree.fromstring("<svg" + text.partition("</svg>")[0] + "</svg>")

    def test_nothing_measured(self) -> None:
        nodes = self.nodes()
        for node in nodes:
            node.away = True
        record = self.run_soak(nodes, 30)
        self.assertEqual({kind for kind, _ in self.found(record)}, {"unreachable"})
        self.assertTrue(all(row.good is None for row in targets(record, 30)))
        folder = Path(self.mktemp())
        folder.mkdir()
        write_csv(record, folder / "x.csv")
        write_html(record, folder / "x.html", "", targets(record, 30), figures(record))
