"""``timecoin-cli genesis``: files that a node can start from, and refusals that write nothing."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.genesis import genesis
from timecoin.crypto.address import encode_address
from timecoin.node.genesisfile import read_genesis
from timecoin.node.keyfiles import load_validator_keys
from timecoin.params import Network

PAYOUT = encode_address(Network.DEVNET, b"\x01" * 20)
RICH = encode_address(Network.DEVNET, b"\x02" * 20)


class GenesisCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.out = self.directory / "genesis.json"
        self.keys = self.directory / "keys"

    def run_it(self, *arguments: str) -> Result:
        return CliRunner().invoke(genesis, arguments)

    def create(self, *arguments: str) -> Result:
        return self.run_it(
            "create", "--network=devnet", f"--out={self.out}", f"--keys-dir={self.keys}", *arguments
        )

    def refused(self, status: int, *arguments: str) -> str:
        before = sorted(self.directory.rglob("*"))
        ended = self.create(*arguments)
        self.assertEqual(ended.exit_code, status, ended.output)
        self.assertEqual(sorted(self.directory.rglob("*")), before)
        return ended.output


class CreateTests(GenesisCase):
    def test_a_network(self) -> None:
        ended = self.create(
            "--validator=a",
            "--validator=b",
            f"--payout={PAYOUT}",
            "--slot=2.5",
            "--base-reward=0.5",
            f"--allocation={RICH}=1000.00000001",
        )
        self.assertEqual(ended.exit_code, 0, ended.output)
        made = read_genesis(self.out).genesis
        self.assertIn(made.hash.hex(), ended.output)
        self.assertEqual((made.network, made.slot_ms, made.base_reward), (3, 2500, 50_000_000))
        self.assertEqual(len(made.validators), 2)
        for name, validator in zip("ab", made.validators, strict=True):
            keys = load_validator_keys(self.keys / f"{name}.key")
            self.assertEqual(validator.pubkey, keys.voting_key.public)
            self.assertEqual((validator.weight, validator.payout_hash), (100, b"\x01" * 20))
        (allocation,) = made.allocations
        self.assertEqual(
            (allocation.pubkey_hash, allocation.value), (b"\x02" * 20, 100_000_000_001)
        )

    def test_defaults_of_each_network(self) -> None:
        mainnet = encode_address(Network.MAINNET, b"\x01" * 20)
        out = self.directory / "main.json"
        ended = self.run_it(
            "create",
            "--network=mainnet",
            "--validator=a",
            f"--payout={mainnet}",
            f"--out={out}",
            f"--keys-dir={self.keys}",
        )
        self.assertEqual(ended.exit_code, 0, ended.output)
        made = read_genesis(out).genesis
        self.assertEqual((made.slot_ms, made.base_reward), (600_000, 10_000_000_000))

    def test_existing_keys_are_used(self) -> None:
        self.create("--validator=a", f"--payout={PAYOUT}")
        first = read_genesis(self.out).genesis
        self.out.unlink()
        self.create("--validator=a", "--validator=b", f"--payout={PAYOUT}")
        second = read_genesis(self.out).genesis
        self.assertEqual(second.validators[0].pubkey, first.validators[0].pubkey)

    def test_one_value_for_each(self) -> None:
        self.create(
            "--validator=a",
            "--validator=b",
            f"--payout={PAYOUT}",
            f"--payout={RICH}",
            "--weight=1",
            "--weight=2",
            "--expiry-height=77",
        )
        made = read_genesis(self.out).genesis
        self.assertEqual([v.weight for v in made.validators], [1, 2])
        self.assertEqual([v.payout_hash[0] for v in made.validators], [1, 2])
        self.assertEqual([v.expiry_height for v in made.validators], [77, 77])

    def test_never_overwritten(self) -> None:
        self.create("--validator=a", f"--payout={PAYOUT}")
        before = self.out.read_bytes()
        self.assertIn("exists", self.refused(1, "--validator=b", f"--payout={PAYOUT}"))
        self.assertEqual(self.out.read_bytes(), before)

    def test_usage_errors(self) -> None:
        good = ("--validator=a", f"--payout={PAYOUT}")
        mainnet = encode_address(Network.MAINNET, b"\x01" * 20)
        for arguments in (
            (),
            ("--validator=a",),
            (f"--payout={PAYOUT}",),
            ("--validator=../a", f"--payout={PAYOUT}"),
            (*good, "--validator=a"),
            (*good, f"--payout={PAYOUT}", "--validator=b", "--validator=c"),
            ("--validator=a", f"--payout={mainnet}"),
            ("--validator=a", "--payout=nobody"),
            (*good, "--slot=0"),
            (*good, "--slot=nan"),
            (*good, "--slot=0.0001"),
            (*good, "--slot=1e9"),
            (*good, "--weight=0"),
            (*good, "--allocation=x"),
            (*good, f"--allocation={RICH}=0.000000001"),
            (*good, f"--allocation={mainnet}=1"),
            (*good, "--base-reward=-1"),
            (*good, "--unknown"),
        ):
            self.refused(2, *arguments)

    def test_what_no_network_can_start_from(self) -> None:
        good = ("--validator=a", f"--payout={PAYOUT}")
        self.assertIn("allocation", self.refused(1, *good, f"--allocation={RICH}=0"))
        self.assertIn("base_reward", self.refused(1, *good, "--base-reward=0"))

    def test_a_broken_key_is_left_alone(self) -> None:
        self.keys.mkdir()
        (self.keys / "a.key").write_text("{}")
        (self.keys / "a.key").chmod(0o600)
        self.refused(1, "--validator=a", "--validator=b", f"--payout={PAYOUT}")

    def test_a_place_that_cannot_be_written(self) -> None:
        (self.directory / "file").write_text("")
        ended = self.run_it(
            "create",
            "--network=devnet",
            "--validator=a",
            f"--payout={PAYOUT}",
            f"--keys-dir={self.keys}",
            f"--out={self.directory / 'file' / 'genesis.json'}",
        )
        self.assertEqual(ended.exit_code, 1, ended.output)
        self.assertEqual(len(ended.output.splitlines()), 1)


class ShowTests(GenesisCase):
    def test_everything_is_shown(self) -> None:
        self.create("--validator=a", f"--payout={PAYOUT}", f"--allocation={RICH}=7")
        found = read_genesis(self.out).genesis
        ended = self.run_it("show", str(self.out))
        self.assertEqual(ended.exit_code, 0)
        for text in (
            found.hash.hex(),
            found.chain_id.hex(),
            "devnet",
            found.validators[0].pubkey.hex(),
            "weight 100",
            PAYOUT,
            f"{RICH} 7.00000000 TIME",
        ):
            self.assertIn(text, ended.output)

    def test_refusals_are_one_line(self) -> None:
        self.create("--validator=a", f"--payout={PAYOUT}")
        good = self.out.read_text()
        for text in ("", "[]", good[:-5], good.replace("devnet", "moonnet"), "\xff" + good):
            self.out.write_bytes(text.encode("latin-1"))
            ended = self.run_it("show", str(self.out))
            self.assertEqual(ended.exit_code, 1)
            self.assertEqual(len(ended.output.splitlines()), 1, ended.output)
        ended = self.run_it("show", str(self.directory / "absent"))
        self.assertEqual(ended.exit_code, 1)

    def test_a_moment_beyond_calendars(self) -> None:
        self.create("--validator=a", f"--payout={PAYOUT}")
        made = read_genesis(self.out).genesis
        text = self.out.read_text().replace(str(made.time_ms), str(2**62))
        self.out.write_text(text)
        ended = self.run_it("show", str(self.out))
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertIn(f"{2**62} ms", ended.output)
