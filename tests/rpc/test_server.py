"""Bodies in, bodies out: the JSON-RPC 2.0 specification, 1.0-style clients, hostile bodies."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.test_jsonvalues import JSON_VALUES
from timecoin.rpc.auth import Caller, Gate, Logins
from timecoin.rpc.errors import REJECTED, RpcError
from timecoin.rpc.http import HttpRefusal
from timecoin.rpc.jsonvalues import dumps, loads
from timecoin.rpc.method import rpc_method
from timecoin.rpc.server import TURN_BUDGET_S, JsonRpcServer, ServerLimits
from timecoin.rpc.throttle import LoginThrottle
from timecoin.rpc.valuetypes import Amount

EVERYONE = Caller("alice")


class SpecificationMethods:
    """The methods that the examples of the specification call, and some that misbehave."""

    def __init__(self) -> None:
        self.notified: list[object] = []
        self.waiting: list[Deferred[object]] = []
        self.clock: Clock | None = None

    @rpc_method()
    def subtract(self, minuend: int, subtrahend: int) -> int:
        """Difference."""
        return minuend - subtrahend

    @rpc_method()
    def update(self, *, values: object = None) -> None:
        """Note something."""
        self.notified.append(values)

    @rpc_method("notify_sum", "sum")
    def add(self, a: int, b: int, c: int) -> int:
        """Sum."""
        self.notified.append((a, b, c))
        return a + b + c

    @rpc_method()
    async def get_data(self) -> list[object]:
        """Something."""
        return ["hello", 5]

    @rpc_method("rpc.area.nothing")
    def nothing(self) -> None:
        """A null result under a dotted name."""

    @rpc_method()
    def total(self, first: Amount, second: Amount) -> Decimal:
        """A number that a float would get wrong."""
        return Decimal(first + second).scaleb(-8)

    @rpc_method()
    def wait(self) -> Deferred[object]:
        """Answer later."""
        waiting: Deferred[object] = Deferred()
        self.waiting.append(waiting)
        return waiting

    @rpc_method()
    async def fail(self) -> None:
        """A bug of ours."""
        raise KeyError("secret")

    @rpc_method()
    def unserialisable(self) -> object:
        """A result that JSON cannot say."""
        return {"x": [float("nan")]}

    @rpc_method()
    def reject(self, *, data: object = None) -> None:
        """A refusal."""
        raise RpcError(REJECTED, "min-fee-not-met", data)

    @rpc_method()
    def reject_badly(self) -> None:
        """A refusal that JSON cannot say."""
        raise RpcError(REJECTED, "min-fee-not-met", b"bytes")

    @rpc_method()
    def slow(self) -> None:
        """Takes longer than a turn may."""
        assert self.clock is not None
        self.clock.rightNow += 2 * TURN_BUDGET_S
        self.notified.append("slow")


class ServerTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.methods = SpecificationMethods()
        self.methods.clock = self.clock
        gate = Gate(Logins([], {}), LoginThrottle(self.clock))
        self.server = JsonRpcServer(self.clock, gate, ServerLimits(max_batch=10))
        self.server.publish(self.methods)

    def answer(self, body: str | bytes, caller: Caller = EVERYONE) -> bytes:
        raw = body.encode() if isinstance(body, str) else body
        return self.successResultOf(Deferred.fromCoroutine(self.server.answer(raw, caller)))

    def check(self, body: str, expected: str) -> None:
        """``body`` is answered by what ``expected`` says; the error messages are not compared."""

        def plain(value: object) -> object:
            if isinstance(value, list):
                return [plain(item) for item in value]
            if isinstance(value, dict) and isinstance(value.get("error"), dict):
                return {**value, "error": value["error"]["code"]}
            return value

        answer = self.answer(body)
        self.assertEqual(plain(loads(answer)) if answer else None, loads(expected.encode()))


class SpecificationTests(ServerTestCase):
    """Section 7 of the specification, example by example."""

    def test_positional(self) -> None:
        self.check(
            '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
            '{"jsonrpc": "2.0", "result": 19, "id": 1}',
        )
        self.check(
            '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
            '{"jsonrpc": "2.0", "result": -19, "id": 2}',
        )

    def test_named(self) -> None:
        self.check(
            '{"jsonrpc": "2.0", "method": "subtract",'
            ' "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
            '{"jsonrpc": "2.0", "result": 19, "id": 3}',
        )

    def test_notification(self) -> None:
        self.assertEqual(
            self.answer('{"jsonrpc": "2.0", "method": "update", "params": {"values": [1]}}'), b""
        )
        self.assertEqual(self.methods.notified, [[1]])
        for method in ("foobar", "subtract", "fail"):
            self.assertEqual(self.answer(f'{{"jsonrpc": "2.0", "method": "{method}"}}'), b"")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_unknown_method(self) -> None:
        self.check(
            '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
            '{"jsonrpc": "2.0", "error": -32601, "id": "1"}',
        )

    def test_parse_error(self) -> None:
        for body in (
            '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
            '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc"]',
            "",
            '{"jsonrpc": "2.0", "method": "sum", "method": "sum", "id": 1}',
            '{"jsonrpc": "2.0", "method": "sum", "params": [NaN], "id": 1}',
            "[" * 100_000,
        ):
            self.check(body, '{"jsonrpc": "2.0", "error": -32700, "id": null}')

    def test_invalid_request(self) -> None:
        for body in ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', "[]", "1", '"x"', "null"):
            self.check(body, '{"jsonrpc": "2.0", "error": -32600, "id": null}')

    def test_invalid_batch(self) -> None:
        one = '{"jsonrpc": "2.0", "error": -32600, "id": null}'
        self.check("[1]", f"[{one}]")
        self.check("[1,2,3]", f"[{one},{one},{one}]")

    def test_mixed_batch(self) -> None:
        self.check(
            """[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_sum", "params": [7,8,9]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]""",
            """[
        {"jsonrpc": "2.0", "result": 7, "id": "1"},
        {"jsonrpc": "2.0", "result": 19, "id": "2"},
        {"jsonrpc": "2.0", "error": -32600, "id": null},
        {"jsonrpc": "2.0", "error": -32601, "id": "5"},
        {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
        ]""",
        )
        self.assertEqual(self.methods.notified, [(1, 2, 4), (7, 8, 9)])

    def test_batch_of_notifications(self) -> None:
        self.assertEqual(
            self.answer(
                '[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},'
                '{"jsonrpc": "2.0", "method": "update"}]'
            ),
            b"",
        )


