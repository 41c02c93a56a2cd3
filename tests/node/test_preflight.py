"""A start that cannot succeed is refused in one line, with nothing changed on disk."""

from __future__ import annotations

import datetime
import os
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from timecoin.crypto.secretbox import MIN_MEM_BYTES, MIN_OPS
from timecoin.ledger.genesis import Genesis, GenesisValidator, genesis_to_json
from timecoin.node.config import NodeConfig, load_config
from timecoin.node.genesisfile import GenesisFileError, find_genesis
from timecoin.node.keyfiles import new_validator_keys, validator_key_path, write_validator_keys
from timecoin.node.preflight import Prepared, StartError, prepare
from timecoin.node.walletfile import PASSPHRASE_VARIABLE
from timecoin.params import Network
from timecoin.rpc.tls import TlsFiles, ensure_certificate
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.sealing import Sealing

HOLD_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def make_genesis(time_ms: int = 1, network: Network = Network.DEVNET) -> Genesis:
    validator = GenesisValidator(b"\x01" * 32, b"\x02" * 32, 100, b"\x03" * 20, 9)
    return Genesis(1, network, time_ms, 1000, 1, (validator,), ())


class PreflightCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.datadir = self.directory / "data"
        self.datadir.mkdir(parents=True)
        self.genesis = self.directory / "genesis.json"
        self.genesis.write_text(genesis_to_json(make_genesis()))
        with (
            socket.create_server(("127.0.0.1", 0)) as one,
            socket.create_server(("127.0.0.1", 0)) as two,
        ):
            self.port, self.rpc_port = one.getsockname()[1], two.getsockname()[1]

    def config(self, **more: str) -> NodeConfig:
        arguments = {
            "network": "devnet",
            "datadir": str(self.datadir),
            "genesis": str(self.genesis),
            "port": str(self.port),
            "rpc-bind": f"127.0.0.1:{self.rpc_port}",
        } | {name.replace("_", "-"): value for name, value in more.items()}
        return load_config({name: [value] for name, value in arguments.items() if value}, None)

    def snapshot(self) -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in self.directory.rglob("*") if p.is_file()}

    def refused(self, **more: str) -> str:
        before = self.snapshot()
        error = self.assertRaises(StartError, prepare, self.config(**more))
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(len(str(error).splitlines()), 1)
        return str(error)

    def prepared(self, **more: str) -> Prepared:
        before = self.snapshot()
        found = prepare(self.config(**more))
        self.assertEqual(self.snapshot(), before)
        return found


class GenesisTests(PreflightCase):
    def test_given_at_the_first_start(self) -> None:
        found = self.prepared()
        self.assertEqual(found.genesis.genesis.hash, make_genesis().hash)
        found.genesis.install(self.datadir)
        self.assertEqual((self.datadir / "genesis.json").read_bytes(), self.genesis.read_bytes())

    def test_not_needed_later(self) -> None:
        self.prepared().genesis.install(self.datadir)
        self.genesis.unlink()
        self.assertEqual(self.prepared(genesis="").genesis.genesis, make_genesis())

    def test_never_replaced(self) -> None:
        self.prepared().genesis.install(self.datadir)
        kept = (self.datadir / "genesis.json").read_bytes()
        self.genesis.write_text(genesis_to_json(make_genesis(time_ms=2)))
        self.assertIn("wrong genesis", self.refused())
        find_genesis(self.directory, None, Network.DEVNET).install(self.datadir)
        self.assertEqual((self.datadir / "genesis.json").read_bytes(), kept)

    def test_none(self) -> None:
        for network in ("mainnet", "testnet", "devnet"):
            reason = self.refused(network=network, genesis="")
            self.assertIn(f"{network} needs --genesis", reason)

    def test_of_another_network(self) -> None:
        self.assertIn("it is of devnet", self.refused(network="testnet"))

    def test_unreadable(self) -> None:
        self.assertIn("cannot read", self.refused(genesis=str(self.directory / "absent")))
        self.genesis.write_text("{}")
        self.assertIn("not a genesis file", self.refused())
        self.genesis.write_bytes(b"\xff\xfe")
        self.assertIn("genesis", self.refused())
        self.assertRaises(
            GenesisFileError, find_genesis, self.datadir, self.directory, Network.DEVNET
        )


