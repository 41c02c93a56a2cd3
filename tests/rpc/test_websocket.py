"""``/ws`` on real sockets: upgrades, refusals, notifications, slow and silent clients, the end."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import treq
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.types import ConnectionDeny
from treq.client import HTTPClient
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from timecoin.params import Network
from timecoin.rpc import websocket as websocket_module
from timecoin.rpc.auth import Login, parse_whitelist
from timecoin.rpc.connection import ConnectionLimits
from timecoin.rpc.service import RpcService, RpcSettings
from timecoin.rpc.subscriptions import Streams, SubscriptionLimits, Subscriptions, Topic
from timecoin.rpc.tls import TlsFiles
from timecoin.rpc.websocket import MAX_MESSAGE_BYTES, WebSocketLimits

REACTOR: Any = global_reactor
BLOCKS = Topic("blocks")


def basic(user: str = "alice", password: str = "right") -> dict[str, str]:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


class Client(WebSocketClientProtocol):
    """Keeps what it hears; ``closed`` fires with the close code and reason."""

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.heard: DeferredQueue[Any] = DeferredQueue()
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[tuple[int | None, str | None]] = Deferred()
        self.pings = 0
        self.silent = False

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.heard.put(json.loads(payload))

    def onPing(self, payload: bytes) -> None:
        self.pings += 1
        if not self.silent:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.closed.callback((code, reason))
        if not self.opened.called:
            self.opened.errback(ConnectionDeny(code or 0, reason))

    def ask(self, method: str, *params: object, **named: object) -> Deferred[Any]:
        """Send a call; fires with the next thing heard."""
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": named or list(params)}
        self.sendMessage(json.dumps(call).encode())
        return self.heard.get()


class WebSocketTestCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.subscriptions = Subscriptions(SubscriptionLimits(per_client=5, in_all=8))
        self.settings = RpcSettings(
            bind=(("127.0.0.1", 0),),
            logins=(Login.from_password("alice", "right"), Login.from_password("bob", "x")),
            websocket=WebSocketLimits(clients=4, per_address=3),
        )
        pool = HTTPConnectionPool(REACTOR)
        self.addCleanup(pool.closeCachedConnections)
        self.http = HTTPClient(Agent(REACTOR, pool=pool))

    def serve(self, settings: RpcSettings | None = None) -> RpcService:
        service = RpcService(
            REACTOR,
            settings or self.settings,
            (),
            streams=Streams(Network.DEVNET, self.subscriptions),
            status=lambda: {"height": 0},
            health=lambda: {"healthy": True},
        )
        service.startService()
        self.addCleanup(lambda: service.stopService() if service.running else None)
        return service

    async def connect(
        self, service: RpcService, certificate: bytes | None = None, **headers: str
    ) -> Client:
        """A client inside."""
        host, port = service.addresses[0]
        scheme = "ws" if certificate is None else "wss"
        factory = WebSocketClientFactory(
            f"{scheme}://{host}:{port}/ws", headers={**basic(), **headers}, reactor=REACTOR
        )
        factory.protocol = Client
        factory.setProtocolOptions(
            openHandshakeTimeout=0, closeHandshakeTimeout=0, serverConnectionDropTimeout=0
        )
        endpoint: Any = TCP4ClientEndpoint(REACTOR, host, port)
        if certificate is not None:
            trust = trustRootFromCertificates([Certificate.loadPEM(certificate)])
            endpoint = wrapClientTLS(optionsForClientTLS("localhost", trust), endpoint)
        client: Client = await endpoint.connect(factory)
        self.addCleanup(self.leave, client)
        await client.opened
        return client

    def leave(self, client: Client) -> Deferred[Any] | None:
        if client.closed.called:
            return None
        client.dropConnection(abort=True)
        return client.closed

    async def refused(self, service: RpcService, **headers: str) -> tuple[int, Any, Any]:
        """Status, JSON and headers of an upgrade that is not made."""
        host, port = service.addresses[0]
        wanted = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"k" * 16).decode(),
            **headers,
        }
        response = await self.http.get(
            f"http://{host}:{port}/ws",
            headers=Headers({name: [value] for name, value in wanted.items()}),
        )
        return response.code, await treq.json_content(response), response.headers


class ServingTests(WebSocketTestCase):
    async def talk(self, service: RpcService, client: Client) -> None:
        answer = await client.ask("subscribe", "blocks")
        self.assertEqual(answer, {"jsonrpc": "2.0", "result": 1, "id": 1})
        self.subscriptions.publish(BLOCKS, {"height": 7})
        self.assertEqual(
            await client.heard.get(),
            {
                "jsonrpc": "2.0",
                "method": "subscription",
                "params": {"subscription": 1, "topic": "blocks", "result": {"height": 7}},
            },
        )
        self.assertIs((await client.ask("unsubscribe", 1))["result"], True)
        self.assertIs((await client.ask("unsubscribe", 1))["result"], False)
        self.assertEqual((await client.ask("stop"))["error"]["code"], -32601)
        client.sendClose(1000)
        self.assertEqual((await client.closed)[0], 1000)

    async def test_subscribe_hear_unsubscribe_leave(self) -> None:
        service = self.serve()
        await self.talk(service, await self.connect(service))
        while service.websocket.clients:
            await deferLater(REACTOR, 0.01)

    async def test_over_tls(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        files = TlsFiles(folder / "rpc.cert", folder / "rpc.key", own=True)
        service = self.serve(replace(self.settings, tls=files))
        certificate = files.certificate.read_bytes()
        await self.talk(service, await self.connect(service, certificate))
        client = await self.connect(service, certificate)
        await service.stopService()
        self.assertEqual(await client.closed, (1001, "the node stops"))

    async def test_batches_errors_and_text_that_is_none(self) -> None:
        client = await self.connect(self.serve())
        client.sendMessage(b'[{"jsonrpc":"2.0","id":5,"method":"subscribe","params":["blocks"]},1]')
        answers = await client.heard.get()
        self.assertEqual(answers[0], {"jsonrpc": "2.0", "result": 1, "id": 5})
        self.assertEqual(answers[1]["error"]["code"], -32600)
        client.sendMessage(b"{")
        self.assertEqual((await client.heard.get())["error"]["code"], -32700)
        client.sendMessage(b'{"jsonrpc":"2.0","method":"subscribe","params":["blocks"]}')
        while len(self.subscriptions) < 2:
            await deferLater(REACTOR, 0.01)
        self.subscriptions.publish(BLOCKS, {})
        first, second = await client.heard.get(), await client.heard.get()
        numbers = [told["params"]["subscription"] for told in (first, second)]
        self.assertEqual(numbers, [1, 2])

    async def test_a_client_that_leaves_leaves_nothing(self) -> None:
        service = self.serve()
        client = await self.connect(service)
        await client.ask("subscribe", "blocks")
        await client.ask("subscribe", "finality")
        self.assertEqual((len(self.subscriptions), service.websocket.clients), (2, 1))
        client.dropConnection(abort=True)
        while service.websocket.clients:
            await deferLater(REACTOR, 0.01)
        self.assertEqual(len(self.subscriptions), 0)

    async def test_the_other_calls_go_on(self) -> None:
        service = self.serve()
        await self.connect(service)
        host, port = service.addresses[0]
        response = await self.http.get(f"http://{host}:{port}/health")
        self.assertEqual(response.code, 200)
        await treq.content(response)

    async def test_it_outlives_the_times_of_http(self) -> None:
        times = ConnectionLimits(idle_timeout_s=1, read_timeout_s=1)
        client = await self.connect(self.serve(replace(self.settings, connection=times)))
        await client.ask("subscribe", "blocks")
        await deferLater(REACTOR, 1.3)
        self.subscriptions.publish(BLOCKS, {})
        self.assertEqual((await client.heard.get())["params"]["result"], {})

    async def test_stop(self) -> None:
        service = self.serve()
        client = await self.connect(service)
        await client.ask("subscribe", "blocks")
        await service.stopService()
        self.assertEqual(await client.closed, (1001, "the node stops"))
        self.assertEqual(len(self.subscriptions), 0)


class RefusalTests(WebSocketTestCase):
    async def test_a_plain_get(self) -> None:
        service = self.serve()
        host, port = service.addresses[0]
        response = await self.http.get(f"http://{host}:{port}/ws")
        self.assertEqual(response.code, 426)
        self.assertEqual(await treq.json_content(response), {"error": "this is a WebSocket"})
        response = await self.http.post(f"http://{host}:{port}/ws", data=b"{}")
        self.assertEqual(response.code, 405)
        await treq.content(response)

    async def test_logins(self) -> None:
        service = self.serve()
        code, answer, headers = await self.refused(service)
        self.assertEqual((code, answer), (401, {"error": "login needed"}))
        self.assertEqual(headers.getRawHeaders("www-authenticate"), ['Basic realm="timecoin"'])
        code, answer, _ = await self.refused(service, **basic(password="wrong"))
        self.assertEqual((code, answer), (401, {"error": "wrong user or password"}))

    async def test_whitelist(self) -> None:
        whitelist = parse_whitelist(["alice:subscribe", "bob:help"])
        service = self.serve(replace(self.settings, whitelist=whitelist))
        code, _, _ = await self.refused(service, **basic("bob", "x"))
        self.assertEqual(code, 403)
        client = await self.connect(service)
        self.assertEqual((await client.ask("subscribe", "blocks"))["result"], 1)
        client.sendMessage(b'{"jsonrpc":"2.0","id":1,"method":"unsubscribe","params":[1]}')
        self.assertEqual(await client.closed, (1008, "method not in rpcwhitelist"))

    async def test_origins(self) -> None:
        service = self.serve()
        _, port = service.addresses[0]
        for origin in ("https://example.org", f"https://127.0.0.1:{port}", "null", ""):
            code, answer, _ = await self.refused(service, Origin=origin, **basic())
            self.assertEqual(code, 403, origin)
            self.assertIn("origin", answer["error"])
        await self.connect(service, Origin=f"http://127.0.0.1:{port}")

    async def test_a_handshake_of_another_version(self) -> None:
        service = self.serve()
        host, port = service.addresses[0]
        headers = {**basic(), "Connection": "Upgrade", "Upgrade": "websocket"}
        response = await self.http.get(
            f"http://{host}:{port}/ws",
            headers=Headers({name: [value] for name, value in headers.items()}),
        )
        self.assertEqual(response.code, 400)
        await treq.content(response)
        while service.websocket.clients:
            await deferLater(REACTOR, 0.01)

    async def test_too_many_clients(self) -> None:
        service = self.serve()
        inside = [await self.connect(service) for _ in range(3)]
        code, answer, _ = await self.refused(service, **basic())
        self.assertEqual((code, answer), (503, {"error": "too many WebSocket clients"}))
        inside[0].dropConnection(abort=True)
        while service.websocket.clients == 3:
            await deferLater(REACTOR, 0.01)
        await self.connect(service)

    async def test_too_many_in_all(self) -> None:
        service = self.serve(replace(self.settings, websocket=WebSocketLimits(2, 16)))
        for _ in range(2):
            await self.connect(service)
        code, _, _ = await self.refused(service, **basic())
        self.assertEqual(code, 503)

    async def test_too_many_subscriptions(self) -> None:
        service = self.serve()
        first, second = await self.connect(service), await self.connect(service)
        for _ in range(5):
            self.assertIn("result", await first.ask("subscribe", "blocks"))
        self.assertEqual((await first.ask("subscribe", "blocks"))["error"]["code"], -32005)
        for _ in range(3):
            self.assertIn("result", await second.ask("subscribe", "blocks"))
        self.assertEqual((await second.ask("subscribe", "blocks"))["error"]["code"], -32005)
        await first.ask("unsubscribe", 1)
        self.assertIn("result", await second.ask("subscribe", "blocks"))

    async def test_binary_and_oversize(self) -> None:
        service = self.serve()
        client = await self.connect(service)
        client.sendMessage(b"{}", isBinary=True)
        self.assertEqual(await client.closed, (1003, "text is expected"))
        client = await self.connect(service)
        client.sendMessage(b" " * (MAX_MESSAGE_BYTES + 1))
        self.assertEqual((await client.closed)[0], 1009)


class PaceTests(WebSocketTestCase):
    async def test_a_client_that_does_not_read_is_dropped_with_a_reason(self) -> None:
        service = self.serve()
        client, other = await self.connect(service), await self.connect(service)
        for each in (client, other):
            await each.ask("subscribe", "blocks")
        client.transport.pauseProducing()
        filler = "x" * 50_000
        for _ in range(2_000):
            self.subscriptions.publish(BLOCKS, {"filler": filler})
            await other.heard.get()
            if len(self.subscriptions) == 1:
                break
        self.assertEqual(len(self.subscriptions), 1)
        client.transport.resumeProducing()
        code, reason = await client.closed
        self.assertEqual(code, 1008)
        self.assertIn("too slow", reason or "")
        self.subscriptions.publish(BLOCKS, {"filler": "the other goes on"})
        told = await other.heard.get()
        self.assertEqual(told["params"]["result"], {"filler": "the other goes on"})

    async def test_what_waits_arrives_in_order(self) -> None:
        client = await self.connect(self.serve())
        await client.ask("subscribe", "blocks")
        client.transport.pauseProducing()
        for number in range(100):
            self.subscriptions.publish(BLOCKS, {"number": number, "filler": "x" * 30_000})
        await deferLater(REACTOR, 0.01)
        client.transport.resumeProducing()
        heard = [(await client.heard.get())["params"]["result"]["number"] for _ in range(100)]
        self.assertEqual(heard, list(range(100)))

    async def test_pings(self) -> None:
        self.patch(websocket_module, "PING_S", 0.02)
        client = await self.connect(self.serve())
        while client.pings < 3:
            await deferLater(REACTOR, 0.01)
        self.assertFalse(client.closed.called)
        client.silent = True
        code, _ = await client.closed
        self.assertEqual(code, 1006)

    async def test_a_client_that_ignores_the_end_is_cut_off(self) -> None:
        self.patch(websocket_module, "CLOSE_GRACE_S", 0.02)
        service = self.serve()
        client = await self.connect(service)
        client.transport.pauseProducing()
        service.websocket.close()
        while service.websocket.clients:
            await deferLater(REACTOR, 0.01)
        client.transport.resumeProducing()
        await client.closed
