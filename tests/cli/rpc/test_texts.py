"""Texts of a command line as RPC values: what the server would refuse is refused here."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.rpc.published import published_methods
from timecoin.cli.rpc.texts import json_value, type_name
from timecoin.rpc.errors import RpcError
from timecoin.rpc.jsonvalues import parse_amount
from timecoin.rpc.schema import value_type
from timecoin.rpc.valuetypes import Amount, Array, Hash, Height, Text

HASH = "ab" * 32


def read(annotation: object, text: str) -> object:
    return json_value(value_type(annotation), text, "x")


class ValueTests(SynchronousTestCase):
    def test_plain_types(self) -> None:
        self.assertEqual(read(int, "-7"), -7)
        self.assertEqual(read(str, "7"), "7")
        self.assertIs(read(bool, "true"), True)
        self.assertIs(read(bool, "0"), False)
        self.assertEqual(read(Hash, HASH), HASH)

    def test_hash_or_height(self) -> None:
        self.assertEqual(read(Hash | Height, "12"), 12)
        self.assertEqual(read(Hash | Height, HASH), HASH)

    def test_true_or_a_number(self) -> None:
        self.assertIs(read(bool | int, "true"), True)
        self.assertEqual(read(bool | int, "2"), 2)

    def test_json_comes_before_text(self) -> None:
        self.assertEqual(read(str | list[str], '["a"]'), ["a"])
        self.assertEqual(read(str | list[str], "a"), "a")

    def test_numbers_in_json_are_exact(self) -> None:
        found = read(dict[str, object], '{"a": 0.1, "b": 90071992.54740993}')
        self.assertEqual(found, {"a": Decimal("0.1"), "b": Decimal("90071992.54740993")})

    def test_refusals_say_what_is_wanted(self) -> None:
        for annotation, text, said in (
            (int, "1.5", "expected integer"),
            (int, "x", "expected integer"),
            (int, "9" * 30, "out of range"),
            (bool, "maybe", "expected boolean"),
            (Hash, "ab", "64 hex digits"),
            (Hash, "AB" * 32, "lower-case"),
            (Hash | Height, "-1", "expected hash or height"),
            (Amount, "0.123456789", "Invalid amount"),
            (Amount, "-1", "out of range"),
            (Amount, "1e400", "Invalid amount"),
            (Amount, "NaN", "Invalid amount"),
            (list[str], "a,b", "expected array of string"),
            (list[str], "[1]", "expected string"),
            (object, "a b", "not JSON"),
            (object, "[" * 100_000, "not JSON"),
            (object, '{"a":1,"a":2}', "not JSON"),
        ):
            error = self.assertRaises(RpcError, read, annotation, text)
            self.assertIn(said, error.message, text)

    @given(st.text(max_size=40))
    @settings(max_examples=200, deadline=None)
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for annotation in (int, bool, object, Hash, Amount, Hash | Height, list[int], bool | int):
            try:
                value = read(annotation, text)
            except RpcError:
                continue
            value_type(annotation).read(value, "x")

    @given(st.integers(0, 2_100_000_000_000_000_000 // 10_000))
    @settings(max_examples=100, deadline=None)
    def test_amounts_travel_exactly(self, units: int) -> None:
        whole, fraction = divmod(units, 100_000_000)
        sent = read(Amount, f"{whole}.{fraction:08d}")
        self.assertEqual(parse_amount(sent), units)


class NameTests(SynchronousTestCase):
    def test_names_of_types(self) -> None:
        self.assertEqual(type_name(value_type(Hash | Height)), "HASH|HEIGHT")
        self.assertEqual(type_name(value_type(list[str])), "JSON")
        self.assertEqual(type_name(value_type(object)), "JSON")
        self.assertEqual(type_name(Text(choices=("a", "b"))), "a|b")
        self.assertEqual(type_name(Array(Text())), "JSON")
        self.assertEqual(type_name(Text(choices=("", "a", "A"))), "a")
        self.assertEqual(type_name(value_type(list[str] | dict[str, str])), "JSON")

    def test_every_published_type_has_a_name(self) -> None:
        for named in published_methods().values():
            for method in named.values():
                for parameter in method.signature.parameters:
                    self.assertTrue(type_name(parameter.type), method.name)
