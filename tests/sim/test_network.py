"""The simulated network: order, cuts, and what a killed node hears."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from timecoin.sim.clock import SimClock
from timecoin.sim.network import LinkQuality, SimNetwork, SimPort
from timecoin.sim.trace import Trace

A, B, C = (name * 32 for name in (b"a", b"b", b"c"))


class Ears:
    """A listener that takes notes."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        self.heard.append(("up", peer, masternode))

    def link_down(self, peer: bytes) -> None:
        self.heard.append(("down", peer))

    def frame_received(self, peer: bytes, kind: int, payload: bytes) -> None:
        self.heard.append((peer, kind, payload))


class SimNetworkTests(SynchronousTestCase):
    """Two nodes on a network that jitters more than it delays."""

    def setUp(self) -> None:
        self.clock = SimClock(0.0)
        quality = LinkQuality(latency_ms=5, jitter_ms=50, loss_per_mille=100)
        self.network = SimNetwork(self.clock, Random(1), quality, Trace())
        self.a, self.ears_a = self.join(A)
        self.b, self.ears_b = self.join(B)

    def join(self, name: bytes) -> tuple[SimPort, Ears]:
        port, ears = self.network.attach(name, name), Ears()
        port.set_listener(ears)
        port.start()
        return port, ears

    def test_links_come_up_on_both_sides(self) -> None:
        self.assertEqual(self.ears_a.heard, [("up", B, B)])
        self.assertEqual(self.ears_b.heard, [("up", A, A)])
        self.assertEqual([info.node_id for info in self.a.peers()], [B])

    def test_frames_of_a_link_keep_their_order(self) -> None:
        for number in range(100):
            self.a.send(B, 16, bytes([number]))
        self.clock.run_until(10)
        self.assertEqual(self.ears_b.heard[1:], [(A, 16, bytes([n])) for n in range(100)])

    def test_a_cut_loses_what_is_under_way_and_heals(self) -> None:
        self.a.send(B, 16, b"lost")
        self.network.cut(A, B)
        self.a.send(B, 16, b"not even sent")
        self.network.heal(A, B)
        self.a.send(B, 16, b"arrives")
        self.clock.run_until(10)
        self.assertEqual(self.ears_b.heard[1:], [("down", A), ("up", A, A), (A, 16, b"arrives")])

    def test_a_killed_node_hears_nothing_more_and_its_peers_hear_that(self) -> None:
        self.a.send(B, 16, b"late")
        self.b.stop()
        self.clock.run_until(10)
        self.assertEqual(self.ears_b.heard, [("up", A, A)])
        self.assertEqual(self.ears_a.heard[1:], [("down", B)])
        again, ears = self.join(B)
        self.a.send(B, 16, b"welcome")
        self.clock.run_until(20)
        self.assertEqual(ears.heard, [("up", A, A), (A, 16, b"welcome")])
        self.assertEqual([info.node_id for info in again.peers()], [A])

    def test_a_node_that_joins_cut_off_gets_no_link(self) -> None:
        self.network.cut(A, C)
        _, ears = self.join(C)
        self.assertEqual(ears.heard, [("up", B, B)])

    def test_observers_see_every_frame(self) -> None:
        seen: list[tuple[int, bytes]] = []
        self.network.observers.append(lambda kind, payload: seen.append((kind, payload)))
        self.a.send(B, 17, b"x")
        self.assertEqual(seen, [(17, b"x")])
        self.assertEqual((self.network.messages[17], self.network.bytes), (1, 1))
