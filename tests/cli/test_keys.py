"""``timecoin-cli keys``: a file that a node votes with, and its public side."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.main import main
from timecoin.crypto.vrf import vrf_public
from timecoin.node.keyfiles import load_validator_keys


class KeysTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.datadir = Path(self.mktemp()).absolute()
        self.path = self.datadir / "keys" / "alice.key"

    def run_it(self, *arguments: str) -> Result:
        options = ("--network=devnet", f"--datadir={self.datadir}", "keys")
        return CliRunner().invoke(main, [*options, *arguments])

    def test_made_and_shown(self) -> None:
        made = self.run_it("new", "alice")
        self.assertEqual(made.exit_code, 0, made.output)
        shown = json.loads(made.stdout)
        keys = load_validator_keys(self.path)
        self.assertEqual(
            shown,
            {
                "file": str(self.path),
                "pubkey": keys.voting_key.public.hex(),
                "vrf_pubkey": vrf_public(keys.vrf_seed).hex(),
            },
        )
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(json.loads(self.run_it("show", "alice").stdout), shown)
        self.assertNotIn(keys.voting_seed.hex(), made.output)

    def test_no_key_is_replaced(self) -> None:
        self.run_it("new", "alice")
        before = self.path.read_bytes()
        again = self.run_it("new", "alice")
        self.assertEqual(again.exit_code, 1)
        self.assertIn("never overwritten", again.output)
        self.assertEqual(self.path.read_bytes(), before)

    def test_what_is_not_there(self) -> None:
        missing = self.run_it("show", "bob")
        self.assertEqual((missing.exit_code, len(missing.output.splitlines())), (1, 1))
        self.assertEqual(self.run_it("new", "../up").exit_code, 2)
        self.assertFalse(self.datadir.exists())
