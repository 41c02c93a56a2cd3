"""Whom a node calls by its own choice; an attempt to take all of its slots."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import NOW_MS, host, unsigned
from tests.p2p.test_addressbook import spread
from timecoin.p2p.addressbook import AddressBook
from timecoin.p2p.netgroup import address_group
from timecoin.p2p.outbound import ANCHOR_SLOTS, FEELER_MS, STAKED_SLOTS, Outbound, Role, Slot
from timecoin.params import OUTBOUND_SLOTS

STAKED_KEY = b"\x57" * 32


def welcome(node_id: bytes, where: bytes) -> bool:
    """Everybody."""
    return True


def is_staked(masternode: bytes) -> bool:
    """One key has weight."""
    return masternode == STAKED_KEY


class OutboundCase(SynchronousTestCase):
    """A book to choose from."""

    def setUp(self) -> None:
        self.book = AddressBook(b"secret" * 5)
        self.rng = random.Random(7)

    def add(self, number: int, address: str, tried: bool = False, staked: bool = False) -> bytes:
        """One node, told by a source of its own."""
        record = unsigned(number, address)
        self.book.add(record, address_group(host(spread(number))))
        if tried or staked:
            self.book.linked(record.node_id, STAKED_KEY if staked else None)
        return record.node_id

    def outbound(self, anchors: tuple[bytes, ...] = ()) -> Outbound:
        """Slots of a node that has just started."""
        return Outbound(self.book, anchors, is_staked, self.rng)

    def fill(self, outbound: Outbound, now_ms: int = NOW_MS) -> list[Slot]:
        """Call until nobody is left to call."""
        called = []
        while (found := outbound.next_call(now_ms, welcome)) is not None:
            called.append(found[0])
        return called


class SlotTests(OutboundCase):
    """Eight links to different networks."""

    def test_eight_and_a_feeler(self) -> None:
        for number in range(30):
            self.add(number, spread(number))
        outbound = self.outbound()
        roles = [slot.role for slot in self.fill(outbound)]
        self.assertEqual(roles, [Role.ANY] * OUTBOUND_SLOTS + [Role.FEELER])
        self.assertIsNone(outbound.next_call(NOW_MS, welcome))

    def test_a_slot_that_is_free_is_filled_again(self) -> None:
        for number in range(30):
            self.add(number, spread(number))
        outbound = self.outbound()
        gone = self.fill(outbound)[0]
        outbound.release(gone.node_id)
        self.assertEqual(len(self.fill(outbound)), 1)

    def test_one_link_a_network(self) -> None:
        for number in range(300):
            self.add(number, f"8.8.{number // 250}.{number % 250 + 1}")
        self.assertEqual(len(self.fill(self.outbound())), 1)

    def test_private_networks_may_have_several(self) -> None:
        """A devnet on one machine finds itself."""
        for number in range(30):
            self.add(number, "127.0.0.1")
        self.assertEqual(len(self.fill(self.outbound())), OUTBOUND_SLOTS + 1)

    def test_only_who_is_welcome(self) -> None:
        node = self.add(1, "8.8.8.8")
        self.assertIsNone(self.outbound().next_call(NOW_MS, lambda n, h: n != node))

    def test_feeler_every_two_minutes(self) -> None:
        for number in range(30):
            self.add(number, spread(number))
        outbound = self.outbound()
        feeler = self.fill(outbound)[-1]
        outbound.release(feeler.node_id)
        self.assertEqual(self.fill(outbound, NOW_MS + FEELER_MS - 1), [])
        (feeler,) = self.fill(outbound, NOW_MS + FEELER_MS)
        self.assertIs(feeler.role, Role.FEELER)

    def test_anchors_are_called_first(self) -> None:
        anchors = tuple(self.add(number, spread(number)) for number in range(30))[:3]
        called = self.fill(self.outbound(anchors))
        self.assertEqual([slot.node_id for slot in called[:ANCHOR_SLOTS]], list(anchors[:2]))
        self.assertEqual([slot.role for slot in called].count(Role.ANCHOR), ANCHOR_SLOTS)

    def test_links_that_last_are_the_next_anchors(self) -> None:
        for number in range(30):
            self.add(number, spread(number))
        outbound = self.outbound()
        called = [slot.node_id for slot in self.fill(outbound)]
        self.assertEqual(outbound.anchors(lambda node: node != called[0]), tuple(called[1:3]))

    def test_staked_nodes_before_others(self) -> None:
        for number in range(30):
            self.add(number, spread(number), tried=True)
        staked = {self.add(number, spread(number), staked=True) for number in range(40, 44)}
        called = self.fill(self.outbound())
        self.assertGreaterEqual(len(staked & {slot.node_id for slot in called}), STAKED_SLOTS)

    def test_room_is_made_for_staked_nodes(self) -> None:
        """The newest link to anybody goes, as soon as one of them is known."""
        for number in range(30):
            self.add(number, spread(number))
        outbound = self.outbound()
        called = [slot for slot in self.fill(outbound) if slot.role is Role.ANY]
        self.assertIsNone(outbound.surplus(NOW_MS, welcome), "nobody would take the place")
        for number in range(40, 43):
            self.add(number, spread(number), staked=True)
        for victim in (called[-1].node_id, called[-2].node_id):
            self.assertEqual(outbound.surplus(NOW_MS, welcome), victim)
            outbound.release(victim)
            found = outbound.next_call(NOW_MS, welcome)
            assert found is not None
            self.assertIs(found[0].role, Role.STAKED)
        self.assertIsNone(outbound.surplus(NOW_MS, welcome))


class EclipseTests(OutboundCase):
    """F26: a thousand addresses of one group."""

    def test_one_group_does_not_take_the_slots(self) -> None:
        """They get one slot of eight; anchors and staked masternodes keep theirs."""
        honest = [self.add(number, spread(number), tried=True) for number in range(12)]
        staked = [self.add(100 + n, spread(100 + n), staked=True) for n in range(3)]
        hostile = {
            self.add(1_000 + n, f"8.8.{n // 250}.{n % 250 + 1}", tried=True) for n in range(1_000)
        }
        for seed in range(20):
            self.rng = random.Random(seed)
            outbound = self.outbound(tuple(honest[:2]))
            called = [slot for slot in self.fill(outbound) if slot.role is not Role.FEELER]
            self.assertEqual(len(called), OUTBOUND_SLOTS)
            taken = [slot for slot in called if slot.node_id in hostile]
            self.assertLessEqual(len(taken), 1, f"seed {seed}")
            self.assertEqual([slot.node_id for slot in called[:2]], honest[:2])
            self.assertGreaterEqual(
                sum(slot.node_id in staked for slot in called), STAKED_SLOTS, f"seed {seed}"
            )

    def test_a_stolen_book_does_not_reach_protected_slots(self) -> None:
        """Even where every other entry is hostile and of a network of its own."""
        anchors = tuple(self.add(number, spread(number), tried=True) for number in range(2))
        staked = [self.add(100 + n, spread(100 + n), staked=True) for n in range(2)]
        for number in range(1_000, 4_000):
            self.add(number, spread(number), tried=True)
        for seed in range(20):
            self.rng = random.Random(seed)
            called = {slot.node_id for slot in self.fill(self.outbound(anchors))}
            self.assertLessEqual({*anchors, *staked}, called, f"seed {seed}")
