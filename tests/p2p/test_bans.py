"""Bans of keys and networks."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import host
from timecoin.codec import CodecError
from timecoin.p2p.bans import Bans, Subject, parse_subject, subject_text
from timecoin.params import MAX_BANS

KEY = b"\x05" * 32


def network(text: str) -> Subject:
    """A network that stands as it is written."""
    return ip_network(text)


class SubjectTests(SynchronousTestCase):
    """What can be banned, as text."""

    def test_read_and_shown(self) -> None:
        for text, expected in (
            (KEY.hex(), KEY.hex()),
            ("8.8.8.8", "8.8.8.8/32"),
            ("8.8.8.8/8", "8.0.0.0/8"),
            ("::1", "::1/128"),
            ("::ffff:8.8.8.8", "8.8.8.8/32"),
        ):
            self.assertEqual(subject_text(parse_subject(text)), expected)

    @given(st.text(max_size=70))
    def test_any_text(self, text: str) -> None:
        try:
            subject = parse_subject(text)
        except ValueError:
            return
        self.assertEqual(parse_subject(subject_text(subject)), subject)


class BansTests(SynchronousTestCase):
    """One table."""

    def setUp(self) -> None:
        self.bans = Bans()

    def test_until_its_time(self) -> None:
        self.bans.add(KEY, 100, 200, "rude")
        self.assertIsNotNone(self.bans.get(KEY, 199))
        self.assertIsNone(self.bans.get(KEY, 200))
        self.assertEqual(self.bans.standing(200), [])

    def test_networks_are_searched_for_a_host(self) -> None:
        self.bans.add(network("8.8.0.0/16"), 0, 100, "noise")
        self.bans.add(network("2001:db8::/32"), 0, 100, "noise")
        for text, banned in (("8.8.1.1", True), ("8.9.1.1", False), ("2001:db8::7", True)):
            self.assertEqual(self.bans.of_host(host(text), 99) is not None, banned, text)
        self.assertIsNone(self.bans.of_host(host("8.8.1.1"), 100))

    def test_lifted(self) -> None:
        self.bans.add(network("8.8.0.0/16"), 0, 100, "")
        self.assertTrue(self.bans.remove(network("8.8.0.0/16")))
        self.assertFalse(self.bans.remove(network("8.8.0.0/16")))
        self.assertIsNone(self.bans.of_host(host("8.8.1.1"), 1))

    def test_table_is_bounded(self) -> None:
        """The ban that ends first goes."""
        for number in range(MAX_BANS + 1):
            self.bans.add(number.to_bytes(32, "big"), 0, 1_000 + number, "")
        self.assertEqual(len(self.bans.standing(0)), MAX_BANS)
        self.assertIsNone(self.bans.get(bytes(32), 0))

    def test_at_rest(self) -> None:
        for subject in (KEY, network("8.8.0.0/16")):
            self.bans.add(subject, 100, 200, "rude")
            row = self.bans.row(subject)
            assert row is not None
            again = Bans()
            again.restore(subject_text(subject), row)
            self.assertEqual(again.standing(150), [self.bans.get(subject, 150)])
            self.assertEqual(again.changed, {})
            self.assertRaises(CodecError, again.restore, "nobody", row)
            self.assertRaises(CodecError, again.restore, subject_text(subject), b"rubbish")
