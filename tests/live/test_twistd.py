"""``twistd timecoin`` as a process: exit statuses, one clear line, nothing changed by a refusal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import free_base_port
from timecoin.cli.devnet import founding
from timecoin.client.blocking import RpcUnreachable
from timecoin.consensus.journal import TABLE, vote_key
from timecoin.ledger.genesis import Genesis, GenesisValidator, genesis_to_json
from timecoin.node.config import OPTION_OF
from timecoin.node.preflight import STORE_DIRECTORY
from timecoin.store.rocks import RocksEngine

TWISTD = (sys.executable, str(Path(sys.executable).with_name("twistd")))
START_S = 60.0


def run_twistd(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a node that is expected to end by itself."""
    command = [*TWISTD, "--nodaemon", "--pidfile=", "timecoin", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_S)


def snapshot(directory: Path) -> dict[Path, bytes]:
    """All files below ``directory``."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class UsageTests(SynchronousTestCase):
    def assert_usage_error(self, *arguments: str) -> str:
        ended = run_twistd(*arguments)
        self.assertEqual(ended.returncode, 64, ended.stderr)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertEqual(ended.stdout, "")
        return ended.stderr

    def test_unknown_option(self) -> None:
        self.assertIn("--prot", self.assert_usage_error("--prot=1"))

    def test_unknown_key_in_the_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text("prot=1\n")
        self.assertIn("line 1", self.assert_usage_error(f"--config={path}"))

    def test_version_and_help(self) -> None:
        self.assertRegex(run_twistd("--version").stdout, r"^timecoin \d+\.\d+")
        shown = run_twistd("--help")
        self.assertEqual(shown.returncode, 0)
        for name in (*OPTION_OF, "config", "version", "help"):
            self.assertRegex(shown.stdout, rf"--{name}[= ]")


class NodeProcessTests(SynchronousTestCase):
    """One node's files, founded as a devnet of one; each test runs what it needs of them."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        (self.node,) = nodes = founding.plan(self.directory, 1, free_base_port(1))
        founding.found(self.directory, nodes, 1_000)

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        """A running node that answers, with ``variables`` added to its environment."""
        command = [
            *TWISTD,
            "--nodaemon",
            "--pidfile=",
            "timecoin",
            f"--config={self.node.config_path}",
        ]
        with self.node.log_path.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | variables)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        client = self.node.client()
        self.addCleanup(client.close)
        deadline = time.monotonic() + START_S
        while True:
            try:
                client.call("uptime")
                return process
            except RpcUnreachable:
                self.assertIsNone(process.poll(), self.node.log_path.read_text())
                self.assertLess(time.monotonic(), deadline, self.node.log_path.read_text())
                time.sleep(0.05)

    def assert_refused(self, reason: str, *arguments: str) -> None:
        before = snapshot(self.directory)
        ended = run_twistd(f"--config={self.node.config_path}", *arguments)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertIn(reason, ended.stderr)
        self.assertEqual(snapshot(self.directory), before)

    def test_port_taken(self) -> None:
        with socket.create_server(("127.0.0.1", self.node.p2p_port)):
            self.assert_refused(f"peers: cannot listen on 127.0.0.1:{self.node.p2p_port}")

    def test_no_genesis(self) -> None:
        (self.directory / "genesis.json").unlink()
        self.assert_refused("cannot read the genesis")

    def test_a_life(self) -> None:
        """Start, refuse a second process and another genesis, end by SIGTERM with status 0."""
        process = self.start()
        ended = run_twistd(
            f"--config={self.node.config_path}", "--port=0", "--rpc-bind=127.0.0.1:0"
        )
        self.assertEqual(ended.returncode, 1)
        self.assertIn("is in use by another process", ended.stderr)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(START_S), 0)
        self.assertFalse((Path(self.node.datadir) / ".cookie").exists())
        log = self.node.log_path.read_text()
        parts = ("store: opened", "node: validator", "p2p: listening", "wallet: 1 address", "rpc: ")
        self.assertEqual(sorted(parts, key=log.index), list(parts))
        self.assertTrue(log.endswith("store: written and closed\n"), log)
        self.assertNotIn("Traceback", log)

        other = self.directory / "other.json"
        validator = GenesisValidator(b"\x01" * 32, b"\x02" * 32, 100, b"\x03" * 20, 9)
        other.write_text(genesis_to_json(Genesis(1, 3, 1, 1000, 1, (validator,), ())))
        self.assert_refused("wrong genesis", f"--genesis={other}")

    def test_supervised(self) -> None:
        """Ready once it answers, signs of life in between, and word of its stop."""
        address = f"@timecoin-test-{os.getpid()}-{self.node.p2p_port}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(f"\0{address[1:]}")
            supervisor.settimeout(START_S)
            process = self.start(NOTIFY_SOCKET=address, WATCHDOG_USEC="200000")
            self.assertEqual(supervisor.recv(4096), b"READY=1")
            for _ in range(3):
                self.assertRegex(
                    supervisor.recv(4096), rb"^WATCHDOG=1\nSTATUS=height \d+, 0 peers$"
                )
            process.send_signal(signal.SIGTERM)
            heard = b""
            while not heard.startswith(b"STOPPING=1"):
                heard = supervisor.recv(4096)
            self.assertEqual(process.wait(START_S), 0)

    def test_stop_by_rpc(self) -> None:
        """The call is answered, then everything ends as after SIGTERM; the data serve again."""
        for life in (1, 2):
            process = self.start()
            client = self.node.client()
            self.assertEqual(client.call("stop"), "timecoin stopping")
            client.close()
            self.assertEqual(process.wait(START_S), 0)
            log = self.node.log_path.read_text()
            self.assertEqual(log.count("store: written and closed"), life)
        self.assertNotIn("Traceback", log)

    def test_a_broken_journal(self) -> None:
        """A node that cannot read what it signed must not go on: it ends with status 1."""
        store = Path(self.node.datadir) / STORE_DIRECTORY
        engine = RocksEngine(store)
        engine.write([(TABLE, vote_key(1, 0, 1), b"no vote")], sync=True)
        engine.close()
        ended = run_twistd(f"--config={self.node.config_path}")
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertIn("the journal in", ended.stderr)
        self.assertIn("JournalError", ended.stdout)
        engine = RocksEngine(store)
        self.addCleanup(engine.close)
        self.assertEqual(engine.get(TABLE, vote_key(1, 0, 1)), b"no vote")
