"""Rows of heartbeats: what is read back, and what is oldest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.store.heartbeatstore import HeartbeatStore
from timecoin.store.keys import HEARTBEATS
from timecoin.store.memory import MemoryEngine


class HeartbeatStoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        engine = MemoryEngine()
        engine.write([(HEARTBEATS, bytes([n]), b"row") for n in (3, 1, 2, 9)], sync=False)
        self.store = HeartbeatStore(engine)

    def test_a_row(self) -> None:
        self.assertEqual(self.store.get(b"\x03"), b"row")
        self.assertIsNone(self.store.get(b"\x04"))

    def test_keys_below_in_order_and_bounded(self) -> None:
        self.assertEqual(self.store.keys_below(b"\x03", 10), (b"\x01", b"\x02"))
        self.assertEqual(self.store.keys_below(b"\xff", 3), (b"\x01", b"\x02", b"\x03"))
        self.assertEqual(self.store.keys_below(b"\x01", 10), ())
