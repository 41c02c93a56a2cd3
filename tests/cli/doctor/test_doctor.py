"""``timecoin-cli doctor``: each thing that can be wrong is found, named and given advice."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.client.answering import AnsweringServer, failure, result
from timecoin.cli import founding
from timecoin.cli.doctor import machine
from timecoin.cli.doctor.command import examine
from timecoin.cli.doctor.finding import Finding, State
from timecoin.cli.doctor.machine import TIME_ERROR, check_clock, check_disk, check_open_files
from timecoin.cli.main import main
from timecoin.cli.rpc.connection import Given
from timecoin.cli.rpc.session import Session
from timecoin.ledger.genesis import Allocation, genesis_to_json
from timecoin.node.keyfiles import new_validator_keys, validator_key_path, write_validator_keys
from timecoin.params import Network
from timecoin.rpc.tls import VALID_DAYS, TlsFiles, ensure_certificate
from timecoin.store import keys
from timecoin.store.rocks import RocksEngine
from timecoin.store.tornlog import newest_log
from timecoin.wallet.keystore import Keystore

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
Usage = namedtuple("Usage", "total used free")


class DoctorCase(SynchronousTestCase):
    """A data directory that is sound, of a node that does not run."""

    def setUp(self) -> None:
        self.datadir = Path(self.mktemp()).absolute()
        self.datadir.mkdir()
        self.keys = new_validator_keys(os.urandom)
        write_validator_keys(validator_key_path(self.datadir, "v"), self.keys)
        genesis = founding.new_genesis(
            Network.DEVNET,
            time_ms=NOW_MS - 1_000,
            slot_ms=10_000,
            base_reward_units=1,
            validators=[founding.founding_validator(self.keys, 100, b"\x01" * 20)],
            allocations=[Allocation(b"\x02" * 20, 1)],
        )
        (self.datadir / "genesis.json").write_text(genesis_to_json(genesis))
        with (
            socket.create_server(("127.0.0.1", 0)) as one,
            socket.create_server(("127.0.0.1", 0)) as other,
        ):
            self.ports = [held.getsockname()[1] for held in (one, other)]
        self.settings = {
            "network": "devnet",
            "validator-id": "v",
            "port": str(self.ports[0]),
            "rpc-bind": f"127.0.0.1:{self.ports[1]}",
        }
        self.patch(machine, "clock_state", lambda: 0)

    def findings(self, now: datetime = NOW, **given: Any) -> list[Finding]:
        path = self.datadir / "timecoin.conf"
        path.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        return list(examine(Session(Given(datadir=str(self.datadir), **given)), now))

    def one(self, check: str, state: State, now: datetime = NOW) -> Finding:
        """The only finding that is not as in a sound directory."""
        told = [each for each in self.findings(now) if each.check == check and each.state is state]
        self.assertEqual(len(told), 1, told)
        if state is not State.OK:
            self.assertTrue(told[0].advice)
        return told[0]


class FileTests(DoctorCase):
    def test_nothing_wrong(self) -> None:
        wrong = [each.check for each in self.findings() if each.state is not State.OK]
        self.assertEqual(wrong, ["peers", "node"], "no peers are set, and it does not run")

    def test_settings(self) -> None:
        self.settings["what"] = "1"
        self.assertIn("what: unknown key", self.one("config", State.FAIL).detail)
        del self.settings["what"]
        self.settings |= {"rpcuser": "a", "rpcpassword": "b"}
        (self.datadir / "timecoin.conf").touch(0o644)
        self.assertIn("read by others", self.one("config", State.WARN).detail)
        (self.datadir / "timecoin.conf").chmod(0o600)
        self.one("config", State.OK)

    def test_genesis(self) -> None:
        self.one("genesis", State.OK)
        self.one("genesis", State.WARN, NOW - timedelta(hours=1))
        (self.datadir / "genesis.json").write_text("{}")
        self.one("genesis", State.FAIL)
        (self.datadir / "genesis.json").unlink()
        self.assertIn("no genesis", self.one("genesis", State.FAIL).detail)

    def test_key(self) -> None:
        self.one("key", State.OK)
        path = validator_key_path(self.datadir, "v")
        path.chmod(0o644)
        self.one("key", State.FAIL)
        path.unlink()
        write_validator_keys(path, new_validator_keys(os.urandom))
        self.assertIn("no founding validator", self.one("key", State.WARN).detail)
        del self.settings["validator-id"]
        self.assertIn("does not vote", self.one("key", State.OK).detail)

    def test_wallet(self) -> None:
        self.one("wallet", State.OK)
        path = self.datadir / "wallet.dat"
        Keystore.create(path, Network.DEVNET, bytes(32), NOW_MS)
        self.assertIn("no passphrase", self.one("wallet", State.OK).detail)
        path.chmod(0o644)
        self.one("wallet", State.FAIL)

    def test_an_open_wallet_on_the_main_network(self) -> None:
        self.settings["network"] = "mainnet"
        Keystore.create(self.datadir / "wallet.dat", Network.MAINNET, bytes(32), NOW_MS)
        self.one("wallet", State.WARN)

    def test_rpc_for_nobody(self) -> None:
        self.settings["rpc-bind"] = f"0.0.0.0:{self.ports[1]}"
        self.one("rpc", State.WARN)
        self.settings["rpcallowip"] = "192.0.2.0/24"
        self.one("rpc", State.OK)

    def test_certificate(self) -> None:
        self.settings["rpctls"] = "1"
        self.one("tls", State.OK)
        files = TlsFiles(self.datadir / "rpc.cert", self.datadir / "rpc.key", own=True)
        ensure_certificate(files, [], NOW)
        self.one("tls", State.OK)
        self.one("tls", State.WARN, NOW + timedelta(days=VALID_DAYS - 5))
        self.one("tls", State.FAIL, NOW + timedelta(days=VALID_DAYS + 1))
        files.key.write_text("no key")
        self.one("tls", State.FAIL)

    def test_datadir(self) -> None:
        self.one("datadir", State.OK)
        (self.datadir / "file").touch()
        session = Session(Given(network="devnet", datadir=str(self.datadir / "file" / "inside")))
        told = {each.check: each.state for each in examine(session, NOW)}
        self.assertEqual(told["datadir"], State.FAIL)


class MachineTests(DoctorCase):
    def test_clock(self) -> None:
        self.assertIs(check_clock(NOW, 0).state, State.OK)
        self.assertIs(check_clock(NOW, TIME_ERROR).state, State.WARN)
        self.assertIs(check_clock(NOW, None).state, State.WARN)
        self.assertIs(check_clock(NOW.replace(year=1970), 0).state, State.FAIL)

    def test_the_kernel_answers(self) -> None:
        self.assertIn(machine.clock_state(), {None, *range(6)})

    def test_disk(self) -> None:
        for free, state in ((10**8, State.FAIL), (5 * 10**9, State.WARN), (10**12, State.OK)):
            usage = Usage(10**13, 0, free)
            self.patch(shutil, "disk_usage", lambda path, usage=usage: usage)
            self.assertIs(check_disk(self.datadir / "not" / "yet", 10**9).state, state)

    def test_open_files(self) -> None:
        self.assertIs(check_open_files(10**9).state, State.WARN)

    def test_ports_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", self.ports[0])):
            self.assertIn(f"127.0.0.1:{self.ports[0]}", self.one("port", State.FAIL).detail)

    def test_configured_peers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as there:
            port = there.getsockname()[1]
            self.settings["peers"] = f"127.0.0.1:{port},127.0.0.1:{self.ports[1]}"
            self.assertIn(f"{port} can be reached", self.one("peers", State.OK).detail)
            self.one("peers", State.WARN)


class AnswerTests(DoctorCase):
    """What a node says of itself."""

    def setUp(self) -> None:
        super().setUp()
        self.server = AnsweringServer.serving(self)
        self.chain: dict[str, Any] = {
            "chain": "devnet",
            "blocks": 9,
            "headers": 9,
            "initialblockdownload": False,
            "warnings": [],
        }
        self.peers = [{"height": 9}]
        self.server.answer = self.answer

    def answer(self, call: dict[str, Any]) -> tuple[int, bytes]:
        said: dict[str, object] = {
            "uptime": 5,
            "getblockchaininfo": self.chain,
            "getpeerinfo": self.peers,
            "masternodelist": {"total": 3, "active": 2},
            "getblockcount": self.chain["blocks"],
        }
        return result(call, said[call["method"]])

    def states(self) -> list[tuple[str, str]]:
        url = f"http://127.0.0.1:{self.server.server_port}/"
        found = self.findings(rpc_url=url, rpc_user="a", rpc_password="b")
        return [(finding.check, finding.state.value) for finding in found]

    def expect(self, **states: str) -> None:
        sound = {"node": "ok", "chain": "ok", "peers": "ok"}
        self.assertEqual(self.states(), list((sound | states).items()))

    def test_a_sound_node(self) -> None:
        self.expect()

    def test_catching_up(self) -> None:
        self.chain |= {"initialblockdownload": True, "headers": 100}
        self.expect(chain="warn")

    def test_behind(self) -> None:
        self.peers = [{"height": 90}]
        self.expect(peers="warn")

    def test_alone(self) -> None:
        self.peers = []
        self.expect(peers="fail")

    def test_warnings_of_the_node(self) -> None:
        self.chain["warnings"] = ["no block for 60 s"]
        self.assertIn(("chain", "fail"), self.states())

    def test_no_answer(self) -> None:
        refusals: list[Callable[[dict[str, Any]], tuple[int, bytes]]] = [
            lambda call: (401, b""),
            lambda call: (403, b""),
            lambda call: (503, b""),
            lambda call: failure(call, {"code": -32603, "message": "internal"}),
        ]
        for refuse in refusals:
            self.server.answer = refuse
            self.assertEqual(self.states(), [("node", "fail")])


class CommandTests(DoctorCase):
    def run_it(self, *arguments: str) -> Any:
        self.findings()  # writes the settings
        return CliRunner().invoke(main, ["--datadir", str(self.datadir), "doctor", *arguments])

    def test_a_line_for_each_check(self) -> None:
        ended = self.run_it()
        self.assertEqual(ended.exit_code, 0, ended.output)
        for text in ended.stdout.splitlines():
            self.assertIn(text.split()[0], ("ok", "warn", "fail"))
        self.assertIn(" — ", ended.stdout)

    def test_status_1_if_any_fails(self) -> None:
        (self.datadir / "genesis.json").unlink()
        ended = self.run_it("--json")
        self.assertEqual(ended.exit_code, 1)
        told = {each["check"]: each for each in json.loads(ended.stdout)}
        self.assertEqual(told["genesis"]["state"], "fail")
        self.assertTrue(told["genesis"]["advice"])


class StoreTests(DoctorCase):
    """Of a node that does not run."""

    def setUp(self) -> None:
        super().setUp()
        self.store = self.datadir / "store"
        engine = RocksEngine(self.store)
        for table in (keys.UTXO, keys.BODIES):
            rows = [(table, b"%04d" % number, table.encode() * 20) for number in range(200)]
            engine.write(rows, sync=False)
        engine.close()

    def flip(self, table: str) -> None:
        """Turn a bit of one row of ``table``, in its file."""
        RocksEngine(self.store).close()  # from the log into files
        for file in self.store.glob("*.sst"):
            content = bytearray(file.read_bytes())
            at = content.find(table.encode() * 20)
            if at >= 0:
                content[at] ^= 1
                file.write_bytes(content)

    def test_sound(self) -> None:
        self.assertIn("400 rows", self.one("store", State.OK).detail)
        shutil.rmtree(self.store)
        self.assertIn("will be made", self.one("store", State.OK).detail)

    def test_nothing_is_changed(self) -> None:
        before = {path.name: path.read_bytes() for path in self.store.iterdir()}
        self.one("store", State.OK)
        after = {path.name: path.read_bytes() for path in self.store.iterdir()}
        self.assertEqual(after, before)

    def test_what_can_be_rebuilt(self) -> None:
        self.flip(keys.UTXO)
        found = self.one("store", State.FAIL)
        self.assertIn("damaged: utxo", found.detail)
        self.assertIn("--reindex=1", found.advice)

    def test_what_cannot(self) -> None:
        self.flip(keys.BODIES)
        found = self.one("store", State.FAIL)
        self.assertIn("damaged: block_bodies", found.detail)
        self.assertIn("without validator-id", found.advice)

    def test_what_cannot_be_opened(self) -> None:
        (manifest,) = self.store.glob("MANIFEST-*")
        content = bytearray(manifest.read_bytes())
        content[len(content) // 2] ^= 1
        manifest.write_bytes(content)
        self.assertIn("without validator-id", self.one("store", State.FAIL).advice)

    def test_zeros_at_the_end_of_the_log(self) -> None:
        """A start mends them."""
        engine = RocksEngine(self.store)
        engine.write([(keys.UTXO, b"last", b"1" * 200)], sync=True)
        copy = self.datadir / "copy"
        shutil.copytree(self.store, copy)
        engine.close()
        shutil.rmtree(self.store)
        copy.rename(self.store)
        log = newest_log(self.store)
        assert log is not None
        with log.open("r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(bytes(100))
        self.assertIn("ends in zeros", self.one("store", State.WARN).detail)
        RocksEngine(self.store).close()
        self.assertIn("400 rows", self.one("store", State.OK).detail)

    def test_an_interrupted_rebuild(self) -> None:
        engine = RocksEngine(self.store)
        engine.write([(keys.META, keys.META_REINDEX, b"")], sync=True)
        engine.close()
        self.assertIn("interrupted", self.one("store", State.WARN).detail)
