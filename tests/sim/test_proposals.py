"""Proposals on their way: certificates travel to those alone who lack them."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import decode
from timecoin.consensus.messages import (
    GetProposedCertificates,
    Proposal,
    ProposedCertificates,
)
from timecoin.finality.messages import Certified, GetCertificate
from timecoin.node.catalog import MESSAGES
from timecoin.quorum.certificate import BatchCertificate, certificate_name
from timecoin.sim.invariants import Invariants
from timecoin.sim.network import Frame, LinkQuality
from timecoin.sim.world import World, WorldSettings

PAYMENTS = 40
SLOT_S = 10


class Deafness:
    """Keeps certificates from one node, but for those of proposals."""

    def __init__(self, deaf: bytes) -> None:
        self._deaf = deaf

    def outgoing(self, peer: bytes, kind: int, payload: bytes) -> list[Frame]:
        """All other frames as they are."""
        kept = peer == self._deaf and MESSAGES[kind].type in (Certified, GetCertificate)
        return [] if kept else [Frame(kind, payload)]

    def incoming(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Nothing to do."""


class ProposalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.begin(LinkQuality())

    def begin(self, quality: LinkQuality) -> None:
        """Four validators."""
        self.world = World(5, WorldSettings(nodes=4, users=PAYMENTS, quality=quality))
        self.invariants = Invariants(self.world)
        self.sent: Counter[type] = Counter()
        self.named: Counter[bytes] = Counter()
        self.largest = 0
        self.world.network.observers.append(self.look)
        self.world.start()
        self.world.run(4)

    def look(self, kind: int, payload: bytes) -> None:
        known = MESSAGES[kind]
        self.sent[known.type] += 1
        if known.type is Proposal:
            proposal = decode(payload, Proposal, known.max_bytes)
            self.named.update(proposal.block.body.certificates)
            self.largest = max(self.largest, len(payload))

    def pay_through_a_block(self) -> list[bytes]:
        """Payments, and the certificates of the blocks that archive them."""
        height = self.world.nodes[0].running.chain.tip_height
        for number in range(PAYMENTS):
            tx = self.world.users.payment()
            assert tx is not None
            self.assertTrue(self.world.submit(number % 3, tx))
            self.world.run(0.05)
        self.world.run(2 * SLOT_S)
        self.invariants.check_end()
        chain = self.world.nodes[0].running.chain
        blocks = [chain.block(each) for each in range(height + 1, chain.tip_height + 1)]
        found = [data for block in blocks if block is not None for data in block.body.certificates]
        archived = sum(len(block.body.entries) for block in blocks if block is not None)
        self.assertEqual(archived, PAYMENTS)
        return found

    def test_who_holds_a_certificate_is_not_sent_it(self) -> None:
        certificates = self.pay_through_a_block()
        self.assertGreater(len(certificates), PAYMENTS // 2)
        for data in certificates:
            decode(data, BatchCertificate, len(data))
            self.assertIn(certificate_name(data), self.named)
        self.assertEqual(self.sent[GetProposedCertificates], 0)
        size = sum(map(len, certificates))
        print(f"{len(certificates)} certificates of {size} bytes, proposal of {self.largest} bytes")
        self.assertLess(self.largest, size)

    def test_who_lacks_some_fetches_them_and_takes_part(self) -> None:
        """One node gets no certificate by the usual way: it still judges and votes."""
        world = self.world
        self.deafen(3)
        self.pay_through_a_block()
        self.assertGreater(self.sent[GetProposedCertificates], 0)
        self.assertGreater(self.sent[ProposedCertificates], 0)
        self.assertEqual(len({node.running.chain.tip_hash for node in world.nodes}), 1)

    def test_slow_links_on_which_a_round_ends_before_the_certificates_come(self) -> None:
        """The next round asks for them anew; three of four are left, so each is needed."""
        self.begin(LinkQuality(latency_ms=400))
        self.deafen(3)
        self.world.nodes[2].kill()
        for _ in range(30):
            tx = self.world.users.payment()
            if tx is not None:
                self.world.submit(0, tx)
            self.world.run(2)
        alive = [self.world.nodes[number].running for number in (0, 1, 3)]
        self.assertGreater(min(node.chain.tip_height for node in alive), 60 // SLOT_S // 2)

    def deafen(self, number: int) -> None:
        """The others' certificates do not reach this one."""
        for node in self.world.nodes:
            if node.number != number:
                tamper = Deafness(self.world.nodes[number].node_id)
                self.world.network.tampers[node.node_id] = tamper
