"""``rpc.discover`` is valid OpenRPC and says what dispatch does; docs/rpc.rst is up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, ValidationError
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.methods.net import RpcFailure, RpcTestCase
from timecoin import __version__
from timecoin.rpc.errors import INVALID_PARAMS, RpcError
from timecoin.rpc.jsonvalues import dumps, loads
from timecoin.rpc.method import methods_of, rpc_method
from timecoin.rpc.openrpc import openrpc_document
from timecoin.rpc.reference import BEGIN, END, published_methods, render_reference, updated

TESTS = Path(__file__).resolve().parent.parent
META_SCHEMA = json.loads((TESTS / "vectors" / "openrpc-1.3.json").read_text())
PAGE = TESTS.parent / "docs" / "rpc.rst"


def check(document: object) -> None:
    """Raise unless ``document`` is OpenRPC."""
    plain = json.loads(dumps(document))
    Draft7Validator(META_SCHEMA).validate(plain)


class DiscoverTests(RpcTestCase):
    """The document of a running node."""

    def setUp(self) -> None:
        super().setUp()
        self.document: Any = self.call("rpc.discover")

    def test_valid(self) -> None:
        check(self.document)
        self.assertEqual(self.document["info"]["version"], __version__)
        for method in self.document["methods"]:
            for described in (*method["params"], method["result"]):
                Draft7Validator.check_schema(json.loads(dumps(described["schema"])))

    def test_validation_can_fail(self) -> None:
        Draft7Validator.check_schema(META_SCHEMA)
        cases: tuple[dict[str, object], ...] = (
            {"openrpc": "9"},
            {"methods": [{"name": "nameless"}]},
            {"methods": [self.document["methods"][0] | {"unknown": 1}]},
            {"methods": [self.document["methods"][0] | {"params": [{"name": "a"}]}]},
            {"info": {}},
        )
        for breaking in cases:
            self.assertRaises(ValidationError, check, self.document | breaking)

    def test_every_method_is_there(self) -> None:
        listed = [method["name"] for method in self.document["methods"]]
        self.assertEqual(listed, sorted(self.node.server.methods))
        helped = [line.split()[0] for line in self.call("help").splitlines()]
        self.assertEqual(listed, helped)

    def test_names_and_order_are_those_of_dispatch(self) -> None:
        for method in self.document["methods"]:
            signature = self.node.server.methods[method["name"]].signature
            shown = [parameter["name"] for parameter in method["params"]]
            self.assertEqual(shown, [parameter.name for parameter in signature.parameters])
            positional = [p for p in method["params"] if not p.get("x-named-only")]
            self.refused(INVALID_PARAMS, method["name"], *[None] * (len(positional) + 1))
            required = [p["name"] for p in method["params"] if p["required"]]
            if required:
                failure = self.refused(INVALID_PARAMS, method["name"])
                self.assertIn(required[0], failure.message)

    def test_what_a_schema_refuses_dispatch_refuses(self) -> None:
        values: list[object] = [True, 0.5, -(2**70), "\u2603", "0" * 200_000, [[[]]], {"": {}}]
        refused = 0
        for method in self.node.server.methods.values():
            for parameter in method.signature.parameters:
                validator = Draft7Validator(json.loads(dumps(parameter.type.schema)))
                for value in values:
                    if not validator.is_valid(value):
                        refused += 1
                        read = loads(dumps(value))
                        self.assertRaises(RpcError, parameter.type.read, read, parameter.name)
        self.assertGreater(refused, 100)

    def test_results_are_what_is_promised(self) -> None:
        by_name = {method["name"]: method for method in self.document["methods"]}
        for name in sorted(by_name):
            if name == "stop" or any(p["required"] for p in by_name[name]["params"]):
                continue
            try:
                result = json.loads(dumps(self.call(name)))
            except RpcFailure:
                continue
            Draft7Validator(by_name[name]["result"]["schema"]).validate(result)


class SignatureTests(SynchronousTestCase):
    """What stands in the document of a method of one's own."""

    def test_method(self) -> None:
        class Group:
            @rpc_method(aliases={"n": "number"})
            def added(
                self, number: int, text: str = "x", *, exact: bool | None = None
            ) -> list[int]:
                """Add things.

                More about it.
                """
                return [number]

        document = loads(dumps(openrpc_document(methods_of(Group()))))
        assert isinstance(document, dict)
        check(document)
        (method,) = document["methods"]
        self.assertEqual(method["summary"], "Add things.")
        self.assertEqual(method["description"], "Add things.\n\nMore about it.")
        self.assertEqual(method["x-aliases"], {"n": "number"})
        number, text, exact = method["params"]
        self.assertEqual((number["required"], text["required"]), (True, False))
        self.assertEqual((text["schema"]["default"], exact["x-named-only"]), ("x", True))
        self.assertNotIn("default", exact["schema"])
        self.assertEqual(
            method["result"]["schema"], {"type": "array", "items": {"type": "integer"}}
        )

    def test_results_that_json_cannot_say(self) -> None:
        class Silent:
            @rpc_method()
            def silent(self):  # type: ignore[no-untyped-def]
                """Says nothing of its result."""

        class Odd:
            @rpc_method()
            def odd(self) -> bytes:
                """Returns bytes."""
                return b""

        for group in (Silent(), Odd()):
            self.assertRaises(TypeError, lambda group=group: list(methods_of(group)))


class ReferenceTests(SynchronousTestCase):
    """docs/rpc.rst, written by ``make docs``."""

    def test_up_to_date(self) -> None:
        page = PAGE.read_text()
        self.assertEqual(page, updated(page), "run: make docs")

    def test_every_method_is_told(self) -> None:
        text = render_reference()
        for listed in published_methods().values():
            for method in listed:
                self.assertIn(f"``{method.name}", text)
                for parameter in method.signature.parameters:
                    self.assertIn(f"    - {parameter.description}\n", text + "\n")

    def test_only_its_part_is_written(self) -> None:
        page = updated(f"above\n{BEGIN}old\n{END}below\n")
        self.assertTrue(page.startswith(f"above\n{BEGIN}"))
        self.assertTrue(page.endswith(f"{END}below\n"))
        self.assertNotIn("old\n", page.partition(BEGIN)[2][:10])
        for broken in ("nothing", BEGIN, END):
            self.assertRaises(ValueError, updated, broken)