class KeyTests(PreflightCase):
    def test_a_validator_has_its_keys(self) -> None:
        keys = new_validator_keys(os.urandom)
        write_validator_keys(validator_key_path(self.datadir, "v1"), keys)
        self.assertEqual(self.prepared(validator_id="v1").keys, keys)
        self.assertIsNone(self.prepared().keys)

    def test_no_key_no_start(self) -> None:
        self.assertIn("v1.key", self.refused(validator_id="v1"))


class PortTests(PreflightCase):
    def test_a_port_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            self.assertIn(f"peers: cannot listen on 127.0.0.1:{self.port}", self.refused())
        with socket.create_server(("127.0.0.1", self.rpc_port)):
            self.assertIn(f"rpc: cannot listen on 127.0.0.1:{self.rpc_port}", self.refused())
        self.prepared()


class CertificateTests(PreflightCase):
    def test_the_administrators_certificate(self) -> None:
        cert, key = self.directory / "rpc.crt", self.directory / "rpc.key"
        options = {"rpctlscert": str(cert), "rpctlskey": str(key)}
        error = self.assertRaises(StartError, prepare, self.config(**options))
        self.assertIn("rpc: TLS certificate or key: ", str(error))
        self.assertIn("rpc.crt", str(error))
        now = datetime.datetime.now(datetime.UTC)
        ensure_certificate(TlsFiles(cert, key, own=True), (), now)
        prepare(self.config(**options))

    def test_one_of_its_own_is_made_later(self) -> None:
        prepare(self.config(rpctls="1"))
        self.assertEqual(list(self.datadir.iterdir()), [])


class DataDirectoryTests(PreflightCase):
    def test_in_use(self) -> None:
        store = self.datadir / "store"
        store.mkdir()
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD_LOCK, str(store / "LOCK")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        self.assertEqual(holder.stdout.readline(), b"held\n")
        self.assertIn(f"{self.datadir} is in use", self.refused())
        holder.communicate()
        self.prepared()


class WalletTests(PreflightCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.datadir / "wallet.dat"

    def given(self, passphrase: str) -> None:
        self.patch(os, "environ", {**os.environ, PASSPHRASE_VARIABLE: passphrase})

    def make(self, passphrase: str | None) -> None:
        sealing = None if passphrase is None else Sealing(os.urandom, MIN_OPS, MIN_MEM_BYTES)
        Keystore.create(self.path, Network.DEVNET, os.urandom(32), 1, passphrase, sealing)

    def test_none_yet(self) -> None:
        self.assertIsNone(self.prepared().wallet)

    def test_without_passphrase(self) -> None:
        self.make(None)
        wallet = self.prepared().wallet
        assert wallet is not None
        self.assertFalse(wallet.locked)

    def test_sealed(self) -> None:
        self.make("correct horse")
        locked = self.prepared().wallet
        self.given("correct horse")
        unlocked = self.prepared().wallet
        assert locked is not None and unlocked is not None
        self.assertTrue(locked.locked)
        self.assertFalse(unlocked.locked)

    def test_wrong_passphrase(self) -> None:
        self.make("correct horse")
        self.given("wrong horse")
        self.assertIn("wrong passphrase", self.refused())

    def test_a_passphrase_for_an_open_wallet(self) -> None:
        self.make(None)
        self.given("horse")
        self.assertIn("has no passphrase", self.refused())

    def test_a_broken_file(self) -> None:
        self.path.write_bytes(b"coins")
        self.path.chmod(0o600)
        self.assertIn("not a wallet", self.refused())
