"""``timecoin-cli replay``."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.sim.recorded import pay, record
from timecoin import __version__
from timecoin.cli.main import main
from timecoin.node.keyfiles import ValidatorKeys, write_validator_keys
from timecoin.sim.world import World, WorldSettings


class ReplayTests(SynchronousTestCase):
    def setUp(self) -> None:
        world = World(3, WorldSettings(nodes=3))
        self.node = world.nodes[0]
        self.datadir = Path(self.mktemp()).absolute()
        (self.datadir / "keys").mkdir(parents=True)
        self.file = self.datadir / "recording"
        self.keys = self.datadir / "keys" / "mine.key"
        other = ValidatorKeys(b"\x01" * 32, b"\x02" * 32)
        write_validator_keys(self.datadir / "keys" / "another.key", other)
        (self.datadir / "keys" / "node.key").write_text("not asked for")
        write_validator_keys(
            self.keys, ValidatorKeys(self.node.voting_key.seed, self.node.vrf_seed)
        )
        record(self.node, self.file)
        world.start()
        world.run(1)
        pay(world, 3)
        world.run(10)
        self.height = self.node.running.chain.tip_height
        self.node.kill()

    def replay(self, *options: str) -> Result:
        return CliRunner().invoke(
            main, [f"--datadir={self.datadir}", "replay", str(self.file), "--json", *options]
        )

    def test_the_same(self) -> None:
        ended = self.replay()
        self.assertEqual(ended.exit_code, 0, ended.output)
        shown = json.loads(ended.stdout)
        self.assertEqual(shown["software"], __version__)
        self.assertEqual(shown["height"], self.height)
        self.assertEqual(shown["cut_off"], False)
        self.assertGreater(shown["effects"], shown["turns"])
        named = self.replay(f"--keys={self.keys}")
        self.assertEqual(json.loads(named.stdout), shown)

    def test_what_a_killed_node_leaves(self) -> None:
        self.file.write_bytes(self.file.read_bytes()[:-3])
        ended = self.replay()
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertEqual(json.loads(ended.stdout)["cut_off"], True)

    def test_trace(self) -> None:
        trace = self.datadir / "trace"
        self.assertEqual(self.replay(f"--trace={trace}").exit_code, 0)
        lines = trace.read_text("utf-8").splitlines()
        self.assertEqual(lines[0], "1 Build")
        for part in ("Frame from ", "Query(", "Sent to ", ": the same", "Submit ", "Published"):
            self.assertTrue(any(part in line for line in lines), part)

    def test_a_difference_is_an_error(self) -> None:
        with patch("timecoin.consensus.agreement.delay_ms", lambda *args: 12_345):
            ended = self.replay()
        self.assertEqual(ended.exit_code, 1)
        self.assertRegex(
            ended.stderr, r"Error: turn \d+, at .*, Consensus:\n  expected .*\n  came "
        )

    def test_no_key_that_fits(self) -> None:
        self.keys.unlink()
        ended = self.replay()
        self.assertEqual(ended.exit_code, 1)
        self.assertIn(self.node.voting_key.public.hex(), ended.stderr)
        self.assertIn("--keys", ended.stderr)

    def test_no_recording(self) -> None:
        self.file.write_bytes(b"something else")
        ended = self.replay()
        self.assertEqual((ended.exit_code, ended.stderr), (1, "Error: no recording\n"))
