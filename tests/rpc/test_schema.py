"""Parameters are read as the annotations say, or refused with the right number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.test_jsonvalues import JSON_VALUES
from timecoin.rpc.errors import (
    DECODE_ERROR,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    TYPE_ERROR,
    RpcError,
)
from timecoin.rpc.jsonvalues import loads
from timecoin.rpc.method import methods_of, rpc_method
from timecoin.rpc.methods.control import HelpMethods
from timecoin.rpc.schema import Signature, value_type
from timecoin.rpc.valuetypes import AddressText, Amount, Hash, Height, Hex, Integer, Text

SmallHex = Annotated[bytes, Hex(1, 3, code=DECODE_ERROR)]
Level = Annotated[str, Text(choices=("info", "debug"))]
Count = Annotated[int, Integer(1, 100)]


def everything(
    block: Hash | Height,
    verbose: bool | int = 1,
    *,
    to: dict[str, Amount] | None = None,
    ids: list[SmallHex] | None = None,
    level: Level = "info",
    count: Count = 10,
    address: AddressText | None = None,
    extra: object = None,
) -> None:
    """One of each."""


SIGNATURE = Signature.of(everything, {"blockhash": "block"})


class ReadTests(SynchronousTestCase):
    def refused(self, params: str, code: int) -> str:
        error = self.assertRaises(RpcError, SIGNATURE.read, loads(params.encode()))
        self.assertEqual(error.code, code, f"{params}: {error}")
        return str(error.message)

    def read(self, params: str) -> dict[str, object]:
        return SIGNATURE.read(loads(params.encode()))

    def test_by_position_and_by_name(self) -> None:
        hash = "0a" * 32
        self.assertEqual(self.read(f'["{hash}"]'), {"block": bytes.fromhex(hash)})
        self.assertEqual(self.read("[7, true]"), {"block": 7, "verbose": True})
        self.assertEqual(self.read('{"blockhash": 7}'), {"block": 7})
        self.assertEqual(
            self.read(
                '{"block":1,"to":{"x":0.1,"y":"2"},"ids":["00ff","01"],"level":"debug",'
                '"count":100,"address":"timed1","extra":[1,null]}'
            ),
            {
                "block": 1,
                "to": {"x": 10_000_000, "y": 200_000_000},
                "ids": [b"\x00\xff", b"\x01"],
                "level": "debug",
                "count": 100,
                "address": "timed1",
                "extra": [1, None],
            },
        )

    def test_null_means_the_default(self) -> None:
        self.assertEqual(self.read("[1, null]"), {"block": 1})
        self.assertEqual(self.read('{"block":1,"count":null,"to":null}'), {"block": 1})
        self.refused("[null]", TYPE_ERROR)

    def test_arity_and_names(self) -> None:
        self.refused("[]", INVALID_PARAMS)
        self.refused("{}", INVALID_PARAMS)
        self.refused("[1, 1, {}]", INVALID_PARAMS)  # named only: not by position
        self.refused('{"block":1,"nosuch":1}', INVALID_PARAMS)
        self.refused('{"block":1,"blockhash":1}', INVALID_PARAMS)
        self.assertIn("nosuch", self.refused('{"block":1,"nosuch":1}', INVALID_PARAMS))
        self.assertLess(len(self.refused(f'{{"{"x" * 10_000}":1}}', INVALID_PARAMS)), 200)

    def test_types(self) -> None:
        for params in (
            "[true]",
            "[1.0]",
            "[{}]",
            '[1, "1"]',
            '{"block":1,"to":[]}',
            '{"block":1,"to":{"x":true}}',
            '{"block":1,"to":{"x":0.000000001}}',
            '{"block":1,"ids":{}}',
            '{"block":1,"ids":[1]}',
            '{"block":1,"level":1}',
            '{"block":1,"count":"1"}',
            '{"block":1,"address":7}',
        ):
            self.refused(params, TYPE_ERROR)

    def test_values(self) -> None:
        for params in (
            "[-1]",
            '["abc"]',
            f'["{"0A" * 32}"]',
            f'["{"0g" * 32}"]',
            f'["{"0" * 63}"]',
            f'["{" 0" * 32}"]',
            '{"block":1,"level":"loud"}',
            '{"block":1,"count":0}',
            '{"block":1,"count":101}',
            f'{{"block":1,"address":"{"x" * 129}"}}',
            '{"block":1,"address":"\\ud800"}',
        ):
            self.refused(params, INVALID_PARAMETER)
        for params in ('["00", "zz"]', '["0"]', '["000"]', '["00000000"]', '[""]'):
            self.refused(f'{{"block":1,"ids":{params}}}', DECODE_ERROR)

    @given(JSON_VALUES)
    def test_any_params(self, params: object) -> None:
        try:
            arguments = SIGNATURE.read(params)
        except RpcError as error:
            self.assertIn(error.code, (INVALID_PARAMS, TYPE_ERROR, INVALID_PARAMETER, DECODE_ERROR))
        else:
            everything(**arguments)  # type: ignore[arg-type]

    @given(st.dictionaries(st.sampled_from(["block", "to", "ids", "count", "extra"]), JSON_VALUES))
    def test_any_named(self, params: dict[str, object]) -> None:
        self.test_any_params.hypothesis.inner_test(self, params)  # type: ignore[attr-defined]


class DeclarationTests(SynchronousTestCase):
    def test_refused_at_once(self) -> None:
        def untyped(a) -> None: ...  # type: ignore[no-untyped-def]
        def unknown(a: complex) -> None: ...
        def maybe(a: int | None) -> None: ...
        def many(*a: int) -> None: ...
        def numbers(a: dict[int, int]) -> None: ...

        functions: tuple[Callable[..., None], ...] = (untyped, unknown, maybe, many, numbers)
        for function in functions:
            self.assertRaises(TypeError, Signature.of, function, {})
        self.assertRaises(TypeError, Signature.of, everything, {"x": "nosuch"})
        self.assertRaises(TypeError, Signature.of, everything, {"level": "block"})

    def test_value_type(self) -> None:
        self.assertEqual(value_type(list[Hash]).label, "array of hash")
        self.assertEqual(value_type(dict[str, int]).label, "object of integer")


class Group:
    @rpc_method("first", "second", aliases={"hash": "block"})
    def method(self, block: Hash, limit: Annotated[int, Integer(1, 9)] = 5) -> str:
        """Do something.

        More of it.
        """
        return f"{block.hex()} {limit}"

    def unpublished(self) -> None:
        """Not marked."""


class HelpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.published = {method.name: method for method in methods_of(Group())}
        self.help = HelpMethods(self.published)

    def test_published(self) -> None:
        self.assertEqual(list(self.published), ["first", "second"])
        self.assertEqual(
            self.published["second"]({"hash": "00" * 32, "limit": 2}), "00" * 32 + " 2"
        )

    def test_list(self) -> None:
        self.assertEqual(self.help.help(), "first block [limit]\nsecond block [limit]")

    def test_one(self) -> None:
        self.assertEqual(
            self.help.help("first"),
            "first block [limit]\n\nDo something.\n\nMore of it.\n\nParameters:\n"
            "  block: hash, required\n  limit: integer, optional, default 5",
        )

    def test_unknown(self) -> None:
        self.assertEqual(self.help.help("nosuch"), "help: unknown command: nosuch")

    def test_docstring_is_needed(self) -> None:
        class Silent:
            @rpc_method()
            def silent(self) -> None: ...

        self.assertRaises(TypeError, list, methods_of(Silent()))
