"""Watching a real interface: what is told arrives, refusals and ends have their reasons."""

from __future__ import annotations

import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from timecoin.cli.watch.client import Notification, Target, WatchFailed, watch
from timecoin.params import Network
from timecoin.rpc.auth import Login
from timecoin.rpc.service import RpcService, RpcSettings
from timecoin.rpc.subscriptions import Streams, Subscriptions, Topic
from timecoin.rpc.tls import TlsFiles

REACTOR: Any = global_reactor
BLOCKS = {"topic": "blocks"}


class WatchTests(TestCase):
    timeout = 20

    def serve(self, tls: TlsFiles | None = None) -> Target:
        self.subscriptions = Subscriptions()
        self.service = RpcService(
            REACTOR,
            RpcSettings(
                bind=(("127.0.0.1", 0),), logins=(Login.from_password("alice", "right"),), tls=tls
            ),
            (),
            streams=Streams(Network.DEVNET, self.subscriptions),
            status=lambda: {"height": 0},
            health=lambda: {"healthy": True},
        )
        self.service.startService()
        self.addCleanup(lambda: self.service.stopService() if self.service.running else None)
        port = self.service.addresses[0][1]
        scheme = "http" if tls is None else "https"
        certificate = None if tls is None else tls.certificate
        return Target(f"{scheme}://127.0.0.1:{port}/", "alice", "right", certificate)

    async def subscribed(self, count: int) -> None:
        while len(self.subscriptions) < count:
            await deferLater(REACTOR, 0.01)

    def watch(self, target: Target, *topics: dict[str, str], enough: int) -> Deferred[Any]:
        self.heard: list[Notification] = []

        def hear(notification: Notification) -> bool:
            self.heard.append(notification)
            return len(self.heard) < enough

        return ensureDeferred(watch(REACTOR, target, topics, hear))

    async def failure(self, target: Target, *topics: dict[str, str]) -> WatchFailed:
        try:
            await self.watch(target, *topics, enough=1)
        except WatchFailed as error:
            return error
        raise AssertionError("it did not fail")

    async def hears_two_blocks(self, target: Target) -> None:
        watching = self.watch(target, BLOCKS, {"topic": "finality", "txid": "ab" * 32}, enough=2)
        await self.subscribed(2)
        for height in (7, 8, 9):
            self.subscriptions.publish(Topic("blocks"), {"height": height, "fee": Decimal("0.1")})
        await watching
        self.assertEqual([told["result"]["height"] for told in self.heard], [7, 8])
        self.assertEqual(self.heard[0]["result"]["fee"], Decimal("0.1"))
        self.assertEqual(self.heard[0]["topic"], "blocks")
        while len(self.subscriptions):
            await deferLater(REACTOR, 0.01)

    async def test_until_it_has_heard_enough(self) -> None:
        await self.hears_two_blocks(self.serve())

    async def test_over_tls(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        target = self.serve(TlsFiles(folder / "rpc.cert", folder / "rpc.key", own=True))
        await self.hears_two_blocks(target)

    async def test_a_certificate_of_another(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        target = self.serve(TlsFiles(folder / "rpc.cert", folder / "rpc.key", own=True))
        untrusting = Target(target.url, target.user, target.password, None)
        self.assertFalse((await self.failure(untrusting, BLOCKS)).refused)

    async def test_a_refused_subscription(self) -> None:
        error = await self.failure(self.serve(), {"topic": "weather"})
        self.assertTrue(error.refused)
        self.assertIn("blocks, transactions", str(error))

    async def test_a_refused_login(self) -> None:
        target = self.serve()
        error = await self.failure(Target(target.url, "alice", "wrong", None), BLOCKS)
        self.assertIn("401", str(error))
        self.assertFalse(error.refused)

    async def test_the_node_stops(self) -> None:
        target = self.serve()
        watching = self.watch(target, BLOCKS, enough=1)
        await self.subscribed(1)
        await self.service.stopService()
        try:
            await watching
        except WatchFailed as error:
            self.assertIn("the node stops", str(error))
        else:
            self.fail("it did not end")

    async def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/", "ftp://x/", "nothing"):
            self.assertFalse((await self.failure(Target(url, "a", "b", None), BLOCKS)).refused)
        missing = Target("https://127.0.0.1:1/", "a", "b", Path("/nonexistent"))
        self.assertIn("cannot read", str(await self.failure(missing, BLOCKS)))
