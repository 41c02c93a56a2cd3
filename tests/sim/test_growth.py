"""A payment costs its poller messages linear in the active set, every other node a few."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support.long import unless_long
from timecoin.codec import encode
from timecoin.consensus.messages import BlockVote
from timecoin.finality.messages import Certified, Query
from timecoin.gossip.messages import Bundle
from timecoin.node.catalog import KIND_OF
from timecoin.sim.growth import MAX_PAYMENTS, SLOT_S, Growth, measure
from timecoin.sim.network import Frame
from timecoin.sim.traffic import NodeTraffic
from timecoin.sim.world import START_SECONDS, World, WorldSettings

ROUND_TRIPS = 2
LATENCY_MS = 100
SLACK_MS = 70
"""Batching, and the jitter of four ways."""

AT_OTHER = {"Query", "Answer", "Certified", "Receipts", "Finalized"}
"""One of each at every node but the poller, which has one of each with every node."""


class GrowthTests(SynchronousTestCase):
    def check(self, sizes: tuple[int, ...], payments: int) -> None:
        for found in (measure(1, size, payments, LATENCY_MS) for size in sizes):
            self.check_one(found)

    def check_one(self, found: Growth) -> None:
        self.assertEqual(set(found.kinds), AT_OTHER)
        self.assertEqual(found.at_poller, len(AT_OTHER) * (found.nodes - 1))
        self.assertEqual(found.at_other, len(AT_OTHER))
        self.assertEqual(found.at_other_most, len(AT_OTHER))
        fastest_ms = 2 * ROUND_TRIPS * LATENCY_MS
        self.assertGreaterEqual(found.p50_ms, fastest_ms)
        self.assertLess(found.p50_ms, fastest_ms + SLACK_MS)

    def test_linear_at_the_poller_constant_elsewhere(self) -> None:
        self.check((4, 8, 16), payments=6)

    def test_no_more_than_a_slot_holds(self) -> None:
        self.assertEqual(START_SECONDS % SLOT_S, 0, "the world begins with a slot")
        with self.assertRaises(ValueError):
            measure(1, 4, MAX_PAYMENTS + 1)
        self.check_one(measure(1, 4, MAX_PAYMENTS))

    def test_up_to_a_hundred_validators(self) -> None:
        self.check((32, 100), payments=10)

    test_up_to_a_hundred_validators.skip = unless_long(  # type: ignore[attr-defined]
        "a hundred validators, a minute"
    )

    def test_counts_every_message_at_either_end(self) -> None:
        world = World(1, WorldSettings(nodes=1))
        counted = NodeTraffic(world, world.nodes[0].node_id)
        query, peer = KIND_OF[Query], b"\x01" * 32
        self.assertEqual(counted.outgoing(peer, query, b""), (Frame(query, b""),))
        counted.incoming(peer, query, b"")
        of_blocks = KIND_OF[BlockVote]
        counted.incoming(peer, of_blocks, b"")
        bundle = Bundle(((KIND_OF[Certified], b"a"), (KIND_OF[Certified], b"b"), (of_blocks, b"")))
        counted.incoming(peer, KIND_OF[Bundle], encode(bundle))
        self.assertEqual(counted.kinds, {"Query": 2, "Certified": 2})
