"""``timecoin-cli devnet``: what is founded, and what is refused before anything is changed."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import free_base_port
from timecoin.cli.devnet import founding, processes
from timecoin.cli.devnet.command import devnet
from timecoin.cli.devnet.record import DevnetError, read_records, write_records
from timecoin.node.config import load_config
from timecoin.node.genesisfile import read_genesis
from timecoin.node.keyfiles import load_validator_keys, validator_key_path
from timecoin.params import Network
from timecoin.wallet.derive import Branch
from timecoin.wallet.keystore import Keystore


class DevnetCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.patch(processes, "stop_by_signals", lambda: None)  # they are the test runner's here

    def run_it(self, *arguments: str) -> Result:
        return CliRunner().invoke(devnet, arguments)


ENDLESS = """
import signal
from twisted.internet import defer, task
from timecoin.cli.devnet.processes import stop_by_signals

signal.signal(signal.SIGINT, signal.SIG_IGN)
stop_by_signals()


def main(reactor):
    reactor.callLater(0, print, "runs", flush=True)
    return defer.Deferred()


try:
    task.react(main)
finally:
    print("cleaned up", flush=True)
"""


class SignalTests(SynchronousTestCase):
    def test_sigint_ends_a_program_that_runs_a_reactor(self) -> None:
        program = subprocess.Popen(
            [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(program.kill)
        assert program.stdout is not None
        self.addCleanup(program.stdout.close)
        self.assertEqual(program.stdout.readline(), "runs\n")
        program.send_signal(signal.SIGINT)
        out, _ = program.communicate(timeout=30)
        self.assertEqual(out, "cleaned up\n")


class FoundingTests(DevnetCase):
    def test_every_node_can_start(self) -> None:
        nodes = founding.plan(self.directory, 3, 20_000)
        founding.found(self.directory, nodes, 5_000)
        genesis = read_genesis(self.directory / "genesis.json").genesis
        self.assertEqual((genesis.network, genesis.slot_ms), (Network.DEVNET, 5_000))
        self.assertEqual([v.weight for v in genesis.validators], [100, 100, 100])
        for number, (node, validator) in enumerate(zip(nodes, genesis.validators, strict=True), 1):
            datadir = Path(node.datadir)
            config = load_config({"datadir": [node.datadir]}, None)
            self.assertIs(config.network, Network.DEVNET)
            self.assertEqual(config.genesis_path, self.directory / "genesis.json")
            self.assertEqual(
                (config.listen_host, config.listen_port), ("127.0.0.1", 20_000 + number)
            )
            self.assertEqual(config.rpc.bind, (("127.0.0.1", 20_100 + number),))
            self.assertEqual(node.rpc_url, f"http://127.0.0.1:{20_100 + number}/")
            others = {20_001, 20_002, 20_003} - {node.p2p_port}
            self.assertEqual({peer.port for peer in config.peers}, others)
            self.assertEqual(config.validator_id, node.name)
            self.assertEqual(config.rpc.logins[0].user, node.rpc_user)
            keys = load_validator_keys(validator_key_path(datadir, node.name))
            self.assertEqual(keys.voting_key.public, validator.pubkey)
            wallet = Keystore.open(datadir / "wallet.dat", Network.DEVNET)
            self.assertEqual(wallet.used_hashes(Branch.RECEIVE), (validator.payout_hash,))
        first = genesis.validators[0].payout_hash
        self.assertEqual({item.pubkey_hash for item in genesis.allocations}, {first})

    def test_with_tls(self) -> None:
        nodes = founding.plan(self.directory, 1, 20_000, tls=True)
        founding.found(self.directory, nodes, 5_000)
        write_records(self.directory, nodes)
        (node,) = read_records(self.directory)
        self.assertEqual(node.rpc_url, "https://127.0.0.1:20101/")
        config = load_config({"datadir": [node.datadir]}, None)
        assert config.rpc.tls is not None and node.tls_cert is not None
        self.assertEqual(config.rpc.tls.certificate, Path(node.tls_cert))
        plain = founding.plan(self.directory, 1, 20_000)
        write_records(self.directory, plain)
        self.assertNotIn("tls_cert", (self.directory / "nodes.json").read_text())

    def test_one_node_more(self) -> None:
        for tls in (False, True):
            directory = self.directory / str(tls)
            base_port = free_base_port(3)
            nodes = founding.plan(directory, 2, base_port, tls)
            founding.found(directory, nodes, 5_000)
            added = founding.plan_next(directory, nodes)
            founding.equip(directory, added, nodes)
            config = load_config({"datadir": [added.datadir]}, None)
            self.assertEqual(added.name, "validator3")
            self.assertEqual(config.listen_port, base_port + 3)
            self.assertEqual(config.rpc.bind, (("127.0.0.1", base_port + 103),))
            self.assertEqual({peer.port for peer in config.peers}, {base_port + 1, base_port + 2})
            self.assertEqual(config.genesis_path, directory / "genesis.json")
            self.assertEqual(added.tls_cert is not None, tls)
            keys = load_validator_keys(validator_key_path(Path(added.datadir), added.name))
            genesis = read_genesis(directory / "genesis.json").genesis
            self.assertNotIn(
                keys.voting_key.public, [validator.pubkey for validator in genesis.validators]
            )

    def test_no_more_than_there_may_be(self) -> None:
        nodes = founding.plan(self.directory, founding.MAX_NODES, 20_000)
        self.assertRaises(DevnetError, founding.plan_next, self.directory, nodes)

    def test_secrets_are_their_owners(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        nodes = founding.plan(self.directory, 1, 20_000)
        founding.found(self.directory, nodes, 5_000)
        write_records(self.directory, nodes)
        for path in self.directory.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            if path.is_file() and path.name != "genesis.json":
                self.assertEqual(mode, 0o600, path)

    def test_records(self) -> None:
        nodes = founding.plan(self.directory, 2, 20_000)
        self.assertNotEqual(nodes[0].rpc_password, nodes[1].rpc_password)
        write_records(self.directory, nodes)
        self.assertEqual(read_records(self.directory), nodes)
        for content in (b"", b"{}", b"[1]", b'[{"name": "x"}]', b'[{"name": "\xc0"}]'):
            (self.directory / "nodes.json").write_bytes(content)
            self.assertRaises(DevnetError, read_records, self.directory)


class RefusalTests(DevnetCase):
    def refused(self, status: int, *arguments: str) -> str:
        existed = self.directory.exists()
        before = sorted(self.directory.rglob("*"))
        ended = self.run_it("start", f"--dir={self.directory}", *arguments)
        self.assertEqual(ended.exit_code, status, ended.output)
        self.assertEqual(self.directory.exists(), existed)
        self.assertEqual(sorted(self.directory.rglob("*")), before)
        return ended.output

    def test_a_directory_in_use(self) -> None:
        self.directory.mkdir()
        (self.directory / "file").write_text("")
        self.assertIn("is in use", self.refused(1))

    def test_a_port_in_use(self) -> None:
        port = free_base_port(2)
        for taken in (port + 2, port + 102):
            with socket.create_server(("127.0.0.1", taken)):
                output = self.refused(1, "--nodes=2", f"--base-port={port}")
                self.assertIn(f"cannot listen on 127.0.0.1:{taken}", output)

    def test_usage(self) -> None:
        for arguments in (
            ("--nodes=0",),
            ("--nodes=17",),
            ("--base-port=65530",),
            ("--base-port=0",),
            ("--slot=0",),
            ("--slot=x",),
            ("--what",),
        ):
            self.refused(2, *arguments)
        self.assertEqual(self.run_it("start", "--detach").exit_code, 2)

    def test_no_network_there(self) -> None:
        self.directory.mkdir()
        for command in ("status", "stop", "add"):
            ended = self.run_it(command, f"--dir={self.directory}")
            self.assertEqual(ended.exit_code, 1)
            self.assertEqual(len(ended.output.splitlines()), 1, ended.output)


class StoppedNetworkTests(DevnetCase):
    def setUp(self) -> None:
        super().setUp()
        self.nodes = founding.plan(self.directory, 2, 20_000)

    def test_another_process_with_that_pid_is_left_alone(self) -> None:
        """Pids are used again: ours would be killed here if only the number counted."""
        mine = [msgspec.structs.replace(node, pid=os.getpid()) for node in self.nodes]
        self.assertFalse(processes.is_running(mine[0]))
        self.assertEqual(processes.stop(mine), [])

    def test_status_and_stop(self) -> None:
        write_records(self.directory, self.nodes)
        shown = self.run_it("status", f"--dir={self.directory}")
        self.assertEqual(shown.exit_code, 1)
        self.assertEqual(shown.output.count("not running"), 2)
        self.assertEqual(self.run_it("stop", f"--dir={self.directory}").exit_code, 0)
