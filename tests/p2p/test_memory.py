"""What survives a restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import NOW_MS, unsigned
from tests.p2p.wire import Rows
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.memory import Memory

KEY = b"\x05" * 32


def entropy(count: int) -> bytes:
    """Not much."""
    return b"\x42" * count


class MemoryTests(SynchronousTestCase):
    """Two lives of one node."""

    def setUp(self) -> None:
        self.rows = Rows()
        self.memory = Memory(self.rows, entropy)

    def again(self) -> Memory:
        """The next life."""
        return Memory(self.rows, entropy)

    def test_everything_comes_back(self) -> None:
        record = unsigned(1, "8.8.8.8")
        self.memory.book.add(record, b"source")
        self.memory.reputation.charge(KEY, 30, NOW_MS)
        self.memory.bans.add(KEY, NOW_MS, NOW_MS + 9_000, "rude")
        self.memory.set_anchors((record.node_id, KEY))
        self.memory.write()
        again = self.again()
        self.assertIsNotNone(again.book.get(record.node_id))
        self.assertEqual(again.reputation.score(KEY, NOW_MS), -30)
        ban = again.bans.get(KEY, NOW_MS)
        assert ban is not None
        self.assertEqual((ban.reason, ban.until_ms), ("rude", NOW_MS + 9_000))
        self.assertEqual(again.anchors, (record.node_id, KEY))
        self.assertEqual(again.secret, self.memory.secret)

    def test_what_is_gone_stays_gone(self) -> None:
        self.memory.bans.add(KEY, NOW_MS, NOW_MS + 9_000, "rude")
        self.memory.write()
        self.memory.bans.remove(KEY)
        self.memory.write()
        self.assertIsNone(self.again().bans.get(KEY, NOW_MS))

    def test_the_operators_nodes_are_at_rest_at_once(self) -> None:
        addresses = [PeerAddress("192.0.2.1", 8333), PeerAddress("2001:db8::1", 1)]
        for address in addresses:
            self.memory.add_node(address)
        self.assertEqual([*self.again().added], addresses)
        self.memory.remove_node(addresses[0])
        self.assertEqual([*self.again().added], addresses[1:])

    def test_one_batch_and_none_without_changes(self) -> None:
        before = self.rows.batches
        for number in range(50):
            self.memory.book.add(unsigned(number, f"8.{number}.8.8"), b"source")
        self.memory.write()
        self.memory.write()
        self.assertEqual(self.rows.batches, before + 1)

    def test_anchors_of_before_are_kept_while_nobody_is_linked(self) -> None:
        self.memory.set_anchors((KEY,))
        self.memory.set_anchors(())
        self.assertEqual(self.again().anchors, (KEY,))

    @given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=80), max_size=8))
    def test_unreadable_rows_are_left_out(self, held: dict[bytes, bytes]) -> None:
        """A node starts with whatever it finds."""
        for prefix in (b"b", b"+"):
            Memory(Rows({prefix + key: value for key, value in held.items()}), entropy)
        Memory(Rows(dict(held)), entropy)
