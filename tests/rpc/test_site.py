"""The HTTP edge: routes, statuses, bounds and time-outs, from raw bytes to raw bytes."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.http import LOGIN, Client, get, post
from timecoin.p2p.inbound import DoorLimits
from timecoin.params import Network
from timecoin.rpc.auth import Gate, Login, Logins, parse_allowip
from timecoin.rpc.connection import DRAIN_S, ConnectionLimits
from timecoin.rpc.method import rpc_method
from timecoin.rpc.reception import Reception, StrangerLimits
from timecoin.rpc.server import JsonRpcServer, ServerLimits
from timecoin.rpc.site import MetricsDoor, make_site
from timecoin.rpc.subscriptions import Streams, Subscriptions
from timecoin.rpc.throttle import LoginThrottle
from timecoin.rpc.websocket import WebSocketDoor

MAX_BODY = 2_000
PING = b'{"jsonrpc":"2.0","method":"ping","id":1}'
WAIT = b'{"jsonrpc":"2.0","method":"wait","id":1}'


class Methods:
    """One method that answers and one that waits."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[str]] = []
        self.cancelled = 0

    @rpc_method()
    def ping(self) -> str:
        """Answer."""
        return "pong"

    @rpc_method()
    async def wait(self) -> str:
        """Answer when told."""
        waiting: Deferred[str] = Deferred()
        self.waiting.append(waiting)
        try:
            return await waiting
        except CancelledError:
            self.cancelled += 1
            raise


class Stubborn:
    """A method that answers although it is cancelled."""

    @rpc_method()
    async def stubborn(self) -> str:
        """Never mind."""
        with contextlib.suppress(CancelledError):
            await Deferred()
        return "no"


LIMITS = ConnectionLimits(
    max_body_bytes=MAX_BODY, max_connections=4, idle_timeout_s=30, read_timeout_s=60
)


class SiteTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.begin(LIMITS, None)

    def begin(self, limits: ConnectionLimits, strangers: StrangerLimits | None) -> None:
        """A site with these limits, and one client."""
        self.clock = Clock()
        self.methods = Methods()
        self.healthy = True
        logins = Logins(
            [Login.from_password("alice", "right"), Login.from_password("bob", "x")],
            {"alice": frozenset({"ping", "wait", "stubborn"}), "bob": frozenset({"help"})},
        )
        reception = Reception(self.clock, strangers)
        throttle, allowed = LoginThrottle(self.clock), parse_allowip(["10.0.0.0/8"])
        gate = Gate(logins, throttle, allowed, reception.logged_in)
        self.server = JsonRpcServer(self.clock, gate, ServerLimits(max_batch=10, queue_depth=2))
        self.server.publish(self.methods, Stubborn())
        self.site = make_site(
            self.server,
            websocket=WebSocketDoor(self.clock, gate, Streams(Network.DEVNET, Subscriptions())),
            status=lambda: {"height": 7},
            health=lambda: {"healthy": self.healthy, "live": True, "ready": False},
            metrics=MetricsDoor(gate, lambda: b"up 1\n"),
            reactor=self.clock,
            limits=limits,
            reception=reception,
        )
        self.client = Client(self.site)