class EnvelopeTests(ServerTestCase):
    def test_batch_limit(self) -> None:
        entry = '{"jsonrpc": "2.0", "method": "get_data", "id": 1}'
        self.assertEqual(len(json.loads(self.answer(f"[{','.join([entry] * 10)}]"))), 10)
        self.check(f"[{','.join([entry] * 11)}]", '{"jsonrpc": "2.0", "error": -32600, "id": null}')

    def test_null_result(self) -> None:
        self.check(
            '{"jsonrpc": "2.0", "method": "rpc.area.nothing", "id": 1}',
            '{"jsonrpc": "2.0", "result": null, "id": 1}',
        )

    def test_ids(self) -> None:
        for id in ("null", "0", "-1", '""', '"x"', "1.50", "1e3", str(10**30)):
            expected = {"1e3": "1000"}.get(id, id)
            self.assertEqual(
                self.answer(f'{{"jsonrpc":"2.0","method":"subtract","params":[1,1],"id":{id}}}'),
                f'{{"jsonrpc":"2.0","result":0,"id":{expected}}}'.encode(),
            )
        for id in ("true", "[]", "{}", "1e99999999", "1e-99999999"):
            self.check(
                f'{{"jsonrpc":"2.0","method":"subtract","params":[1,1],"id":{id}}}',
                '{"jsonrpc": "2.0", "error": -32600, "id": null}',
            )

    def test_versions(self) -> None:
        for version in ('"3.0"', "2.0", "null", "[]", '"1.1"'):
            self.check(
                f'{{"jsonrpc":{version},"method":"get_data","id":5}}',
                '{"jsonrpc": "2.0", "error": -32600, "id": 5}',
            )

    def test_params_must_be_structured(self) -> None:
        for params in ("null", "1", '"x"'):
            self.check(
                f'{{"jsonrpc":"2.0","method":"get_data","params":{params},"id":5}}',
                '{"jsonrpc": "2.0", "error": -32600, "id": 5}',
            )

    def test_older_clients(self) -> None:
        for start in ("", '"jsonrpc":"1.0",', '"version":"1.1",'):
            self.check(
                f'{{{start}"method":"subtract","params":[5,3],"id":"curltest"}}',
                '{"result": 2, "error": null, "id": "curltest"}',
            )
            self.check(
                f'{{{start}"method":"get_data","params":null}}',
                '{"result": ["hello", 5], "error": null, "id": null}',
            )
            self.check(
                f'{{{start}"method":"nosuch","id":1}}', '{"result": null, "error": -32601, "id": 1}'
            )
        self.check('{"method":1,"id":5}', '{"jsonrpc": "2.0", "error": -32600, "id": 5}')

    def test_amounts_are_exact(self) -> None:
        self.assertEqual(
            self.answer('{"jsonrpc":"2.0","method":"total","params":[0.1,"0.2"],"id":1}'),
            b'{"jsonrpc":"2.0","result":0.30000000,"id":1}',
        )

    def test_parameters(self) -> None:
        for params, code in (
            ("[1]", -32602),
            ("[1,2,3]", -32602),
            ('{"minuend":1}', -32602),
            ('{"minuend":1,"subtrahend":2,"x":3}', -32602),
            ('[1,"2"]', -3),
            ("[1,99999999999999999999]", -8),
        ):
            self.check(
                f'{{"jsonrpc":"2.0","method":"subtract","params":{params},"id":1}}',
                f'{{"jsonrpc": "2.0", "error": {code}, "id": 1}}',
            )

    def test_private_names_are_no_methods(self) -> None:
        for name in ("__dir__", "", ".", "rpc", "rpc.area", "rpc..nothing", "publish", "render"):
            self.check(
                json.dumps({"jsonrpc": "2.0", "method": name, "id": 1}),
                '{"jsonrpc": "2.0", "error": -32601, "id": 1}',
            )

    def test_error_data(self) -> None:
        answer = self.answer('{"jsonrpc":"2.0","method":"reject","params":{"data":[1]},"id":1}')
        self.assertEqual(
            json.loads(answer)["error"], {"code": -26, "message": "min-fee-not-met", "data": [1]}
        )
        answer = self.answer('{"jsonrpc":"2.0","method":"reject","id":1}')
        self.assertEqual(json.loads(answer)["error"], {"code": -26, "message": "min-fee-not-met"})

    def test_internal_errors_show_only_their_id(self) -> None:
        for method, kind in (
            ("fail", KeyError),
            ("unserialisable", ValueError),
            ("reject_badly", TypeError),
        ):
            answer = self.answer(f'[{{"jsonrpc":"2.0","method":"{method}","id":1}}]')
            (logged,) = self.flushLoggedErrors(kind)
            error = json.loads(answer)[0]["error"]
            self.assertEqual((error["code"], error["message"]), (-32603, "Internal error"))
            self.assertEqual(list(error["data"]), ["error_id"])
            self.assertNotIn(b"secret", answer)
            self.assertIsInstance(logged.value, kind)

    def test_whitelist(self) -> None:
        bob = Caller("bob", frozenset({"get_data"}))
        body = '{"jsonrpc":"2.0","method":"get_data","id":1}'
        self.assertIn(b"hello", self.answer(body, bob))
        batch = f'[{body},{{"jsonrpc":"2.0","method":"update"}}]'.encode()
        refused = Deferred.fromCoroutine(self.server.answer(batch, bob))
        self.assertEqual(self.failureResultOf(refused, HttpRefusal).value.status, 403)
        self.assertEqual(self.methods.notified, [])

    def test_names_are_published_once(self) -> None:
        self.assertRaises(ValueError, self.server.publish, SpecificationMethods())


