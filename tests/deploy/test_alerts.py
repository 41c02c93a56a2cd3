"""Alert rules under promtool: each fires for its fault alone, none for a healthy node."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.deploy.monitoring import DEPLOY, RULES, alert_names, dashboard_expressions
from tests.support.tools import needs_tool

INCIDENTS = DEPLOY.parent / "docs" / "operations" / "incidents.rst"
MINUTES = 200
NODE = 'instance="n",job="timecoin"'

HEALTHY = {
    "up{NODE}": "1",
    "timecoin_healthy{NODE}": "1",
    "timecoin_forked{NODE}": "0",
    "timecoin_emergency{NODE}": "0",
    'timecoin_problem{NODE,kind="machines"}': "0",
    'timecoin_problem{NODE,kind="loop"}': "0",
    'timecoin_problem{NODE,kind="accused"}': "0",
    "timecoin_slot_seconds{NODE}": "600",
    "timecoin_tip_age_seconds{NODE}": "700",
    "timecoin_equivocations_total{NODE}": "0",
    "timecoin_validator{NODE}": "1",
    "timecoin_consensus_voting{NODE}": "1",
    "timecoin_avs_member{NODE}": "1",
    "timecoin_avs_members{NODE}": "3",
    "timecoin_missed_slots_total{NODE}": "5",
    "timecoin_view_changes_total{NODE}": "5",
    "timecoin_sync_active{NODE}": "0",
    'timecoin_finality_seconds_bucket{NODE,le="0.5"}': "0+10",
    'timecoin_finality_seconds_bucket{NODE,le="10.0"}': "0+10",
    'timecoin_finality_seconds_bucket{NODE,le="+Inf"}': "0+10",
    "timecoin_pool_pending{NODE}": "8000",
    "timecoin_pool_pending_limit{NODE}": "10000",
    "timecoin_pool_bytes{NODE}": "100",
    "timecoin_pool_bytes_limit{NODE}": "1000",
    "timecoin_pool_final_waiting{NODE}": "3",
    "timecoin_pool_oldest_seconds{NODE}": "500",
    "process_start_time_seconds{NODE}": "1000",
    "process_resident_memory_bytes{NODE}": "150000000",
    'timecoin_log_lines_total{NODE,level="info"}': "0+100",
    'timecoin_log_lines_total{NODE,level="error"}': "2",
    'timecoin_log_lines_total{NODE,level="critical"}': "0",
    "timecoin_clock_offset_seconds{NODE}": "-1",
    "timecoin_disk_free_bytes{NODE}": "50000000000",
    'timecoin_held{NODE,collection="orphans"}': "900",
    'timecoin_held_limit{NODE,collection="orphans"}': "1000",
    'timecoin_held{NODE,collection="checked_spends"}': "1000",
    'timecoin_held_limit{NODE,collection="checked_spends"}': "1000",
    'timecoin_store_sync_seconds_bucket{NODE,le="0.1"}': "0+10",
    'timecoin_store_sync_seconds_bucket{NODE,le="1.0"}': "0+10",
    'timecoin_store_sync_seconds_bucket{NODE,le="+Inf"}': "0+10",
    'timecoin_loop_delay_seconds_bucket{NODE,le="0.1"}': "0+240",
    'timecoin_loop_delay_seconds_bucket{NODE,le="1.0"}': "0+240",
    'timecoin_loop_delay_seconds_bucket{NODE,le="+Inf"}': "0+240",
    'timecoin_peers{NODE,direction="inbound"}': "0",
    'timecoin_peers{NODE,direction="outbound"}': "2",
    "timecoin_peers_reconnecting{NODE}": "0",
    "timecoin_peer_bans_total{NODE}": "3",
    'timecoin_signature_checks_total{NODE,result="good"}': "0+1000",
    'timecoin_signature_checks_total{NODE,result="bad"}': "0+1",
    'timecoin_rpc_seconds_bucket{NODE,method="getblock",le="0.1"}': "0+10",
    'timecoin_rpc_seconds_bucket{NODE,method="getblock",le="1.0"}': "0+10",
    'timecoin_rpc_seconds_bucket{NODE,method="getblock",le="+Inf"}': "0+10",
    'timecoin_rpc_seconds_bucket{NODE,method="waittransactionfinality",le="0.1"}': "0",
    'timecoin_rpc_seconds_bucket{NODE,method="waittransactionfinality",le="1.0"}': "0+100",
    'timecoin_rpc_seconds_bucket{NODE,method="waittransactionfinality",le="+Inf"}': "0+100",
    "timecoin_rpc_failed_logins_total{NODE}": "7",
}
"""Series by what they are, with their first value and, after ``+``, the growth in a minute."""

FAULTS = {
    "TimecoinForked": {"timecoin_forked{NODE}": "1"},
    "TimecoinEmergency": {"timecoin_emergency{NODE}": "1"},
    "TimecoinStalled": {"timecoin_tip_age_seconds{NODE}": "1201"},
    "TimecoinKeyAccused": {'timecoin_problem{NODE,kind="accused"}': "1"},
    "TimecoinEquivocation": {"timecoin_equivocations_total{NODE}": "0+1"},
    "TimecoinNotVoting": {"timecoin_consensus_voting{NODE}": "0"},
    "TimecoinNotInActiveSet": {"timecoin_avs_member{NODE}": "0"},
    "TimecoinMissedSlots": {"timecoin_missed_slots_total{NODE}": "0+0.1"},
    "TimecoinViewChanges": {"timecoin_view_changes_total{NODE}": "0+1"},
    "TimecoinCatchingUp": {"timecoin_sync_active{NODE}": "1"},
    "TimecoinFinalitySlow": {'timecoin_finality_seconds_bucket{NODE,le="0.5"}': "0"},
    "TimecoinPoolFull": {"timecoin_pool_pending{NODE}": "9500"},
    "TimecoinFinalNotArchived": {"timecoin_pool_oldest_seconds{NODE}": "7000"},
    "TimecoinDown": {"up{NODE}": "0"},
    "TimecoinUnhealthy": {"timecoin_healthy{NODE}": "0"},
    "TimecoinLoopStopped": {'timecoin_problem{NODE,kind="loop"}': "1"},
    "TimecoinRestarts": {"process_start_time_seconds{NODE}": "1000+60"},
    "TimecoinLogErrors": {'timecoin_log_lines_total{NODE,level="critical"}': "0+1"},
    "TimecoinClockOff": {"timecoin_clock_offset_seconds{NODE}": "-3"},
    "TimecoinDiskLow": {"timecoin_disk_free_bytes{NODE}": "4000000000"},
    "TimecoinMemory": {"process_resident_memory_bytes{NODE}": "600000000"},
    "TimecoinCollectionFull": {'timecoin_held{NODE,collection="orphans"}': "990"},
    "TimecoinStoreSlow": {'timecoin_store_sync_seconds_bucket{NODE,le="0.1"}': "0"},
    "TimecoinLoopSlow": {'timecoin_loop_delay_seconds_bucket{NODE,le="0.1"}': "0+200"},
    "TimecoinNoPeers": {'timecoin_peers{NODE,direction="outbound"}': "0"},
    "TimecoinPeersMissing": {"timecoin_peers_reconnecting{NODE}": "1"},
    "TimecoinBans": {"timecoin_peer_bans_total{NODE}": "0+1"},
    "TimecoinBadSignatures": {'timecoin_signature_checks_total{NODE,result="bad"}': "0+100"},
    "TimecoinRpcSlow": {'timecoin_rpc_seconds_bucket{NODE,method="getblock",le="0.1"}': "0"},
    "TimecoinFailedLogins": {"timecoin_rpc_failed_logins_total{NODE}": "0+10"},
}


def scenario(name: str, changed: dict[str, str], firing: list[str]) -> dict[str, object]:
    """One test of promtool: after 200 minutes of these series, these alerts fire."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [
            {
                "series": series.replace("NODE", NODE),
                "values": f"{value}x{MINUTES}" if "+" in value else f"{value}+0x{MINUTES}",
            }
            for series, value in {**HEALTHY, **changed}.items()
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{MINUTES}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in firing
                ],
            }
        ],
    }