class RouteTests(SiteTestCase):
    def test_both_paths(self) -> None:
        for path in (b"/", b"/rpc"):
            answer = self.client.ask(post(PING, path))
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.body, b'{"jsonrpc":"2.0","result":"pong","id":1}')
            self.assertEqual(answer.headers[b"content-type"], b"application/json")
        self.assertFalse(self.client.closed)

    def test_errors_are_200(self) -> None:
        answer = self.client.ask(post(b"{"))
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.body)["error"]["code"], -32700)

    def test_notification_is_204(self) -> None:
        for body in (b'{"jsonrpc":"2.0","method":"ping"}', b'[{"jsonrpc":"2.0","method":"ping"}]'):
            answer = self.client.ask(post(body))
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertNotIn(b"content-type", answer.headers)

    def test_other_paths_and_methods(self) -> None:
        for path in (b"/nosuch", b"/rpc/", b"/rpc/x", b"/../etc/passwd", b"/rpc%00"):
            answer = self.client.ask(post(PING, path))
            self.assertEqual((answer.status, answer.body), (404, b'{"error":"not found"}'), path)
        for method, path, allowed in (
            (b"GET", b"/rpc", b"POST"),
            (b"PUT", b"/", b"POST"),
            (b"DELETE", b"/status", b"GET, HEAD"),
        ):
            answer = self.client.ask(get(path, method))
            self.assertEqual(answer.status, 405)
            self.assertEqual(answer.headers[b"allow"], allowed)
            self.assertEqual(answer.body, b'{"error":"method not allowed"}')

    def test_a_plain_get_of_the_websocket(self) -> None:
        answer = self.client.ask(get(b"/ws"))
        self.assertEqual((answer.status, answer.headers[b"upgrade"]), (426, b"websocket"))
        self.assertEqual(answer.headers[b"connection"], b"Upgrade")
        self.assertEqual(answer.body, b'{"error":"this is a WebSocket"}')

    def test_status_needs_no_login(self) -> None:
        answer = self.client.ask(get(b"/status"))
        self.assertEqual((answer.status, answer.body), (200, b'{"height":7}'))
        self.assertEqual(answer.headers[b"content-type"], b"application/json")

    def test_health(self) -> None:
        answer = self.client.ask(get(b"/health"))
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, b'{"healthy":true,"live":true,"ready":false}')
        self.healthy = False
        self.assertEqual(self.client.ask(get(b"/health")).status, 503)
        self.assertEqual(self.client.ask(get(b"/health/live")).status, 200)
        self.assertEqual(self.client.ask(get(b"/health/ready")).status, 503)

    def test_metrics_need_no_login_on_this_machine(self) -> None:
        answer = self.client.ask(get(b"/metrics"))
        self.assertEqual((answer.status, answer.body), (200, b"up 1\n"))
        self.assertEqual(
            answer.headers[b"content-type"], b"text/plain; version=0.0.4; charset=utf-8"
        )

    def test_metrics_from_elsewhere(self) -> None:
        self.assertEqual(Client(self.site, "192.0.2.1").ask(get(b"/metrics")).status, 403)
        allowed = Client(self.site, "10.0.0.1")
        answer = allowed.ask(get(b"/metrics"))
        self.assertEqual((answer.status, answer.body), (401, b'{"error":"login needed"}'))
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: " + LOGIN + b"\r\n\r\n"
        self.assertEqual(allowed.ask(request).body, b"up 1\n")

    def test_ids_of_requests(self) -> None:
        """A client's own is taken if it can be one; else each request gets another."""
        chosen = self.client.ask(post(PING, x_request_id=b"Order-7.1"))
        self.assertEqual(chosen.headers[b"x-request-id"], b"Order-7.1")
        made = [
            self.client.ask(post(PING, x_request_id=bad)).headers[b"x-request-id"]
            for bad in (b"", b"two words", b"x" * 65, b"a\tb")
        ]
        self.assertEqual(len(set(made)), 4)
        for each in made:
            self.assertRegex(each.decode(), r"^[0-9a-f]{12}$")


class RefusalTests(SiteTestCase):
    def test_login(self) -> None:
        answer = self.client.ask(post(PING, login=None))
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.headers[b"www-authenticate"], b'Basic realm="timecoin"')
        self.client.send(post(PING, login=b"Basic eDp5"))
        self.assertEqual(self.client.answers(), [])
        self.clock.advance(0.25)
        (answer,) = self.client.answers()
        self.assertEqual(answer.status, 401)

    def test_address(self) -> None:
        self.assertEqual(Client(self.site, "192.0.2.1").ask(post(PING)).status, 403)

    def test_whitelist(self) -> None:
        answer = self.client.ask(post(PING, login=b"Basic Ym9iOng="))
        self.assertEqual(answer.status, 403)
        self.assertEqual(answer.body, b'{"error":"method not in rpcwhitelist"}')

    def test_content_types(self) -> None:
        for kind in (b"application/json", b"Application/JSON; charset=utf-8", b"text/plain;", b""):
            self.assertEqual(self.client.ask(post(PING, content_type=kind)).status, 200, kind)
        for kind in (b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"):
            self.assertEqual(self.client.ask(post(PING, content_type=kind)).status, 415, kind)

    def test_compressed_bodies(self) -> None:
        self.assertEqual(self.client.ask(post(PING, content_encoding=b"gzip")).status, 415)
        self.assertEqual(self.client.ask(post(PING, content_encoding=b"identity")).status, 200)

    def test_full_queue(self) -> None:
        clients = [Client(self.site) for _ in range(2)]
        for client in clients:
            client.send(post(WAIT))
        answer = self.client.ask(post(PING))
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers[b"retry-after"], b"1")
        self.methods.waiting[0].callback("done")
        self.assertIn(b"done", clients[0].answers()[0].body)
        self.assertEqual(self.client.ask(post(PING)).status, 200)

    def test_smuggling(self) -> None:
        for head in (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Content-Length: +5",
            b"Transfer-Encoding: xchunked",
        ):
            client = Client(self.site)
            client.send(b"POST /rpc HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n0\r\n\r\n")
            self.assertEqual([answer.status for answer in client.answers()], [400], head)
            self.assertTrue(client.closed)

    def test_what_is_no_text_or_no_name(self) -> None:
        """Refused before the routes, which would log a traceback for anybody."""
        for request in (
            b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /rpc\xff HTTP/1.1\r\nHost: x\r\n\r\n",
            b"P\xc0ST /rpc HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /status HTTP/1.1\r\nHost: \xc0\r\n\r\n",
            b"GET /status HTTP/1.1\r\nHost: a..b\r\n\r\n",
            b"GET /status HTTP/1.1\r\nHost: " + 64 * b"x" + b":80\r\n\r\n",
        ):
            client = Client(self.site)
            client.send(request)
            self.assertEqual([answer.status for answer in client.answers()], [400], request)
            self.assertEqual(self.flushLoggedErrors(), [], request)
            client.leave()

    @given(st.binary(max_size=100))
    def test_any_bytes(self, data: bytes) -> None:
        client = Client(self.site)
        client.send(data + b"\r\n\r\n")
        for answer in client.answers():
            self.assertIn(answer.status, (400, 404, 405))
        if not client.closed:
            client.leave()


