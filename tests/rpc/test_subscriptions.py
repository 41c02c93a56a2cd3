"""Subscriptions without sockets: topics, numbers, limits, and what a slow client keeps waiting."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from timecoin.crypto.address import encode_address
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.params import Network
from timecoin.rpc.auth import Caller, Gate, Logins
from timecoin.rpc.errors import RpcError
from timecoin.rpc.outbox import Outbox
from timecoin.rpc.server import JsonRpcServer, ServerLimits
from timecoin.rpc.subscriptions import (
    SubscriptionLimits,
    SubscriptionMethods,
    Subscriptions,
    Topic,
)
from timecoin.rpc.throttle import LoginThrottle

TXID = b"\x07" * 32
HASH = b"\x09" * 20
ADDRESS = encode_address(Network.DEVNET, HASH)
BLOCKS = Topic("blocks")


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, text: bytes) -> None:
        self.told.append(json.loads(text))

    def take(self) -> list[Any]:
        """What it was told since the last look, without the envelope."""
        told, self.told = self.told, []
        return [(each["params"]["subscription"], each["params"]["result"]) for each in told]


class SubscriptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.subscriptions = Subscriptions(SubscriptionLimits(per_client=3, in_all=4))
        self.one, self.other = Listener(), Listener()

    def test_those_who_asked_are_told(self) -> None:
        first = self.subscriptions.add(self.one, BLOCKS)
        second = self.subscriptions.add(self.other, BLOCKS)
        narrow = self.subscriptions.add(self.other, Topic("finality", TXID))
        self.subscriptions.publish(BLOCKS, {"height": 1})
        self.subscriptions.publish(Topic("finality"), {})
        self.subscriptions.publish(Topic("finality", TXID), {"status": "final"})
        self.assertEqual(self.one.take(), [(first, {"height": 1})])
        self.assertEqual(
            self.other.take(), [(second, {"height": 1}), (narrow, {"status": "final"})]
        )

    def test_the_form_of_a_notification(self) -> None:
        self.subscriptions.add(self.one, BLOCKS)
        self.subscriptions.publish(BLOCKS, {"hash": "00"})
        self.assertEqual(
            self.one.told,
            [
                {
                    "jsonrpc": "2.0",
                    "method": "subscription",
                    "params": {"subscription": 1, "topic": "blocks", "result": {"hash": "00"}},
                }
            ],
        )

    def test_an_end(self) -> None:
        number = self.subscriptions.add(self.one, BLOCKS)
        self.assertFalse(self.subscriptions.remove(self.other, number))
        self.assertTrue(self.subscriptions.remove(self.one, number))
        self.assertFalse(self.subscriptions.remove(self.one, number))
        self.assertFalse(self.subscriptions.listens("blocks"))
        self.subscriptions.publish(BLOCKS, {})
        self.assertEqual(self.one.told, [])

    def test_a_client_that_is_gone(self) -> None:
        self.subscriptions.add(self.one, BLOCKS)
        self.subscriptions.add(self.one, Topic("address", b"s"))
        kept = self.subscriptions.add(self.other, BLOCKS)
        self.subscriptions.drop(self.one)
        self.subscriptions.drop(self.one)
        self.assertEqual(len(self.subscriptions), 1)
        self.assertFalse(self.subscriptions.has(Topic("address", b"s")))
        self.subscriptions.publish(BLOCKS, {})
        self.assertEqual((self.one.take(), self.other.take()), ([], [(kept, {})]))

    def test_limits(self) -> None:
        for _ in range(3):
            self.subscriptions.add(self.one, BLOCKS)
        error = self.assertRaises(RpcError, self.subscriptions.add, self.one, BLOCKS)
        self.assertEqual(error.code, -32005)
        self.subscriptions.add(self.other, BLOCKS)
        error = self.assertRaises(RpcError, self.subscriptions.add, self.other, BLOCKS)
        self.assertEqual(error.code, -32005)
        self.subscriptions.drop(self.one)
        self.subscriptions.add(self.other, BLOCKS)

    def test_a_client_that_is_dropped_while_it_is_told(self) -> None:
        subscriptions = self.subscriptions

        class Leaver(Listener):
            def tell(self, text: bytes) -> None:
                super().tell(text)
                subscriptions.drop(self)

        leaver = Leaver()
        subscriptions.add(leaver, BLOCKS)
        kept = subscriptions.add(self.one, BLOCKS)
        subscriptions.publish(BLOCKS, {})
        subscriptions.publish(BLOCKS, {})
        self.assertEqual(len(leaver.told), 1)
        self.assertEqual(self.one.take(), [(kept, {}), (kept, {})])

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("add", "remove", "drop")),
                st.integers(0, 2),
                st.integers(0, 3),
                st.integers(1, 12),
            ),
            max_size=30,
        )
    )
    def test_books_agree(self, steps: list[tuple[str, int, int, int]]) -> None:
        """Whatever happens, exactly the live subscriptions are told and counted."""
        subscriptions = Subscriptions(SubscriptionLimits(100, 100))
        clients = [Listener() for _ in range(3)]
        topics = [BLOCKS, Topic("finality"), Topic("finality", TXID), Topic("address", b"s")]
        live: dict[int, tuple[int, Topic]] = {}
        for action, who, what, number in steps:
            match action:
                case "add":
                    live[subscriptions.add(clients[who], topics[what])] = (who, topics[what])
                case "remove":
                    had = live.get(number, (None, BLOCKS))[0] == who
                    self.assertEqual(subscriptions.remove(clients[who], number), had)
                    if had:
                        del live[number]
                case _:
                    subscriptions.drop(clients[who])
                    live = {key: item for key, item in live.items() if item[0] != who}
        self.assertEqual(len(subscriptions), len(live))
        for topic in topics:
            subscriptions.publish(topic, {})
            self.assertEqual(subscriptions.has(topic), any(t == topic for _, t in live.values()))
            names = [t.name for _, t in live.values()]
            self.assertEqual(subscriptions.listens(topic.name), topic.name in names)
        told = sorted(number for client in clients for number, _ in client.take())
        self.assertEqual(told, sorted(live))


class MethodTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.subscriptions = Subscriptions()
        self.listener = Listener()
        clock = Clock()
        self.server = JsonRpcServer(
            clock, Gate(Logins([], {}), LoginThrottle(clock)), ServerLimits()
        )
        self.server.publish(SubscriptionMethods(Network.DEVNET, self.subscriptions, self.listener))

    def ask(self, method: str, params: object) -> Any:
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = Deferred.fromCoroutine(self.server.answer(call.encode(), Caller("test")))
        return json.loads(self.successResultOf(answer))

    def test_topics_by_position_and_by_name(self) -> None:
        script = pay_to_pubkey_hash(HASH)
        for params, topic in (
            (["blocks"], BLOCKS),
            (["transactions"], Topic("transactions")),
            (["transactions", {}], Topic("transactions")),
            (["finality"], Topic("finality")),
            (["finality", {"txid": TXID.hex()}], Topic("finality", TXID)),
            ({"topic": "finality", "txid": TXID.hex()}, Topic("finality", TXID)),
            (["address", {"address": ADDRESS}], Topic("address", script)),
            ({"topic": "address", "options": {"address": ADDRESS}}, Topic("address", script)),
            ({"topic": "address", "address": ADDRESS}, Topic("address", script)),
        ):
            number = self.ask("subscribe", params)["result"]
            self.assertTrue(self.subscriptions.has(topic), params)
            self.assertIs(self.ask("unsubscribe", [number])["result"], True)
            self.assertEqual(len(self.subscriptions), 0)

    def test_refused(self) -> None:
        foreign = encode_address(Network.MAINNET, HASH)
        for params, code in (
            ([], -32602),
            ([7], -3),
            (["weather"], -8),
            (["blocks", {"txid": TXID.hex()}], -3),
            (["finality", {"txid": "00"}], -8),
            (["finality", {"txid": 7}], -3),
            (["finality", {"address": ADDRESS}], -3),
            (["address"], -3),
            (["address", {"address": 7}], -3),
            (["address", {"address": "nonsense"}], -5),
            (["address", {"address": foreign}], -5),
            ({"topic": "blocks", "address": ADDRESS}, -3),
            (["blocks", []], -3),
        ):
            self.assertEqual(self.ask("subscribe", params)["error"]["code"], code, params)
        self.assertEqual(self.ask("unsubscribe", ["1"])["error"]["code"], -3)
        self.assertEqual(len(self.subscriptions), 0)

    @given(
        st.recursive(
            st.none()
            | st.integers()
            | st.text()
            | st.floats(allow_nan=False)
            | st.sampled_from(["blocks", "finality", "address", "txid"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["topic", "txid", "address", "x"]), inner, max_size=3
                )
            ),
            max_leaves=6,
        )
    )
    def test_any_parameters_are_taken_or_refused(self, params: object) -> None:
        for method in ("subscribe", "unsubscribe"):
            answer = self.ask(method, params)
            if "error" in answer:
                self.assertNotEqual(answer["error"]["code"], -32603)
        self.subscriptions.drop(self.listener)


class OutboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent: list[bytes] = []
        self.outbox = Outbox(self.sent.append, max_messages=3, max_bytes=10)

    def test_passes_on(self) -> None:
        self.assertTrue(self.outbox.put(b"a" * 50))
        self.assertEqual(self.sent, [b"a" * 50])

    def test_waits_in_order(self) -> None:
        self.outbox.pause()
        for text in (b"a", b"b", b"c"):
            self.assertTrue(self.outbox.put(text))
        self.assertEqual((self.sent, len(self.outbox)), ([], 3))
        self.outbox.resume()
        self.outbox.put(b"d")
        self.assertEqual(self.sent, [b"a", b"b", b"c", b"d"])

    def test_paused_while_it_sends(self) -> None:
        def send(text: bytes) -> None:
            self.sent.append(text)
            outbox.pause()

        outbox = Outbox(send)
        outbox.pause()
        for text in (b"a", b"b"):
            outbox.put(text)
        outbox.resume()
        self.assertEqual((self.sent, len(outbox)), ([b"a"], 1))
        outbox.resume()
        self.assertEqual((self.sent, len(outbox)), ([b"a", b"b"], 0))

    def test_too_many(self) -> None:
        self.outbox.pause()
        for _ in range(3):
            self.assertTrue(self.outbox.put(b"x"))
        self.assertFalse(self.outbox.put(b"x"))
        self.assertEqual(len(self.outbox), 0)

    def test_too_large(self) -> None:
        self.outbox.pause()
        self.assertTrue(self.outbox.put(b"x" * 10))
        self.assertFalse(self.outbox.put(b"x"))
        self.assertTrue(self.outbox.put(b"x" * 10))
        self.outbox.resume()
        self.outbox.pause()
        self.assertTrue(self.outbox.put(b"y" * 10))