class AlertTests(SynchronousTestCase):
    def promtool(self, *arguments: str) -> None:
        done = subprocess.run(
            [needs_tool("promtool"), *arguments], capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def run_rules(self, tests: list[dict[str, object]]) -> None:
        path = Path(self.mktemp()).absolute()
        document = {"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": tests}
        path.write_text(json.dumps(document), "utf-8")  # JSON is YAML too
        self.promtool("test", "rules", str(path))

    def test_the_file(self) -> None:
        self.promtool("check", "rules", str(RULES))

    def test_none_fires_for_a_healthy_node(self) -> None:
        self.run_rules([scenario("healthy", {}, [])])

    def test_each_fires_for_its_fault_alone(self) -> None:
        self.run_rules([scenario(alert, fault, [alert]) for alert, fault in FAULTS.items()])

    def test_a_node_without_weight_need_not_vote(self) -> None:
        follower = {
            "timecoin_validator{NODE}": "0",
            "timecoin_consensus_voting{NODE}": "0",
            "timecoin_avs_member{NODE}": "0",
        }
        self.run_rules([scenario("follower", follower, [])])

    def test_every_alert_is_tried(self) -> None:
        self.assertEqual(sorted(FAULTS), sorted(alert_names()))

    def test_every_alert_is_in_the_playbook(self) -> None:
        headings = re.findall(r"^(Timecoin\w+)\n~+$", INCIDENTS.read_text("utf-8"), re.MULTILINE)
        self.assertEqual(headings, alert_names())

    def test_every_alert_has_its_meaning_and_what_to_look_at_and_do(self) -> None:
        text = INCIDENTS.read_text("utf-8").partition("\nLines at a failed start\n")[0]
        _, *sections = re.split(r"^(?=Timecoin\w+\n~+$)", text, flags=re.MULTILINE)
        self.assertEqual(len(sections), len(alert_names()))
        for section in sections:
            parts = re.findall(r"\*(Meaning|Look|Do)[.:]\*", section)
            self.assertEqual(parts, ["Meaning", "Look", "Do"], section)


class DashboardTests(SynchronousTestCase):
    def test_every_query_is_valid(self) -> None:
        """As rules, promtool reads the queries; their variables are filled in as Grafana does."""
        rules = [
            {"record": f"panel:{number}", "expr": expr.replace("$instance", ".*")}
            for number, expr in enumerate(dashboard_expressions())
        ]
        self.assertGreater(len(rules), 50)
        path = Path(self.mktemp()).absolute()
        path.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}), "utf-8")
        AlertTests.promtool(self, "check", "rules", str(path))  # type: ignore[arg-type]
