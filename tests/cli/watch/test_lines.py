"""What a person reads of a notification."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.watch.lines import Lines

TXID = "ab" * 32


class LineTests(SynchronousTestCase):
    def test_a_block(self) -> None:
        block = {
            "hash": "cd" * 32,
            "height": 5,
            "timestamp_ms": 1_700_000_000_123,
            "round": 1,
            "producer": "ef" * 32,
            "nTx": 3,
        }
        self.assertEqual(
            Lines().line("blocks", block).plain,
            f"22:13:20.123  block 5  {'cd' * 32}  3 transactions, round 1, by {'ef' * 8}",
        )

    def test_the_time_from_first_sight(self) -> None:
        lines = Lines()
        told = [
            lines.line("finality", {"txid": TXID, "status": status, "time_ms": at_ms}).plain
            for status, at_ms in (("seen", 1_000), ("final", 1_412))
        ]
        self.assertEqual(told[0], f"00:00:01.000  seen              {TXID}")
        self.assertEqual(told[1], f"00:00:01.412  final             {TXID}  after 412 ms")

    def test_a_transaction_and_an_address(self) -> None:
        tx = {"txid": TXID, "vout": [{"value": Decimal("0.1")}, {"value": Decimal("0.2")}]}
        self.assertEqual(
            Lines().line("transactions", tx).plain, f"transaction  {TXID}  0.3 TIME in 2 outputs"
        )
        touch = {
            "txid": TXID,
            "status": "final",
            "time_ms": 0,
            "address": "timed1x",
            "received": Decimal("1.5"),
            "sent": 0,
        }
        shown = Lines().line("address", touch).plain
        self.assertTrue(shown.endswith(f"{TXID}  +1.5 TIME  timed1x"), shown)

    @given(st.dictionaries(st.sampled_from(("txid", "status", "address", "hash")), st.text()))
    @settings(max_examples=50, deadline=None)
    def test_nothing_of_others_commands_the_terminal(self, result: dict[str, str]) -> None:
        for topic in ("blocks", "finality", "address", "transactions"):
            shown = Lines().line(topic, result).plain
            self.assertTrue(shown.replace("\n", "").isprintable(), shown)
