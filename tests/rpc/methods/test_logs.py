"""The levels of the log, seen and changed by RPC."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.methods.net import RpcFailure, RpcNet
from timecoin.node.log.levels import AREAS
from timecoin.rpc.errors import RpcError
from timecoin.rpc.methods.logs import LogMethods


class LoggingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = RpcNet(self).nodes[0]

    def call(self, *params: object, **named: object) -> Any:
        return self.node.call("logging", *params, **named)

    def refused(self, *params: object, **named: object) -> int:
        error = self.assertRaises(RpcFailure, self.call, *params, **named)
        assert isinstance(error, RpcFailure)
        return error.code

    def test_shown(self) -> None:
        self.assertEqual(self.call(), dict.fromkeys(AREAS, False))
        levels = self.call(verbose=True)
        self.assertEqual((levels["rpc"], levels["twisted"]), ("info", "warn"))

    def test_as_bitcoin_core(self) -> None:
        shown = self.call(["rpc", "p2p"])
        self.assertEqual([area for area, on in shown.items() if on], ["p2p", "rpc"])
        shown = self.call(["all"], ["rpc"])
        self.assertEqual([area for area, on in shown.items() if not on], ["rpc"])
        self.assertFalse(any(self.call([], ["all"]).values()))
        self.assertFalse(any(self.call(["none"]).values()))
        self.assertTrue(self.node.levels.writes("rpc", "info"))

    def test_another_level(self) -> None:
        shown = self.call(include=["p2p"], level="error", verbose=True)
        self.assertEqual((shown["p2p"], shown["rpc"]), ("error", "info"))

    def test_refused_and_nothing_changed(self) -> None:
        before = self.node.levels.shown()
        self.assertEqual(self.refused(["rpc", "kitchen"]), -8)
        self.assertEqual(self.refused(["rpc"], ["kitchen"]), -8)
        self.assertEqual(self.refused(include=["rpc"], level="loud"), -8)
        self.assertEqual(self.refused("rpc"), -3)
        self.assertEqual(self.refused([1]), -3)
        self.assertEqual(self.refused(["rpc"], [], "warn"), -32602)
        self.assertEqual(self.node.levels.shown(), before)

    def test_the_log_of_somebody_else(self) -> None:
        error = self.assertRaises(RpcError, LogMethods(None).logging)
        self.assertEqual(error.code, -1)
