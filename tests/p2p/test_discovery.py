"""What nodes tell each other of addresses, and what of it is believed."""

from __future__ import annotations

import contextlib
import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import NOW_MS, NOW_S, host, node_key, record
from tests.p2p.wire import CHAIN
from timecoin.codec import CodecError, decode, encode
from timecoin.p2p.addressbook import AddressBook
from timecoin.p2p.discovery import ANSWER_MS, FORGED_POINTS, RECORDS_BURST, RENEW_S, Discovery
from timecoin.p2p.messages import (
    MAX_ADDRESSES,
    MAX_ADDRESSES_BYTES,
    Addresses,
    GetAddresses,
    Observed,
)
from timecoin.p2p.netgroup import address_group
from timecoin.p2p.records import AddressRecord, is_signed

OWN = node_key(999)
PEER, PUBLIC, PRIVATE = b"\x05" * 32, host("8.8.8.8"), host("10.0.0.5")
Said = list[Addresses | GetAddresses | Observed]


class DiscoveryCase(SynchronousTestCase):
    """One node; ``said`` keeps what it tells."""

    def setUp(self) -> None:
        self.book = AddressBook(b"secret" * 5)
        self.said: Said = []
        self.begin(None)

    def begin(self, own_host: bytes | None) -> None:
        """A node that was told its address, or was not."""
        self.discovery = Discovery(OWN, CHAIN, 0, self.book, random.Random(1), own_host)

    def up(self, where: bytes = PUBLIC, inbound: bool = True, peer: bytes = PEER) -> None:
        """A link."""
        self.discovery.link_up(peer, where, inbound, NOW_MS, self.said.append)

    def hear(
        self, message: Addresses | GetAddresses | Observed, peer: bytes = PEER, at_ms: int = NOW_MS
    ) -> int:
        """The peer speaks; the points that it costs."""
        return self.discovery.heard(peer, message, at_ms, self.said.append)

    def own(self, port: int = 24000, now_s: int = NOW_S) -> AddressRecord | None:
        """What it says of itself."""
        return self.discovery.own_record(port, now_s)


class LearningTests(DiscoveryCase):
    """Records of others."""

    def test_signed_records_are_taken(self) -> None:
        self.up()
        self.assertEqual(self.hear(Addresses((record(1, "9.9.9.9"), record(2, "7.7.7.7")))), 0)
        self.assertEqual(len(self.book), 2)
        entry = self.book.get(node_key(1).public)
        assert entry is not None
        self.assertEqual(entry.source_group, address_group(PUBLIC))

    def test_forgeries_cost(self) -> None:
        self.up()
        forged = msgspec.structs.replace(record(1, "9.9.9.9"), port=1)
        self.assertEqual(self.hear(Addresses((forged,))), FORGED_POINTS)
        self.assertEqual(self.hear(Addresses((record(1, "9.9.9.9", chain_id=bytes(12)),))), 25)
        self.assertEqual(len(self.book), 0)

    def test_left_out_without_blame(self) -> None:
        """Old records, its own, and private hosts from afar: an honest node may send these."""
        self.up()
        for odd in (
            record(1, "9.9.9.9", at_s=NOW_S - 10**7),
            record(1, "10.0.0.1"),
            record(999, "9.9.9.9"),
        ):
            self.assertEqual(self.hear(Addresses((odd,))), 0)
        self.assertEqual(len(self.book), 0)

    def test_private_hosts_within_a_private_network(self) -> None:
        self.up(PRIVATE)
        self.hear(Addresses((record(1, "10.0.0.1"),)))
        self.assertEqual(len(self.book), 1)

    def test_an_address_flood_is_looked_at_in_part(self) -> None:
        """F25: of one peer a thousand records at once, then one each ten seconds."""
        self.up()
        flood = [record(n, f"{11 + n // 256}.{n % 256}.1.1") for n in range(RECORDS_BURST + 50)]
        for start in range(0, len(flood), MAX_ADDRESSES):
            self.assertEqual(self.hear(Addresses(tuple(flood[start : start + MAX_ADDRESSES]))), 0)
        taken = [self.book.get(one.node_id) is not None for one in flood]
        self.assertEqual(taken[RECORDS_BURST:], [False] * 50)
        source = address_group(PUBLIC)
        more = (record(n, "99.1.1.1") for n in range(5_000, 6_000))
        fresh = next(one for one in more if self.book.is_news(one, source))
        self.hear(Addresses((fresh,)))
        self.assertIsNone(self.book.get(fresh.node_id))
        self.hear(Addresses((fresh,)), at_ms=NOW_MS + 10_000)
        self.assertIsNotNone(self.book.get(fresh.node_id))

    def test_nothing_after_the_link(self) -> None:
        self.up()
        self.discovery.link_down(PEER)
        self.assertEqual(self.hear(Addresses((record(1, "9.9.9.9"),))), 0)
        self.assertEqual(len(self.book), 0)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        self.up()
        with contextlib.suppress(CodecError):
            self.hear(decode(data, Addresses, MAX_ADDRESSES_BYTES))
        with contextlib.suppress(CodecError):
            self.hear(decode(data, Observed, MAX_ADDRESSES_BYTES))

    def test_the_fullest_message_fits_its_bound(self) -> None:
        many = Addresses((record(1, "2001:db8::1", 65_535),) * MAX_ADDRESSES)
        self.assertLess(len(encode(many)), MAX_ADDRESSES_BYTES)


