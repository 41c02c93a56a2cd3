"""Two certificates for conflicting spends: kept, alarmed, never silently decided."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.world import World, genesis_coin, pay
from timecoin.finality.messages import Certified


class EmergencyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node, self.peer = self.world.nodes[:2]
        self.first, self.second = sorted(
            (pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)), key=lambda tx: tx.txid
        )
        nodes = self.world.nodes
        self.one = forge.certificate(self.world, [self.first], nodes[:3])
        self.two = forge.certificate(self.world, [self.second], nodes[1:])

    def hold_both(self) -> None:
        self.world.receive(self.node, self.peer, Certified(self.one, (self.first,)))
        self.assertEqual(self.node.emergencies(), [])
        self.world.receive(self.node, self.peer, Certified(self.two, (self.second,)))

    def test_alarm_names_who_signed_both(self) -> None:
        self.hold_both()
        alarms = self.node.emergencies()
        self.assertEqual(len(alarms), 1)
        self.assertEqual((alarms[0].first, alarms[0].second), (self.first.txid, self.second.txid))
        keys = [node.key.public for node in self.world.nodes[1:3] if node.key is not None]
        self.assertEqual(sorted(alarms[0].signers), sorted(keys))

    def test_both_certificates_are_kept_on_disk(self) -> None:
        self.hold_both()
        self.assertEqual(len(self.node.finality._parts.certificates), 2)
        self.assertIn("emergencies", {table for table, _ in self.node.rows})

    def test_alarm_once_and_remembered(self) -> None:
        self.hold_both()
        self.world.receive(self.node, self.peer, Certified(self.two, (self.second,)))
        self.world.next_slot()
        self.assertEqual(len(self.node.emergencies()), 1)
        self.world.crash(self.node)
        self.world.restart(self.node)
        self.assertEqual(len(self.node.emergencies()), 1)
        row = self.node.finality.emergencies[0].row
        self.assertEqual(row.first_certificate, self.one)
        self.assertEqual(len(self.node.finality.emergencies[0].signers), 2)

    def test_alarm_when_the_second_body_comes(self) -> None:
        self.world.receive(self.node, self.peer, Certified(self.one, (self.first,)))
        self.world.receive(self.node, self.peer, Certified(self.two, ()))
        self.assertEqual(self.node.emergencies(), [])
        self.world.receive(self.node, self.peer, Certified(self.two, (self.second,)))
        self.assertEqual(len(self.node.emergencies()), 1)

    def test_it_ends_when_a_block_decides(self) -> None:
        self.hold_both()
        self.world.next_slot([self.first])
        self.assertEqual(len(self.node.finality._parts.certificates), 0)
        self.assertEqual(len(self.node.finality.emergencies), 1)  # evidence stays