class WaitingTests(ServerTestCase):
    def test_batch_waits_together_and_keeps_order(self) -> None:
        wait = '{"jsonrpc":"2.0","method":"wait","id":%d}'
        body = f"[{wait % 1},{wait % 2}]".encode()
        answer = Deferred.fromCoroutine(self.server.answer(body, EVERYONE))
        first, second = self.methods.waiting
        second.callback("b")
        self.assertNoResult(answer)
        first.callback("a")
        results = [item["result"] for item in json.loads(self.successResultOf(answer))]
        self.assertEqual(results, ["a", "b"])

    def test_method_cancelled_by_itself_is_an_internal_error(self) -> None:
        answer = Deferred.fromCoroutine(
            self.server.answer(b'{"jsonrpc":"2.0","method":"wait","id":1}', EVERYONE)
        )
        self.methods.waiting[0].cancel()
        self.assertEqual(json.loads(self.successResultOf(answer))["error"]["code"], -32603)
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_long_batch_yields_to_the_reactor(self) -> None:
        body = b"[" + b",".join([b'{"jsonrpc":"2.0","method":"slow","id":1}'] * 3) + b"]"
        answer = Deferred.fromCoroutine(self.server.answer(body, EVERYONE))
        self.assertEqual(len(self.methods.notified), 1)  # the others wait for their turns
        self.clock.advance(0)
        self.assertEqual(len(json.loads(self.successResultOf(answer))), 3)


REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0"]) | JSON_VALUES,
        "method": st.sampled_from(["subtract", "sum", "update", "rpc.area.nothing", "total"])
        | JSON_VALUES,
        "params": st.lists(st.integers(), max_size=3) | JSON_VALUES,
        "id": st.integers() | JSON_VALUES,
    },
)


class HostileBodyTests(ServerTestCase):
    def proper(self, body: bytes) -> None:
        answer = self.answer(body)
        if not answer:
            return
        value = loads(answer)
        for item in value if isinstance(value, list) else [value]:
            item = cast(dict[str, object], item)
            if item.get("jsonrpc") == "2.0":
                self.assertEqual(len(item), 3)
                self.assertEqual(("result" in item) + ("error" in item), 1)
            else:
                self.assertEqual(set(item), {"result", "error", "id"})
            error = item.get("error")
            if error is not None:
                self.assertIn(error["code"], (-32700, -32600, -32601, -32602, -3, -8))  # type: ignore[index]

    @settings(max_examples=300)
    @given(st.binary(max_size=200))
    def test_bytes(self, body: bytes) -> None:
        self.proper(body)

    @given(JSON_VALUES)
    def test_json(self, body: object) -> None:
        self.proper(dumps(body))

    @settings(max_examples=300)
    @given(REQUESTS | st.lists(REQUESTS, max_size=12))
    def test_requests(self, body: object) -> None:
        self.proper(dumps(body))

    @given(st.data())
    def test_mutated(self, data: st.DataObject) -> None:
        body = bytearray(dumps(data.draw(REQUESTS)))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(body) - 1))
            body[at] = data.draw(st.integers(0, 255))
        self.proper(bytes(body))
