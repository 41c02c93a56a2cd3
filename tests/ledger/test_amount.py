"""Amounts: exact both ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.ledger.amount import format_time, parse_time
from timecoin.params import MAX_AMOUNT_UNITS


class AmountTests(SynchronousTestCase):
    def test_examples(self) -> None:
        for text, units in (
            ("0", 0),
            ("1", 100_000_000),
            ("0.00000001", 1),
            ("0.1", 10_000_000),
            ("100.10000001", 10_010_000_001),
            ("007.50", 750_000_000),
            ("92233720368.54775807", MAX_AMOUNT_UNITS),
        ):
            self.assertEqual(parse_time(text), units)

    def test_all_decimals_are_shown(self) -> None:
        self.assertEqual(format_time(0), "0.00000000")
        self.assertEqual(format_time(1), "0.00000001")
        self.assertEqual(format_time(33025850929), "330.25850929")
        self.assertEqual(format_time(-150_000_000), "-1.50000000")

    @given(st.integers(0, MAX_AMOUNT_UNITS))
    def test_round_trip(self, units: int) -> None:
        self.assertEqual(parse_time(format_time(units)), units)

    def test_what_is_no_amount(self) -> None:
        for text in (
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1\n",
            "1,5",
            "1e3",
            "0x10",
            "1_000",
            "NaN",
            "inf",
            "0.000000001",
            "\u0661",
            "9" * 1000,
        ):
            self.assertRaises(ValueError, parse_time, text)

    def test_above_the_largest_amount(self) -> None:
        error = self.assertRaises(ValueError, parse_time, "92233720368.54775808")
        self.assertIn("above", str(error))

    @given(st.text(max_size=30))
    def test_any_text_is_an_amount_or_an_error(self, text: str) -> None:
        try:
            units = parse_time(text)
        except ValueError:
            return
        self.assertEqual(parse_time(format_time(units)), units)
