"""Every figure of a scrape is the node's own state at that moment."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.methods.net import TIME, RpcNet
from timecoin.mempool.policy import PoolLimits
from timecoin.metrics.exposition import Exposition
from timecoin.metrics.meters import Meters
from timecoin.node.interface import MESSAGE_NAMES
from timecoin.node.log.levels import LEVELS
from timecoin.node.metering import Surroundings, count_events, expose
from timecoin.p2p.traffic import LinkFigures, Traffic


class FixedRpc:
    """What the RPC service would say."""

    under_way, failed_logins, websockets = 3, 4, 5


class Vitals:
    """A machine's free disk and a clock that peers agree with."""

    offset_ms = 0

    def free_disk_bytes(self) -> int:
        return 6_000

    def clock_offset_ms(self) -> int:
        return self.offset_ms


class ExpositionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.net = RpcNet(self, 3)
        self.node = self.net.nodes[0]
        self.meters = Meters()
        self.vitals = Vitals()
        self.traffic = Traffic()
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "sst").write_bytes(bytes(77))
        count_events(self.node.node, self.net.clock, self.meters)
        self.exposition: Exposition = expose(
            self.node.node,
            self.meters,
            Surroundings(
                clock=self.net.clock,
                pool_limits=PoolLimits(),
                message_names=MESSAGE_NAMES,
                links=lambda: LinkFigures(1, 2, 3, 4, 0, 5, 6, self.traffic),
                store_path=folder,
                vitals=self.vitals,  # type: ignore[arg-type]
                rpc=FixedRpc,
                problems=self.node.catalog.reports.problems,
                log_lines=lambda: dict.fromkeys(LEVELS, 9),
            ),
        )

    def samples(self) -> list[Sample]:
        text = self.exposition.render().decode()
        return [each for family in text_string_to_metric_families(text) for each in family.samples]

    def value(self, name: str, **labels: str) -> float:
        found = [s.value for s in self.samples() if s.name == name and s.labels == labels]
        self.assertEqual(len(found), 1, name)
        return float(found[0])


class ExpositionTests(ExpositionCase):
    def test_the_chain(self) -> None:
        self.net.run_to_height(3)
        tip = self.node.node.views.tip
        self.assertEqual(self.value("timecoin_height"), tip.height)
        self.assertEqual(
            self.value("timecoin_tip_age_seconds"), (self.net.now_ms - tip.slot_time) / 1000
        )
        self.assertEqual(self.value("timecoin_block_delay_seconds_count"), tip.height)
        self.assertEqual(self.value("timecoin_consensus_height"), tip.height + 1)
        self.assertEqual(self.value("timecoin_consensus_step", step="decided"), 0)
        steps = [s.value for s in self.samples() if s.name == "timecoin_consensus_step"]
        self.assertEqual(sum(steps), 1)
        self.assertEqual(self.value("timecoin_missed_slots_total"), 0)
        self.assertEqual(self.value("timecoin_healthy"), 1)

    def test_missed_slots_and_view_changes(self) -> None:
        self.net.run_to_height(1)
        self.node.cut()
        self.net.run(100)
        self.assertEqual(self.value("timecoin_missed_slots_total"), 0, "no block tells of them yet")
        self.assertEqual(self.value("timecoin_problem", kind="tip"), 1)
        self.assertEqual(self.value("timecoin_healthy"), 0)

    def test_membership(self) -> None:
        self.assertEqual(self.value("timecoin_avs_member"), 1)
        self.assertEqual(self.value("timecoin_avs_members"), 3)
        weight = self.value("timecoin_avs_own_weight")
        self.assertEqual(self.value("timecoin_avs_total_weight"), 3 * weight)
        self.assertEqual(self.value("timecoin_avs_quorum_weight"), 2 * weight)

    def test_a_payment(self) -> None:
        self.node.node.submit(self.net.payment(0))
        self.assertEqual(self.value("timecoin_pool_pending"), 1)
        self.net.run(2)
        self.assertEqual(self.value("timecoin_pool_pending"), 0)
        self.assertEqual(self.value("timecoin_pool_final_waiting"), 1)
        self.assertEqual(self.value("timecoin_pool_bytes"), self.node.node.pool.stats().bytes)
        self.assertEqual(self.value("timecoin_transactions_final_total"), 1)
        self.assertEqual(self.value("timecoin_finality_seconds_count"), 1)
        latency_ms = self.node.node.finality.latencies_ms[0]
        self.assertAlmostEqual(self.value("timecoin_finality_seconds_sum"), latency_ms / 1000)
        rate = self.node.node.pool.fee_rates(10)[0]
        for share in ("0.0", "0.5", "1.0"):
            self.assertEqual(
                self.value("timecoin_pool_fee_rate_units_per_kilobyte", share=share), rate
            )
        self.assertGreater(self.value("timecoin_signature_checks_total", result="good"), 0)
        self.assertGreater(self.value("timecoin_pool_oldest_seconds"), 1)

    def test_what_the_surroundings_say(self) -> None:
        self.traffic.bytes_sent = 11
        self.traffic.messages_received.update({1: 2, 200: 3, 201: 4})
        for name, labels, value in (
            ("timecoin_peers", {"direction": "inbound"}, 1),
            ("timecoin_peers", {"direction": "outbound"}, 2),
            ("timecoin_peers_masternodes", {}, 3),
            ("timecoin_peers_reconnecting", {}, 4),
            ("timecoin_peers_banned", {}, 5),
            ("timecoin_peer_bans_total", {}, 6),
            ("timecoin_peer_bytes_total", {"direction": "sent"}, 11),
            ("timecoin_peer_messages_total", {"direction": "received", "message": "other"}, 7),
            ("timecoin_rpc_under_way", {}, 3),
            ("timecoin_rpc_failed_logins_total", {}, 4),
            ("timecoin_rpc_websockets", {}, 5),
            ("timecoin_disk_free_bytes", {}, 6_000),
            ("timecoin_store_bytes", {}, 77),
            ("timecoin_log_lines_total", {"level": "error"}, 9),
        ):
            self.assertEqual(self.value(name, **labels), value, name)

    def test_the_clock(self) -> None:
        self.assertEqual(self.value("timecoin_clock_offset_seconds"), 0)
        self.vitals.offset_ms = -1_500
        self.assertEqual(self.value("timecoin_clock_offset_seconds"), -1.5)

    def test_calls(self) -> None:
        self.meters.calls.add("getblockcount", 0.004, None)
        self.meters.calls.add("getblock", 0.5, -5)
        self.assertEqual(self.value("timecoin_rpc_seconds_count", method="getblock"), 1)
        self.assertEqual(self.value("timecoin_rpc_errors_total", method="getblock", code="-5"), 1)
        self.assertEqual(
            self.value("timecoin_rpc_seconds_bucket", method="getblockcount", le="0.005"), 1
        )

    def test_the_process(self) -> None:
        self.assertGreater(self.value("process_resident_memory_bytes"), 1_000_000)
        self.assertGreater(self.value("process_cpu_seconds_total"), 0)

    def test_collections_have_limits(self) -> None:
        held = {s.labels["collection"] for s in self.samples() if s.name == "timecoin_held"}
        self.assertIn("verified_signatures", held)
        for name in held:
            self.assertLessEqual(
                self.value("timecoin_held", collection=name),
                self.value("timecoin_held_limit", collection=name),
            )

    def test_amounts_of_payments_make_no_new_series(self) -> None:
        """Label values come from closed sets: what users do adds no series."""
        before = {(s.name, *s.labels.values()) for s in self.samples()}
        for number in range(2):
            self.node.node.submit(self.net.payment(number, (number + 1) * TIME))
        self.net.run(2)
        after = {(s.name, *s.labels.values()) for s in self.samples()}
        new = {name for name, *_ in after - before}
        self.assertEqual(new, set())