class BodyBoundTests(SiteTestCase):
    def test_largest(self) -> None:
        self.assertEqual(self.client.ask(post(PING.ljust(MAX_BODY))).status, 200)

    def test_declared(self) -> None:
        for expect in (b"", b"Expect: 100-continue\r\n"):
            client = Client(self.site)
            client.send(b"POST /rpc HTTP/1.1\r\n%sContent-Length: 9999999999\r\n\r\n" % expect)
            self.assertEqual([answer.status for answer in client.answers()], [413])
            client.send(b"x" * 100_000)
            self.assertEqual(client.answers(), [])
            self.assertFalse(client.closed)  # the client may still be reading the answer
            self.clock.advance(DRAIN_S)
            self.assertTrue(client.closed)
        self.client.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whole_at_once(self) -> None:
        """What follows in the same bytes is not served either."""
        self.client.send(post(PING.ljust(MAX_BODY + 1)) + post(PING))
        self.assertEqual([answer.status for answer in self.client.answers()], [413])

    def test_chunked(self) -> None:
        client = Client(self.site)
        client.send(post(transfer_encoding=b"chunked"))
        for _ in range(MAX_BODY // 100):
            client.send(b"64\r\n" + b" " * 100 + b"\r\n")
        self.assertEqual(client.answers(), [])
        client.send(b"64\r\n" + b" " * 100 + b"\r\n")
        self.assertEqual([answer.status for answer in client.answers()], [413])
        client.send(b"0\r\n\r\n" + post(PING))
        self.assertEqual(client.answers(), [])

    def test_chunked_within_the_bound(self) -> None:
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PING), PING)
        self.client.send(post(transfer_encoding=b"chunked") + chunks)
        self.assertEqual([answer.status for answer in self.client.answers()], [200])


class TimeoutTests(SiteTestCase):
    def test_idle(self) -> None:
        self.client.ask(post(PING))
        self.clock.advance(29)
        self.assertFalse(self.client.closed)
        self.clock.advance(2)
        self.assertTrue(self.client.closed)

    def drip(self, client: Client, data: bytes) -> float:
        """Send a byte every 10 s; returns when the server had enough."""
        began_s = self.clock.seconds()
        for byte in data:
            if client.closed:
                break
            client.send(bytes([byte]))
            self.clock.pump([1] * 10)
        return self.clock.seconds() - began_s

    def test_slow_drip(self) -> None:
        for start in (
            b"",
            b"POST /rpc HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n",
        ):
            client = Client(self.site)
            client.send(start)
            self.assertLessEqual(self.drip(client, b"x" * 99), 60)
            self.assertTrue(client.closed)
            self.assertEqual(client.answers(), [])

    def test_slow_drip_after_a_good_request(self) -> None:
        self.client.ask(post(PING))
        self.assertLessEqual(self.drip(self.client, b"x" * 99), 60)

    def test_long_calls_are_not_cut(self) -> None:
        self.client.send(post(WAIT))
        self.clock.pump([1] * 600)
        self.methods.waiting[0].callback("at last")
        self.assertIn(b"at last", self.client.answers()[0].body)

    def test_pipelined_request_during_a_long_call(self) -> None:
        self.client.send(post(WAIT) + post(PING))
        self.clock.pump([1] * 600)
        self.methods.waiting[0].callback("at last")
        bodies = [json.loads(answer.body)["result"] for answer in self.client.answers()]
        self.assertEqual(bodies, ["at last", "pong"])


