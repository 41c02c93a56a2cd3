"""``timecoin-cli proof verify``: proofs of real nodes hold against their genesis, others do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rpc.methods.net import RpcTestCase
from timecoin.cli.main import main
from timecoin.cli.proof import check, decode
from timecoin.ledger.genesis import genesis_to_json
from timecoin.rpc.jsonvalues import dumps


class ProofTests(RpcTestCase):
    count = 3

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.genesis = self.net.genesis
        self.genesis_path = self.folder / "genesis.json"
        self.genesis_path.write_text(genesis_to_json(self.genesis))
        self.txid = self.call("sendtoaddress", self.call("getnewaddress"), "0.1")
        self.net.run(1)

    def verify(self, content: str | bytes) -> Result:
        raw = content.encode() if isinstance(content, str) else content
        options = [f"--genesis={self.genesis_path}", "--json"]
        return CliRunner().invoke(main, ["proof", "verify", "-", *options], input=raw)

    def holds(self, content: str | bytes) -> dict[str, Any]:
        ended = self.verify(content)
        self.assertEqual(ended.exit_code, 0, ended.output)
        shown: dict[str, Any] = json.loads(ended.stdout)
        self.assertEqual((shown["valid"], shown["txid"]), (True, self.txid))
        self.assertGreaterEqual(shown["weight"], shown["quorum"])
        self.assertIn(0.1, [output["amount"] for output in shown["outputs"]])
        return shown

    def test_while_it_waits_and_when_archived(self) -> None:
        waiting = self.call("getfinalityproof", self.txid)
        self.assertEqual(self.holds(dumps(waiting))["type"], "certificate")
        self.net.run_to_height(2)
        self.net.run(1)
        archived = self.call("getfinalityproof", self.txid)
        for content in (dumps(archived), archived["proof"] + "\n", dumps(archived["proof"])):
            self.assertEqual(self.holds(content)["type"], "entry")
        self.another_genesis(archived["proof"])
        self.nothing_else_holds(bytes.fromhex(archived["proof"]))
        self.nothing_else_holds(bytes.fromhex(waiting["proof"]))

    def another_genesis(self, proof: str) -> None:
        """Other members, or another chain: their signatures mean nothing."""
        known = json.loads(self.genesis_path.read_text())
        known["time_ms"] += 1
        try:
            self.genesis_path.write_text(json.dumps(known))
            ended = self.verify(proof)
        finally:
            self.genesis_path.write_text(genesis_to_json(self.genesis))
        self.assertEqual(ended.exit_code, 1, ended.output)
        self.assertIs(json.loads(ended.stdout)["valid"], False)

    def nothing_else_holds(self, proof: bytes) -> None:
        @given(st.integers(0, len(proof) - 1), st.integers(1, 255))
        @settings(max_examples=100, deadline=None)
        def one_byte_off(place: int, change: int) -> None:
            damaged = bytearray(proof)
            damaged[place] ^= change
            try:
                found = decode(bytes(damaged))
            except ValueError:
                return
            shown = check(found, self.genesis)
            if shown["valid"]:  # a witness is not what is proved
                self.assertEqual(shown["txid"], self.txid)

        one_byte_off()

    def test_what_is_no_proof(self) -> None:
        for content in ("", "xyz", "{}", '{"proof": 5}', "[1]", "00" * 10, b"\xff\xfe", "{"):
            ended = self.verify(content)
            self.assertEqual(ended.exit_code, 1, ended.output)
            self.assertEqual((ended.stdout, len(ended.stderr.splitlines())), ("", 1), content)

    def test_missing_files(self) -> None:
        for arguments in (
            ["/nonexistent", f"--genesis={self.genesis_path}"],
            ["-", "--genesis=/nonexistent"],
        ):
            ended = CliRunner().invoke(main, ["proof", "verify", *arguments])
            self.assertEqual(ended.exit_code, 1, ended.output)