class TellingTests(DiscoveryCase):
    """What it says."""

    def fill(self, count: int) -> None:
        """Nodes to tell of."""
        for number in range(count):
            self.book.add(record(number, f"{11 + number}.1.1.1"), bytes([number]))

    def test_who_calls_asks_and_who_is_called_says_what_it_sees(self) -> None:
        self.up(inbound=False)
        self.up(inbound=True)
        self.assertEqual(self.said, [GetAddresses(), Observed(PUBLIC)])

    def test_answers_a_few_times_only(self) -> None:
        """Nobody reads the whole book by asking on."""
        self.fill(20)
        self.up()
        self.said.clear()
        for _ in range(5):
            self.hear(GetAddresses())
        self.assertEqual(len(self.said), 2)
        self.hear(GetAddresses(), at_ms=NOW_MS + ANSWER_MS)
        self.assertEqual(len(self.said), 3)
        self.assertTrue(all(isinstance(answer, Addresses) for answer in self.said))

    def test_an_empty_book_says_nothing(self) -> None:
        self.up()
        self.said.clear()
        self.hear(GetAddresses())
        self.assertEqual(self.said, [])

    def test_own_record_is_told_once_to_each(self) -> None:
        self.begin(host("9.9.9.9"))
        self.up()
        self.said.clear()
        for _ in range(3):
            self.discovery.introduce(PEER, 24000, NOW_MS, self.said.append)
        (told,) = self.said
        assert isinstance(told, Addresses)
        self.assertEqual(told.records[0].host, host("9.9.9.9"))
        self.assertTrue(is_signed(told.records[0], CHAIN))

    def test_own_private_host_stays_private(self) -> None:
        self.begin(PRIVATE)
        self.up(PUBLIC)
        self.said.clear()
        self.discovery.introduce(PEER, 24000, NOW_MS, self.said.append)
        self.assertEqual(self.said, [])


class OwnAddressTests(DiscoveryCase):
    """How a node behind NAT learns where it is."""

    def see(self, *witnesses: str, seen: str = "9.9.9.9", inbound: bool = False) -> None:
        """Peers at ``witnesses`` say that they see ``seen``."""
        for text in witnesses:
            peer = text.encode().ljust(32)
            self.up(host(text), inbound, peer)
            self.hear(Observed(host(seen)), peer)

    def test_two_networks_have_to_agree(self) -> None:
        self.see("8.8.8.8", "8.8.4.4")
        self.assertIsNone(self.own(), "one network is one witness")
        self.see("7.7.7.7")
        own = self.own()
        assert own is not None
        self.assertEqual((own.host, own.port), (host("9.9.9.9"), 24000))

    def test_who_called_is_no_witness(self) -> None:
        self.see("8.8.8.8", "7.7.7.7", inbound=True)
        self.assertIsNone(self.own())

    def test_most_networks_win(self) -> None:
        self.see("8.8.8.8", "7.7.7.7", seen="6.6.6.6")
        self.see("5.5.5.5", "4.4.4.4", "3.3.3.3")
        own = self.own()
        assert own is not None
        self.assertEqual(own.host, host("9.9.9.9"))

    def test_on_one_machine_one_is_enough(self) -> None:
        self.see("127.0.0.1", seen="127.0.0.1")
        self.assertIsNotNone(self.own())

    def test_a_private_witness_does_not_know_a_public_address(self) -> None:
        self.see("10.0.0.1", "10.0.0.2")
        self.assertIsNone(self.own())

    def test_a_new_address_is_a_newer_record(self) -> None:
        """Also within one second: the newest counts everywhere."""
        self.see("8.8.8.8", "7.7.7.7", seen="6.6.6.6")
        first = self.own()
        self.see("8.8.8.8", "7.7.7.7", seen="5.5.5.5")
        second = self.own()
        assert first is not None and second is not None
        self.assertGreater(second.timestamp, first.timestamp)
        self.assertNotEqual(second.host, first.host)

    def test_signed_anew_each_day(self) -> None:
        self.begin(host("9.9.9.9"))
        first = self.own()
        self.assertIs(self.own(now_s=NOW_S + RENEW_S - 1), first)
        renewed = self.own(now_s=NOW_S + RENEW_S)
        assert renewed is not None
        self.assertEqual(renewed.timestamp, NOW_S + RENEW_S)

    def test_no_port_no_record(self) -> None:
        self.begin(host("9.9.9.9"))
        self.assertIsNone(self.own(port=0))
