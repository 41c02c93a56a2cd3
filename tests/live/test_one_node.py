"""The shortest way through everything: one node, started by the command, pays itself and stops."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import free_base_port
from timecoin.cli.devnet.processes import is_running
from timecoin.cli.devnet.record import read_records

CLI = (sys.executable, "-c", "from timecoin.cli.main import main; main()")


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``timecoin-cli`` as a process of its own."""
    return subprocess.run([*CLI, *arguments], capture_output=True, text=True, timeout=120)


class OneNodeTests(SynchronousTestCase):
    def test_pay_finalize_archive_stop(self) -> None:
        directory = Path(self.mktemp()).absolute()
        port = free_base_port(1)
        arguments = ("--nodes=1", f"--dir={directory}", f"--base-port={port}", "--slot=1")
        self.addCleanup(run_cli, "devnet", "stop", f"--dir={directory}")
        started = run_cli("devnet", "start", *arguments, "--detach")
        self.assertEqual(started.returncode, 0, started.stderr)
        (node,) = read_records(directory)
        self.assertEqual(node.rpc_url, f"http://127.0.0.1:{port + 101}/")
        self.assertEqual(node.p2p_port, port + 1)
        self.assertEqual(stat.S_IMODE((directory / "nodes.json").stat().st_mode), 0o600)
        (plain,) = json.loads((directory / "nodes.json").read_text())
        self.assertEqual(
            list(plain),
            ["name", "rpc_url", "rpc_user", "rpc_password", "datadir", "p2p_port", "pid"],
        )

        again = run_cli("devnet", "start", *arguments, "--detach")
        self.assertEqual(again.returncode, 1)
        self.assertIn("in use", again.stderr)
        self.assertTrue(is_running(node))

        client = node.client()
        self.addCleanup(client.close)
        address = client.call("getnewaddress")
        txid = client.call("sendtoaddress", [address, "1.5"])
        state = client.call("waittransactionfinality", {"txid": txid, "timeout": 30})
        self.assertTrue(state["finalized"])
        deadline = time.monotonic() + 60
        while not client.call("gettransactionfinality", [txid])["confirmations"]:
            self.assertLess(time.monotonic(), deadline, "never archived")
            time.sleep(0.1)
        self.assertTrue(client.call("gettxoutsetinfo")["matches_supply"])

        shown = run_cli("devnet", "status", f"--dir={directory}")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(node.rpc_url, shown.stdout)

        client.call("stop")
        while is_running(node):
            self.assertLess(time.monotonic(), deadline, "does not stop")
            time.sleep(0.1)
        self.assertEqual(run_cli("devnet", "status", f"--dir={directory}").returncode, 1)
        stopped = run_cli("devnet", "stop", f"--dir={directory}")
        self.assertEqual(stopped.returncode, 0, stopped.stderr)
        log = node.log_path.read_text()
        for line in ("opened", "proposing", "prepare consensus", "finalized height 1"):
            self.assertIn(line, log)
        self.assertNotIn("Traceback", log)


class ForegroundTests(SynchronousTestCase):
    def test_ctrl_c_stops_everything(self) -> None:
        """Without --dir and --detach the network lives as long as the command."""
        arguments = ["devnet", "start", "--nodes=1", f"--base-port={free_base_port(1)}"]
        command = subprocess.Popen([*CLI, *arguments], stdout=subprocess.PIPE, text=True)
        self.addCleanup(command.wait)
        self.addCleanup(command.kill)
        assert command.stdout is not None
        self.addCleanup(command.stdout.close)
        said = ""
        while "Ctrl-C" not in said:
            line = command.stdout.readline()
            self.assertNotEqual(line, "", said)
            said += line
        self.assertRegex(said, r"http://127\.0\.0\.1:\d+/  user \S+  password \S+")
        directory = Path(said.split("started in ")[1].splitlines()[0])
        (node,) = read_records(directory)
        self.assertTrue(is_running(node))
        command.send_signal(signal.SIGINT)
        self.assertEqual(command.wait(30), 0)
        self.assertFalse(is_running(node))
        self.assertFalse(directory.exists())


class HttpsTests(SynchronousTestCase):
    def test_devnet_over_tls(self) -> None:
        directory = Path(self.mktemp()).absolute()
        port = free_base_port(1)
        arguments = ("--nodes=1", f"--dir={directory}", f"--base-port={port}", "--tls")
        self.addCleanup(run_cli, "devnet", "stop", f"--dir={directory}")
        started = run_cli("devnet", "start", *arguments, "--detach")
        self.assertEqual(started.returncode, 0, started.stderr)
        (shown,) = json.loads((directory / "nodes.json").read_text())
        self.assertEqual(shown["rpc_url"], f"https://127.0.0.1:{port + 101}/")
        self.assertEqual(shown["tls_cert"], f"{directory}/node1/rpc.cert")
        (node,) = read_records(directory)
        client = node.client()
        self.addCleanup(client.close)
        self.assertGreaterEqual(client.call("getblockcount"), 0)