class ConnectionTests(SiteTestCase):
    def test_too_many(self) -> None:
        clients = [Client(self.site) for _ in range(5)]
        self.assertEqual([client.closed for client in clients], [False] * 3 + [True] * 2)
        clients[0].leave()
        self.assertEqual(Client(self.site).ask(post(PING)).status, 200)

    def test_vanished_client_cancels_its_calls(self) -> None:
        body = b"[" + WAIT + b"," + PING + b"," + WAIT + b"]"
        self.client.send(post(body))
        self.assertEqual(self.server.under_way, 1)
        self.client.leave()
        self.assertEqual(self.methods.cancelled, 2)
        self.assertEqual(self.server.under_way, 0)

    def test_vanished_client_of_a_failed_login(self) -> None:
        self.client.send(post(PING, login=b"Basic eDp5"))
        self.client.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connections_leave_nothing_behind(self) -> None:
        self.client.ask(post(PING))
        self.client.leave()
        self.assertEqual(self.site.connections, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class StrangerTests(SiteTestCase):
    """FAULTS F24, F25: who never logs in does not keep out those who have."""

    def setUp(self) -> None:
        door = DoorLimits(max_handshakes=10, max_handshakes_of_group=3, gives_way=True)
        self.begin(
            replace(LIMITS, max_connections=20),
            StrangerLimits(door, requests_per_minute=60, requests_burst=5),
        )
        self.assertEqual(self.client.ask(post(PING)).status, 200)

    def strangers(self, count: int) -> list[Client]:
        """From as many networks."""
        return [Client(self.site, f"10.0.{number}.1") for number in range(count)]

    def test_many_addresses(self) -> None:
        strangers = self.strangers(50)
        self.assertEqual([one.closed for one in strangers], [True] * 40 + [False] * 10)
        users = [Client(self.site) for _ in range(9)]
        self.assertEqual([user.ask(post(PING)).status for user in users], [200] * 9)
        self.assertEqual(self.site.connections, 20)
        self.assertFalse(any(one.closed for one in strangers[40:]))

    def test_one_address(self) -> None:
        strangers = [Client(self.site, "10.0.0.1") for _ in range(4)]
        self.assertEqual([one.closed for one in strangers], [False] * 3 + [True])
        strangers[0].leave()
        self.assertFalse(Client(self.site, "10.0.0.1").closed)

    def test_who_logs_in_is_no_stranger_any_more(self) -> None:
        user = Client(self.site, "10.9.9.9")
        self.assertEqual(user.ask(post(PING)).status, 200)
        others = [Client(self.site, "10.9.9.9") for _ in range(5)]
        self.strangers(50)
        self.assertEqual([one.ask(post(PING)).status for one in (user, *others)], [200] * 6)

    def test_requests_without_a_login_wait_for_each_other(self) -> None:
        strangers = self.strangers(8)
        for one in strangers:
            one.send(get(b"/status"))
        for expected in ([0, 1, 2, 3], [4], [5], [6], [7], []):
            answered = [number for number, one in enumerate(strangers) if one.answers()]
            self.assertEqual(answered, expected)
            self.assertEqual(self.client.ask(post(PING)).status, 200)
            self.clock.advance(1)

    def test_who_leaves_before_it_is_served(self) -> None:
        strangers = self.strangers(8)
        for one in strangers:
            one.send(get(b"/status"))
        for one in (*strangers, self.client):
            one.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])


class StoppingTests(SiteTestCase):
    def test_running_calls_finish_and_new_ones_are_refused(self) -> None:
        other = Client(self.site)
        self.client.send(post(WAIT))
        done = self.server.close()
        self.assertNoResult(done)
        self.assertEqual(other.ask(post(PING)).status, 503)
        self.methods.waiting[0].callback("done")
        self.successResultOf(done)
        self.assertIn(b"done", self.client.answers()[0].body)

    def test_idle_server_closes_at_once(self) -> None:
        self.client.ask(post(PING))
        self.successResultOf(self.server.close())

    def test_cancelled_calls_get_no_answer(self) -> None:
        stubborn = Client(self.site)
        stubborn.send(post(PING.replace(b"ping", b"stubborn")))
        self.client.send(post(WAIT))
        done = self.server.close()
        self.server.cancel_all()
        self.successResultOf(done)
        self.assertEqual((self.methods.cancelled, self.client.answers()), (1, []))
        self.assertEqual(stubborn.answers(), [])

    def test_site_closes_its_connections(self) -> None:
        closed = self.site.close(1.0)
        self.successResultOf(closed)
        self.assertTrue(self.client.closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])
