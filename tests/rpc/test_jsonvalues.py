"""Exact JSON: numbers, refusals, amounts."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.params import MAX_AMOUNT_UNITS
from timecoin.rpc.errors import TYPE_ERROR, RpcError
from timecoin.rpc.jsonvalues import amount_json, dumps, loads, parse_amount

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=8, max_value=10**12),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class LoadsTests(SynchronousTestCase):
    def test_numbers_are_exact(self) -> None:
        self.assertEqual(loads(b"[0.1, 1e-8, 7]"), [Decimal("0.1"), Decimal("1e-8"), 7])

    def test_refused(self) -> None:
        for text in (
            b"",
            b"{",
            b"NaN",
            b"[-Infinity]",
            b'{"a":1,"a":2}',
            b'{"x":{"a":1,"a":1}}',
            b"\xff\xfe",
            b"[1] 2",
            b"\xef\xbb\xbf[]",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"9" * 5_000,
            b"1e" + b"9" * 40,
            b"-0.1E-" + b"9" * 40,
        ):
            with self.assertRaises(ValueError, msg=text[:20]):
                loads(text)

    @given(st.binary())
    def test_any_bytes(self, text: bytes) -> None:
        try:
            value = loads(text)
        except ValueError:
            return
        self.assertEqual(loads(text), value)


class DumpsTests(SynchronousTestCase):
    def test_plain_numbers(self) -> None:
        for value, text in (
            (Decimal("1e-8"), b"0.00000001"),
            (Decimal("1E+3"), b"1000"),
            (Decimal("0.1") + Decimal("0.2"), b"0.3"),
            (10**30, b"1" + b"0" * 30),
            (True, b"true"),
            (0.5, b"0.5"),
            ((), b"[]"),
            ({}, b"{}"),
            ("é\ud800", b'"\\u00e9\\ud800"'),
        ):
            self.assertEqual(dumps(value), text)

    def test_refused(self) -> None:
        for value in (
            float("nan"),
            float("inf"),
            Decimal("NaN"),
            Decimal("1e1000000"),
            Decimal("1e-1000000"),
            b"bytes",
            {1: 2},
            object(),
        ):
            with self.assertRaises((TypeError, ValueError)):
                dumps(value)

    @given(JSON_VALUES)
    def test_round_trip(self, value: object) -> None:
        text = dumps(value)
        self.assertEqual(loads(text), value)
        self.assertEqual(json.loads(text, parse_float=Decimal), value)


class AmountTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        for value, units in (
            (1, 100_000_000),
            (0, 0),
            (Decimal("0.1"), 10_000_000),
            ("0.2", 20_000_000),
            ("1e-8", 1),
            (Decimal("1E+2"), 10_000_000_000),
            ("0.100000000000", 10_000_000),
            (Decimal("0e-999999999"), 0),
            ("92233720368.54775807", MAX_AMOUNT_UNITS),
        ):
            self.assertEqual(parse_amount(value), units, value)

    def test_an_exponent_that_no_decimal_has(self) -> None:
        """Found by fuzzing."""
        error = self.assertRaises(RpcError, parse_amount, "0E400000000000000000000")
        self.assertEqual(error.code, TYPE_ERROR)

    def test_refused(self) -> None:
        values: tuple[object, ...] = (
            None,
            True,
            [],
            {},
            0.5,
            "",
            "abc",
            " 1",
            "1 ",
            "+1",
            ".5",
            "1.",
            "01",
            "1_0",
            "0x10",
            "NaN",
            "true",
            "[1]",
            "١",
            "0." + "0" * 100,
            Decimal("0.000000001"),
            "0.123456789",
            -1,
            Decimal("-0.1"),
            Decimal("92233720368.54775808"),
            Decimal("1e999999999"),
            Decimal("1e-999999999"),
            10**4000,
        )
        for value in values:
            error = self.assertRaises(RpcError, parse_amount, value)
            self.assertEqual(error.code, TYPE_ERROR, value)

    def test_written(self) -> None:
        for units, text in (
            (30_000_000, b"0.3"),
            (1, b"0.00000001"),
            (0, b"0"),
            (-150_000_000, b"-1.5"),
            (10_000_000_000, b"100"),
            (MAX_AMOUNT_UNITS, b"92233720368.54775807"),
        ):
            self.assertEqual(dumps(amount_json(units)), text)

    @given(st.integers(0, MAX_AMOUNT_UNITS))
    def test_round_trip(self, units: int) -> None:
        text = dumps(amount_json(units))
        self.assertEqual(parse_amount(loads(text)), units)
        self.assertEqual(parse_amount(text.decode()), units)

    @given(st.integers(0, MAX_AMOUNT_UNITS // 2), st.integers(0, MAX_AMOUNT_UNITS // 2))
    def test_sums_are_exact(self, first: int, second: int) -> None:
        self.assertEqual(amount_json(first) + amount_json(second), amount_json(first + second))

    @given(st.text() | st.decimals())
    def test_any_text_or_number(self, value: str | Decimal) -> None:
        try:
            units = parse_amount(value)
        except RpcError as error:
            self.assertEqual(error.code, TYPE_ERROR)
        else:
            self.assertEqual(Decimal(value) * 10**8, units)