TOPICS = {
    "pool": (
        "timecoin_pool_pending",
        "timecoin_pool_final_waiting",
        "timecoin_pool_bytes",
        "timecoin_pool_fee_rate_units_per_kilobyte",
        "timecoin_pool_oldest_seconds",
    ),
    "connections": (
        "timecoin_peers",
        "timecoin_peers_reconnecting",
        "timecoin_peers_banned",
        "timecoin_peer_bans_total",
    ),
    "consensus": (
        "timecoin_height",
        "timecoin_consensus_height",
        "timecoin_consensus_round",
        "timecoin_consensus_step",
        "timecoin_consensus_prepare_weight",
        "timecoin_consensus_precommit_weight",
        "timecoin_consensus_quorum_weight",
        "timecoin_missed_slots_total",
        "timecoin_view_changes_total",
    ),
    "finality": (
        "timecoin_finality_seconds_bucket",
        "timecoin_finality_polls_total",
        "timecoin_finality_polls_running",
        "timecoin_finality_votes_total",
        "timecoin_signature_checks_total",
        "timecoin_emergency",
    ),
    "reactor": ("timecoin_loop_delay_seconds_bucket", "timecoin_driver_turns_total"),
    "store": (
        "timecoin_store_bytes",
        "timecoin_store_sync_seconds_bucket",
        "timecoin_journal_commits_total",
        "timecoin_disk_free_bytes",
    ),
    "sync": ("timecoin_sync_active", "timecoin_sync_behind_blocks"),
    "rpc": ("timecoin_rpc_seconds_bucket", "timecoin_rpc_errors_total"),
    "memory": ("process_resident_memory_bytes",),
    "membership": (
        "timecoin_validator",
        "timecoin_avs_member",
        "timecoin_avs_own_weight",
        "timecoin_avs_members",
    ),
}
"""What an operator asks for, and the series that answer."""


class CatalogTests(ExpositionCase):
    def test_every_topic_has_its_series(self) -> None:
        self.net.run_to_height(1)
        self.node.node.submit(self.net.payment(0))
        self.net.run(2)
        self.meters.calls.add("getblock", 0.5, -5)
        there = {sample.name for sample in self.samples()}
        for topic, names in TOPICS.items():
            self.assertEqual([name for name in names if name not in there], [], topic)
