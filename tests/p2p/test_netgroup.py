"""Hosts and their groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import host
from timecoin.p2p.netgroup import address_group, host_text, is_canonical, is_public, pack_host


class HostTests(SynchronousTestCase):
    """Text and bytes."""

    def test_written_and_read(self) -> None:
        for text in ("192.0.2.1", "2001:db8::1", "::1"):
            self.assertEqual(host_text(host(text)), text)

    def test_names_are_no_hosts(self) -> None:
        for text in ("", "localhost", "1.2.3", "1.2.3.4.5", "::g", "1.2.3.4:5"):
            self.assertIsNone(pack_host(text))

    def test_ipv4_within_ipv6_is_ipv4(self) -> None:
        """One host has one form, so that it cannot come twice."""
        self.assertEqual(host("::ffff:192.0.2.1"), host("192.0.2.1"))
        self.assertFalse(is_canonical(bytes(10) + b"\xff\xff" + host("192.0.2.1")))

    def test_interface_of_a_link_local_address_is_left_out(self) -> None:
        self.assertEqual(host("fe80::1%eth0"), host("fe80::1"))

    def test_hosts_that_cannot_be_called(self) -> None:
        for text in ("0.0.0.0", "::", "224.0.0.1", "ff02::1"):
            self.assertFalse(is_canonical(host(text)), text)
        for size in (0, 3, 5, 15, 17):
            self.assertFalse(is_canonical(bytes(size)))
        self.assertTrue(is_canonical(host("127.0.0.1")))

    @given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
    def test_any_bytes_have_a_group(self, packed: bytes) -> None:
        self.assertTrue(2 < len(address_group(packed)) <= 17)


class GroupTests(SynchronousTestCase):
    """What one operator has many of counts once."""

    def same(self, one: str, other: str) -> bool:
        return address_group(host(one)) == address_group(host(other))

    def test_ipv4_by_16_bits(self) -> None:
        self.assertTrue(self.same("8.8.1.1", "8.8.255.3"))
        self.assertFalse(self.same("8.8.1.1", "8.9.1.1"))

    def test_ipv6_by_32_bits(self) -> None:
        self.assertTrue(self.same("2a00:1450:1::1", "2a00:1450:ffff::9"))
        self.assertFalse(self.same("2a00:1450::1", "2a00:1451::1"))

    def test_ipv6_that_wraps_ipv4(self) -> None:
        self.assertTrue(self.same("2002:0808:0101::1", "8.8.9.9"))

    def test_private_hosts_stand_alone(self) -> None:
        self.assertFalse(self.same("10.0.0.1", "10.0.0.2"))
        self.assertTrue(self.same("127.0.0.1", "127.0.0.1"))

    def test_public(self) -> None:
        for text, expected in (
            ("8.8.8.8", True),
            ("127.0.0.1", False),
            ("10.1.2.3", False),
            ("fd00::1", False),
            ("2a00:1450::1", True),
            ("2002:808:808::1", True),
            ("2002:a01:203::1", False),
        ):
            self.assertEqual(is_public(host(text)), expected, text)
