"""Peer addresses as operators write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.p2p.address import PeerAddress, parse_peer_address


class ParseTests(SynchronousTestCase):
    """Text to address and back."""

    def test_good(self) -> None:
        """Names, IPv4 and bracketed IPv6; printed as they were read."""
        for text, host, port in (
            ("localhost:8002", "localhost", 8002),
            ("192.0.2.1:1", "192.0.2.1", 1),
            ("[2001:db8::1]:65535", "2001:db8::1", 65535),
            ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
            ("xn--bcher-kva.example.:1", "xn--bcher-kva.example.", 1),
            ("my_host:1", "my_host", 1),
        ):
            address = parse_peer_address(text)
            self.assertEqual(address, PeerAddress(host, port))
            self.assertEqual(str(address), text)
        self.assertEqual(parse_peer_address(" a:1 "), PeerAddress("a", 1))

    def test_bad(self) -> None:
        """The error names the text."""
        ports = ("h:", "h:0", "h:65536", "h:-1", "h:x", "h:١")
        hosts = ("", "host", ":1", "::1", "[]:1", "[h]:1", "[\v\0001]:1", "a b:1", "h\n:1", "é:1")
        for text in (*ports, *hosts, "h" * 254 + ":1"):
            error = self.assertRaises(ValueError, parse_peer_address, text)
            self.assertIn(repr(text), str(error))

    @given(st.text(max_size=30))
    def test_any_text(self, text: str) -> None:
        """An address or a ValueError."""
        try:
            address = parse_peer_address(text)
        except ValueError:
            return
        self.assertEqual(parse_peer_address(str(address)), address)
