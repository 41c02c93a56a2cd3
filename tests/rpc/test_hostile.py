"""Whatever is sent to whatever method: a proper answer, never -32603, never none.

All methods of a whole node are called, with values of every JSON type and size, near misses of what
they expect, and bodies that are no requests.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.rpc.methods.net import CALLER, RpcTestCase
from timecoin.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
)
from timecoin.rpc.jsonvalues import dumps, loads
from timecoin.rpc.method import Method

ENDING = frozenset({"stop"})
SLOW = frozenset({"waittransactionfinality", "encryptwallet", "walletpassphrasechange"})
"""Called apart: they wait by design, or lock the wallet that the others use."""
NO_FILES = frozenset({"backupwallet", "restorewallet"})
"""A random path is a file made somewhere; its own test knows better ones."""
PATIENCE_S = 400
BATCH = 1_000

HEX = st.text("0123456789abcdef", max_size=80)
NUMBERS = st.one_of(
    st.integers(-(10**40), 10**40),
    st.sampled_from([0, 1, -1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**18]),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20),
    st.sampled_from([Decimal("0.1"), Decimal("1e-9"), Decimal("20999999.99999999")]),
)
TEXTS = st.one_of(
    st.text(max_size=40),
    HEX,
    HEX.map(lambda text: text + text),
    st.sampled_from(
        ["", "*", "\0", "\ud800", "ab" * 32, "00" * 32, "a" * 100_001, "timed1q", "../..", "\u2603"]
    ),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.text(max_size=8),
                st.sampled_from(
                    ["txid", "vout", "data", "proof", "amount", "scriptPubKey", "sequence"]
                ),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


def near(parameter_type: object) -> st.SearchStrategy[Any]:
    """Values that a parameter's own JSON Schema would allow, or nearly."""
    label = getattr(parameter_type, "label", "")
    close: dict[str, st.SearchStrategy[Any]] = {
        "hash": st.sampled_from(["00" * 32, "ab" * 32]),
        "height": st.integers(-1, 3),
        "hex": HEX,
        "boolean": st.booleans(),
    }
    return close.get(label, VALUES)


class HostileTestCase(RpcTestCase):
    """One node with a block and a waiting payment."""

    def setUp(self) -> None:
        super().setUp()
        self.net.run_to_height(1)
        self.call("sendrawtransaction", self.net.payment(0).encoded.hex())
        self.methods = {
            name: method
            for name, method in self.node.server.methods.items()
            if name not in ENDING | SLOW | NO_FILES
        }
        self.names = sorted(self.methods)

    def answer(self, body: bytes) -> Any:
        """What the node answers to ``body``, which must not take for ever."""
        work = Deferred.fromCoroutine(self.node.server.answer(body, CALLER))
        waited_s = 0.0
        while not work.called:
            self.assertLess(waited_s, PATIENCE_S, body[:200])
            self.net.run(0.1)
            waited_s += 0.1
        text: bytes = self.successResultOf(work)
        return loads(text) if text else None

    def check_answer(self, answer: Any, id: object) -> None:
        """A result or an error object, and not an internal error."""
        self.assertEqual(answer["id"], id)
        self.assertEqual(answer["jsonrpc"], "2.0")
        if "error" in answer:
            error = answer["error"]
            self.assertNotIn("result", answer)
            self.assertIsInstance(error["code"], int)
            self.assertIsInstance(error["message"], str)
            self.assertNotIn("Traceback", error["message"])
            self.assertNotEqual(error["code"], INTERNAL_ERROR, error)
        else:
            self.assertIn("result", answer)

    def send(self, method: str, params: object) -> Any:
        """Call, and check the answer."""
        try:
            body = dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        except ValueError:  # a number of too many digits for our own writer
            return None
        answer = self.answer(body)
        self.check_answer(answer, 1)
        return answer


class WatchTests(HostileTestCase):
    """What the tests below look for is seen."""

    def test_internal_error(self) -> None:
        def broken() -> None:
            raise ZeroDivisionError

        self.patch(self.node.node.views, "height_of", lambda block_hash: broken())
        self.assertRaises(self.failureException, self.send, "getblock", ["00" * 32])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stuck_request(self) -> None:
        stuck: Deferred[None] = Deferred()
        self.patch(self.node.catalog.waiters, "wait", lambda txid: stuck)
        self.patch(type(stuck), "addTimeout", lambda self, *given: self)
        self.assertRaises(
            self.failureException, self.send, "waittransactionfinality", ["ab" * 32, 1]
        )


