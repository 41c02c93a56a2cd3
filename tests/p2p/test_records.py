"""Signed address records."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import NOW_S, host, record
from tests.p2p.wire import CHAIN
from timecoin.codec import CodecError, decode, encode
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.records import MAX_AGE_S, MAX_AHEAD_S, AddressRecord, is_signed, is_timely


class RecordTests(SynchronousTestCase):
    """What a record binds."""

    def test_good(self) -> None:
        good = record(1, "192.0.2.1", 24001)
        self.assertTrue(is_signed(good, CHAIN))
        self.assertTrue(is_timely(good, NOW_S))
        self.assertEqual(good.address, PeerAddress("192.0.2.1", 24001))

    def test_every_field_is_signed(self) -> None:
        good = record(1, "192.0.2.1")
        for change in (
            {"node_id": record(2, "192.0.2.1").node_id},
            {"host": host("192.0.2.2")},
            {"port": 1},
            {"services": 1},
            {"timestamp": NOW_S + 1},
            {"signature": bytes(64)},
        ):
            changed = msgspec.structs.replace(good, **change)
            self.assertFalse(is_signed(changed, CHAIN), change)

    def test_another_chain(self) -> None:
        self.assertFalse(is_signed(record(1, "192.0.2.1", chain_id=bytes(12)), CHAIN))

    def test_time(self) -> None:
        good = record(1, "192.0.2.1")
        self.assertTrue(is_timely(good, NOW_S + MAX_AGE_S))
        self.assertFalse(is_timely(good, NOW_S + MAX_AGE_S + 1))
        self.assertTrue(is_timely(good, NOW_S - MAX_AHEAD_S))
        self.assertFalse(is_timely(good, NOW_S - MAX_AHEAD_S - 1))

    def test_hosts_that_cannot_be_called(self) -> None:
        self.assertFalse(is_timely(record(1, "0.0.0.0"), NOW_S))
        odd = msgspec.structs.replace(record(1, "192.0.2.1"), host=bytes(5))
        self.assertFalse(is_timely(odd, NOW_S))

    @given(st.binary(max_size=400))
    def test_any_bytes(self, data: bytes) -> None:
        try:
            found = decode(data, AddressRecord, 400)
        except CodecError:
            return
        self.assertEqual(encode(found), data)
        is_timely(found, NOW_S)
        is_signed(found, CHAIN)
