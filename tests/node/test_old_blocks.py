"""Who fetches the blocks behind a fast start."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.methods.net import RpcNet
from timecoin.node.build import build_node
from timecoin.node.node import Node, NodeSettings
from timecoin.node.runtime import Runtime
from timecoin.store.memory import MemoryEngine


class OldBlockTests(SynchronousTestCase):
    def node(self, prune: int) -> Node:
        net = RpcNet(self)
        runtime = Runtime(
            clock=net.clock,
            rng=Random,
            network=net.network.attach(b"n" * 32, None),
            engine=MemoryEngine(),
            offload=lambda work, done: None,
            verified=net.verified,
            on_crash=net.crashed,
        )
        return build_node(NodeSettings(net.genesis, prune=prune), runtime)

    def test_a_node_that_prunes_does_not(self) -> None:
        self.assertIsNone(self.node(prune=1_100).history)

    def test_any_other_does(self) -> None:
        history = self.node(prune=0).history
        assert history is not None
        self.assertTrue(history.whole, "nothing is lacking at genesis")
