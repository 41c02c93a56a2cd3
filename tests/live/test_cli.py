"""``timecoin-cli`` against a node: the commands are those of the node, and they work."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import start_network
from tests.live.test_one_node import CLI
from timecoin.cli.main import main
from timecoin.cli.rpc.published import published_methods


class CommandLineTests(SynchronousTestCase):
    def setUp(self) -> None:
        network = start_network(self, 1, slot_ms=1_000)
        (self.node,) = network.nodes
        self.options = ("--datadir", self.node.datadir)

    def run_it(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, [*self.options, *arguments])

    def result(self, *arguments: str) -> object:
        ended = self.run_it(*arguments)
        self.assertEqual(ended.exit_code, 0, ended.output)
        return json.loads(ended.stdout)

    def test_everything(self) -> None:
        self.every_method_is_a_command()
        txid = self.pays_and_waits()
        self.fails_as_promised()
        self.watches()
        self.proves(txid)
        self.is_examined()

    def every_method_is_a_command(self) -> None:
        """Built from signatures alone, they must be exactly what this node publishes."""
        listed = self.run_it("--raw", "help").stdout.splitlines()
        offered = {line.split()[0] for line in listed if line and not line.startswith("=")}
        known = {name for named in published_methods().values() for name in named}
        self.assertEqual(offered, known)

    def pays_and_waits(self) -> str:
        address = self.result("getnewaddress")
        assert isinstance(address, str)
        txid = self.result("sendtoaddress", address, "0.12345678", "--wait")
        assert isinstance(txid, str)
        state = self.result("waittransactionfinality", txid, "--timeout", "30")
        assert isinstance(state, dict)
        self.assertTrue(state["finalized"])
        coins = self.run_it("listunspent", "--minconf=0", "--addresses", json.dumps([address]))
        self.assertIn('"amount": 0.12345678', coins.stdout)
        return txid

    def fails_as_promised(self) -> None:
        self.assertEqual(self.run_it("getblock", "00" * 32).exit_code, 1)
        self.assertEqual(self.run_it("getblock", "zz").exit_code, 2)
        self.assertEqual(self.run_it("--rpc-url=http://127.0.0.1:1/", "uptime").exit_code, 3)
        self.assertEqual(self.run_it("--config=/nonexistent", "uptime").exit_code, 2)

        self.assertEqual(self.run_it("watch", "--no-blocks", "--no-finality").exit_code, 2)
        for arguments, status, said in (
            (["watch", "--txid=zz"], 1, "64 hex digits"),
            (["--rpc-url=http://127.0.0.1:1/", "watch"], 3, "refused"),
        ):
            command = [*CLI, *self.options, *arguments]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual((ended.returncode, ended.stdout), (status, ""), ended.stderr)
            self.assertIn(said, ended.stderr)

    def watches(self) -> None:
        arguments = [*CLI, *self.options, "watch", "--blocks", "--count=2"]
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        first, second = (json.loads(line)["result"] for line in ended.stdout.splitlines())
        self.assertEqual(second["previousblockhash"], first["hash"])
        for form, ending, status in (
            ("--json", self.interrupt, 0),
            ("--json", self.read_no_more, 1),
            ("--table", self.read_no_more, 1),
        ):
            command = [*CLI, *self.options, "watch", "--blocks", form]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as watching:
                self.addCleanup(watching.kill)
                assert watching.stdout is not None and watching.stderr is not None
                self.assertIn("block", watching.stdout.readline())
                ending(watching)
                self.assertEqual(watching.wait(60), status)
                self.assertEqual(watching.stderr.read(), "")

    def interrupt(self, watching: subprocess.Popen[str]) -> None:
        watching.send_signal(signal.SIGINT)

    def read_no_more(self, watching: subprocess.Popen[str]) -> None:
        assert watching.stdout is not None
        watching.stdout.close()

    def proves(self, txid: str) -> None:
        path = Path(self.mktemp())
        path.write_text(self.run_it("getfinalityproof", txid).stdout)
        shown = self.result("verifyfinalityproof", path.read_text())
        assert isinstance(shown, dict)
        self.assertEqual((shown["valid"], shown["txid"]), (True, txid))
        offline = self.result("proof", "verify", str(path))
        assert isinstance(offline, dict)
        self.assertEqual((offline["valid"], offline["weight"]), (True, shown["weight"]))

    def is_examined(self) -> None:
        """Of a running node: its ports are not free, and it answers for itself."""
        told = self.result("doctor", "--json")
        assert isinstance(told, list)
        checks = [each["check"] for each in told if each["state"] != "fail"]
        self.assertEqual(checks[-4:], ["port", "node", "chain", "peers"])