class ParameterTests(HostileTestCase):
    """Random parameters for every method."""

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_any_values(self, drawn: st.DataObject) -> None:
        name = drawn.draw(st.sampled_from(self.names))
        self.send(name, drawn.draw(st.lists(VALUES, max_size=6)))

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_near_misses(self, drawn: st.DataObject) -> None:
        method = self.methods[drawn.draw(st.sampled_from(self.names))]
        self.send(method.name, self.named(method, drawn))

    def named(self, method: Method, drawn: st.DataObject) -> dict[str, Any]:
        """Parameters by their names, some left out, of types that nearly fit."""
        chosen = {}
        for parameter in method.signature.parameters:
            if parameter.required or drawn.draw(st.booleans()):
                chosen[parameter.name] = drawn.draw(near(parameter.type))
        return chosen

    def test_every_method_with_every_kind_of_value(self) -> None:
        kinds: list[Any] = [
            None,
            True,
            0,
            -1,
            2**70,
            Decimal("0.5"),
            "",
            "\ud800",
            "ab" * 32,
            "0" * 100_001,
            [],
            {},
            [[[[]]]],
            [{"txid": "ab" * 32, "vout": 0}],
            {"txid": {"txid": []}},
        ]
        for name in self.names:
            self.send(name, {"no such": 1})
            self.send(name, [None] * 30)
            required = sum(p.required for p in self.methods[name].signature.parameters)
            for value in kinds:
                self.send(name, [value] * max(1, required))

    def test_those_that_wait_or_lock(self) -> None:
        for name in sorted(SLOW):
            values: list[Any] = [None, True, -1, 2**70, "", "\ud800", [], {}, "x" * 100_001]
            for value in values:
                answer = self.send(name, [value, value])
                self.assertIn("error", answer, (name, value))
        answer = self.send("waittransactionfinality", ["ab" * 32, 1])
        self.assertIn("error", answer)

    def test_too_many(self) -> None:
        for name in self.names:
            answer = self.send(name, list(range(20)))
            self.assertEqual(answer["error"]["code"], INVALID_PARAMS, name)


class BodyTests(HostileTestCase):
    """Bodies that are no requests, or too many."""

    def error(self, body: bytes) -> int:
        """The code of the one error that answers ``body``."""
        answer = self.answer(body)
        assert isinstance(answer, dict)
        self.check_answer(answer, answer["id"])
        code: int = answer["error"]["code"]
        return code

    @given(st.binary(max_size=200))
    def test_random_bytes(self, body: bytes) -> None:
        self.assertIn(self.error(body), (PARSE_ERROR, INVALID_REQUEST))

    @settings(max_examples=60)
    @given(st.data())
    def test_mutated_request(self, drawn: st.DataObject) -> None:
        body = bytearray(b'{"jsonrpc":"2.0","id":1,"method":"getblock","params":[1,2]}')
        for _ in range(drawn.draw(st.integers(1, 3))):
            body[drawn.draw(st.integers(0, len(body) - 1))] = drawn.draw(st.integers(32, 126))
        answer = self.answer(bytes(body))
        if answer is not None and "error" in answer and answer["error"] is not None:
            self.assertNotEqual(answer["error"]["code"], INTERNAL_ERROR)

    def test_what_is_no_json(self) -> None:
        for body in (
            b"",
            b"\xff\xfe",
            b"NaN",
            b'{"a":1,"a":2}',
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"id":1,"method":"getblock","params":[NaN]}',
            b'{"id":1,"method":"getblock","params":[Infinity]}',
        ):
            self.assertEqual(self.error(body), PARSE_ERROR, body[:40])

    def test_deep_nesting_inside_the_parameters(self) -> None:
        for depth in (10, 200, 400):
            nested = b"[" * depth + b"]" * depth
            for name in self.names:
                body = b'{"jsonrpc":"2.0","id":1,"method":"%s","params":[%s]}'
                self.check_answer(self.answer(body % (name.encode(), nested)), 1)

    def test_numbers_as_long_as_the_body(self) -> None:
        for number in (
            b"1" * 4_000,
            b"1e999999",
            b"-1e-999999",
            b"0." + b"1" * 10_000,
            b"1" * 10**6,
        ):
            for name in ("getblock", "getblockhash", "sendtoaddress", "gettxout", "estimatefee"):
                body = b'{"jsonrpc":"2.0","id":1,"method":"%s","params":[%s,%s]}'
                answer = self.answer(body % (name.encode(), number, number))
                self.assertIn("error", answer)
                self.assertNotEqual(answer["error"]["code"], INTERNAL_ERROR, number[:20])

    def test_a_thousand_entries(self) -> None:
        entries = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": self.names[number % len(self.names)],
                "params": [None] * (number % 7),
            }
            for number in range(BATCH)
        ]
        answers = self.answer(dumps(entries))
        self.assertEqual([answer["id"] for answer in answers], list(range(BATCH)))
        for number, answer in enumerate(answers):
            self.check_answer(answer, number)
        self.assertEqual(self.error(dumps([*entries, entries[0]])), INVALID_REQUEST)

    def test_a_thousand_unknown_methods_and_odd_entries(self) -> None:
        odd: list[object] = [1, [], {}, None, {"method": 5}, {"jsonrpc": "3.0"}]
        answers = self.answer(dumps((odd * BATCH)[:BATCH]))
        self.assertEqual(len(answers), BATCH)
        self.assertEqual({answer["error"]["code"] for answer in answers}, {INVALID_REQUEST})
        for name in (
            "",
            "nosuch",
            "__init__",
            "rpc",
            "rpc.",
            "rpc.nosuch",
            ".",
            "x" * 10_000,
            "\ud800",
        ):
            answer = self.send(name, [])
            self.assertEqual(answer["error"]["code"], METHOD_NOT_FOUND, name[:20])

    def test_the_node_goes_on(self) -> None:
        """After all that it still makes blocks and pays."""
        self.test_a_thousand_entries()
        self.net.run_to_height(3)
        paid = self.call("sendtoaddress", address=self.call("getnewaddress"), amount=1, wait=True)
        self.assertIs(self.call("gettransactionfinality", paid)["finalized"], True)
        self.assertIs(self.call("gettxoutsetinfo")["matches_supply"], True)
