"""A real Prometheus scrapes real nodes: all that rules and dashboard read is there."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.deploy.monitoring import CONFIG, RULES, dashboard_expressions, metric_names
from tests.deploy.test_proxies import free_port
from tests.live.network import start_network
from tests.support.tools import needs_tool
from timecoin.client.blocking import RpcCallError

WAIT_S = 90.0
SLOT_MS = 5_000


class PrometheusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.prometheus = needs_tool("prometheus")
        self.promtool = needs_tool("promtool")
        self.network = start_network(self, 2, SLOT_MS)

    def start(self) -> None:
        """Debian's Prometheus with the example's settings: only target, paths and pace differ."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        text = CONFIG.read_text("utf-8")
        targets = ", ".join(
            f'"127.0.0.1:{urllib.parse.urlsplit(node.rpc_url).port}"' for node in self.network.nodes
        )
        for old, new in (
            ("scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s"),
            ("timecoin.rules.yml", str(RULES)),
            ('"127.0.0.1:24001"', targets),
        ):
            self.assertIn(old, text)
            text = text.replace(old, new)
        (folder / "prometheus.yml").write_text(text, "utf-8")
        self.url = f"http://127.0.0.1:{free_port()}"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    self.prometheus,
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def ask(self, path: str, **named: str) -> Any:
        """The data of an answer of Prometheus; None while it starts."""
        query = urllib.parse.urlencode(named)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except (urllib.error.URLError, ConnectionError):
            return None

    def until(self, what: str, look: Any) -> Any:
        deadline = time.monotonic() + WAIT_S
        while not (found := look()):
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.3)
        return found

    def use(self) -> None:
        """A payment and a refused call: some series begin with the first of their kind."""
        client = self.network.nodes[0].client()
        address = client.call("getnewaddress")
        client.call("sendtoaddress", {"address": address, "amount": "1", "wait": True})
        self.assertRaises(RpcCallError, client.call, "getblockhash", [10**9])
        client.close()

    def test_everything_that_is_named_exists(self) -> None:
        self.start()
        self.until("both nodes scraped", self._both_up)
        self.use()
        wanted = metric_names(RULES.read_text("utf-8"))
        for expression in dashboard_expressions():
            wanted |= metric_names(expression)
        self.assertGreater(len(wanted), 60)

        def known() -> set[str]:
            return set(self.ask("label/__name__/values") or ())

        deadline = time.monotonic() + WAIT_S
        while (missing := wanted - known()) and time.monotonic() < deadline:
            time.sleep(0.3)
        self.assertEqual(missing, set())
        self._rules_are_evaluated()
        self._exposition_is_clean()

    def _both_up(self) -> bool:
        answer = self.ask("query", query='sum(up{job="timecoin"})')
        return bool(answer) and [each["value"][1] for each in answer["result"]] == ["2"]

    def _rules_are_evaluated(self) -> None:
        def judged() -> list[dict[str, Any]]:
            groups = (self.ask("rules") or {"groups": []})["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            return [] if any(rule["health"] == "unknown" for rule in rules) else rules

        rules = self.until("rules evaluated", judged)
        self.assertEqual([rule["name"] for rule in rules if rule["health"] != "ok"], [])

    def _exposition_is_clean(self) -> None:
        """promtool finds nothing to say about the text of a node."""
        client = self.network.nodes[0].client()
        status, text = client.get("/metrics")
        client.close()
        self.assertEqual(status, 200)
        done = subprocess.run([self.promtool, "check", "metrics"], input=text, capture_output=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""))
